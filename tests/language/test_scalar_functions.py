"""Each function and operator of numbers gives for two scalars what it gives for 1x1 matrices, and what the reference gives."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

import sysmlc
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Source
from sysmlc.ir.types import f64, matrix

UNARY = [
    *(
        "abs",
        "sin",
        "cos",
        "tan",
        "asin",
        "acos",
        "atan",
        "sinh",
        "cosh",
        "tanh",
        "sqrt",
        "exp",
        "log",
        "round",
    ),
    *("floor", "ceil", "sign", "is.na", "is.nan", "is.infinite", "sigmoid", "-", "!"),
]
BINARY = ["+", "-", "*", "/", "^", "%%", "%/%", "<", "<=", ">", ">=", "==", "!=", "&", "|"]
CALLS = ["min", "max", "xor", "bitwAnd", "bitwOr", "bitwXor", "bitwShiftL", "bitwShiftR", "log"]
SPECIAL = [
    *(0.0, -0.0, 1.0, -1.0, 0.5, -0.5, 0.49999999999999994, 2.0, -2.5, 3.0, 7.0, -7.0, 0.1, 0.3, 65.0, 1e17, 2.0**53 + 2),
    *(math.inf, -math.inf, math.nan, 5e-324, 1e308, -1e308),
]  # fmt: skip
PAIRED = [0.0, -0.0, 1.0, -1.0, 0.5, -2.5, 3.0, -7.0, 0.1, 65.0, 1e17, math.inf, -math.inf, math.nan]


def close(a: float, b: float) -> bool:
    """The same to a few units in the last place; NaN is NaN, and zeros count as equal."""
    if math.isnan(a) or math.isnan(b):
        return math.isnan(a) and math.isnan(b)
    return a == b or math.isclose(a, b, rel_tol=2e-15, abs_tol=1e-320)


def check(expression: str, names: str, cases: list[dict[str, float]]) -> None:
    """The expression of scalars, of 1x1 matrices, and on the reference evaluator."""
    scalar = f"r = as.double({expression})\n"
    cells = f"r = as.scalar({expression})\n"
    of_scalars = sysmlc.compile(scalar, outputs=["r"])
    of_cells = sysmlc.compile(cells, outputs=["r"])
    reference = compile_source(Source("s.dml", scalar), {}, inputs=dict.fromkeys(names, f64), outputs=["r"])
    of_cells_reference = compile_source(
        Source("c.dml", cells), {}, inputs={n: matrix() for n in names}, outputs=["r"]
    )
    for case in cases:
        matrices: dict[str, Any] = {name: np.array([[value]]) for name, value in case.items()}
        found = {
            "scalar": of_scalars.run(case)["r"],
            "cell": of_cells.run(matrices)["r"],
            "scalar reference": evaluate(reference, case)["r"],
            "cell reference": evaluate(of_cells_reference, matrices)["r"],
        }
        assert all(close(v, found["scalar"]) for v in found.values()), f"{expression} of {case}: {found}"


@pytest.mark.parametrize("fn", UNARY)
def test_of_one(fn: str) -> None:
    check(f"{fn}(x)", "x", [{"x": x} for x in SPECIAL])


def test_of_literals() -> None:
    """What is computed when the script is compiled is what the program would compute, the sign of a zero included."""
    texts = ["0.0", "0.5", "-0.5", "-0.4", "2.5", "-2.5", "3.0", "1e17", "-1e300"]
    calls = [f"{fn}({text})" for fn in UNARY if fn != "!" for text in texts]
    script = "".join(f"r{i} = as.double({call})\n" for i, call in enumerate(calls))
    outputs = [f"r{i}" for i in range(len(calls))]
    folded, computed = (sysmlc.compile(script, outputs=outputs, optimize=level).run() for level in (2, 0))
    for name, call in zip(outputs, calls, strict=True):
        a, b = folded[name], computed[name]
        assert close(a, b), call
        assert math.isnan(a) or math.copysign(1.0, a) == math.copysign(1.0, b), call


@pytest.mark.parametrize("fn", [*BINARY, *CALLS])
def test_of_two(fn: str) -> None:
    check(
        f"x {fn} y" if fn in BINARY else f"{fn}(x, y)",
        "xy",
        [{"x": x, "y": y} for x in PAIRED for y in PAIRED],
    )
