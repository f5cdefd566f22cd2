"""Every builtin on every kind of data, with values that come from elsewhere: the reference evaluator, -O0 and -O2.

`builtin_matrix/cases.py` is the table. All expressions for the same kinds of data are one script, so there is little to compile.
"""

from __future__ import annotations

import io
import math
from contextlib import redirect_stdout
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from scipy.io import mmread

import sysmlc
from sysmlc.codegen.reference import StopProgram, evaluate
from sysmlc.frontends.dml.builtins import TABLE
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Source
from sysmlc.ir.types import matrix
from sysmlc.runtime.bridge import NativeError
from tests.language.builtin_matrix import plain
from tests.language.builtin_matrix.cases import (
    ALIASES,
    CASES,
    CELLS,
    ELSEWHERE,
    KINDS,
    WHOLE,
    B,
    Case,
    S,
    dense,
    rows_of,
)

ENGINES = ("reference", "-O0", "-O2")


def every_case() -> list[tuple[str, Case]]:
    """The cases of all builtins, and those of other names in the words of these."""
    found = [(name, case) for name, cases in CASES.items() for case in cases]
    for alias, name in ALIASES.items():
        texts = [(case, case.text.replace(f"{name}(", f"{alias}(")) for case in CASES[name]]
        found += [(alias, Case(text, case.value, case.kinds)) for case, text in texts if text != case.text]
    return found


GROUPS = sorted({case.kinds for _, case in every_case()}, key=lambda kinds: (len(kinds), sorted(kinds)))


def members(kinds: frozenset[str]) -> list[tuple[str, Case]]:
    return [(name, case) for name, case in every_case() if case.kinds == kinds]


@cache
def programs(kinds: frozenset[str]) -> dict[str, Any]:
    """One script with the cases for these kinds of data, as a module and as native programs."""
    cases = members(kinds)
    script = "c = X[, 1]\n" if kinds <= CELLS else ""
    script += "".join(f"R{i} = {case.text}\n" for i, (_, case) in enumerate(cases))
    outputs = [f"R{i}" for i in range(len(cases))]
    inputs = dict.fromkeys(("X", "S", "B"), matrix())
    return {
        "reference": compile_source(Source("matrix.dml", script), {}, inputs=inputs, outputs=outputs),
        "-O0": sysmlc.compile(script, outputs=outputs, optimize=0),
        "-O2": sysmlc.compile(script, outputs=outputs, optimize=2),
    }


def differs(found: Any, expected: Any) -> str:
    """What is wrong with a value; nothing when it is right."""
    if isinstance(expected, (str, bool)):
        return (
            ""
            if type(found) is type(expected) and found == expected
            else f"{found!r} instead of {expected!r}"
        )
    if isinstance(expected, int) and not isinstance(found, int):
        return f"{found!r} is not an integer"
    a, b = dense(found), np.array(expected, float)
    if isinstance(expected, list):
        b = b.reshape(a.shape) if b.size == a.size == 0 and a.ndim == 2 else b
    if a.shape != b.shape:
        return f"{a.shape} instead of {b.shape}"
    same = np.isclose(a, b, rtol=1e-12, atol=1e-13, equal_nan=True)
    return "" if same.all() else f"{a[~same]} instead of {b[~same]}"


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kinds", GROUPS, ids=lambda kinds: ",".join(sorted(kinds)))
def test_values(kinds: frozenset[str], engine: str) -> None:
    program = programs(kinds)[engine]
    wrong = []
    for kind in sorted(kinds):
        inputs = {"X": KINDS[kind], "S": S, "B": B}
        found = evaluate(program, inputs) if engine == "reference" else program.run(inputs)
        for i, (name, case) in enumerate(members(kinds)):
            problem = differs(found[f"R{i}"], case.value(rows_of(kind)))
            if problem:
                wrong.append(f"{name}, {kind}: {case.text} gives {problem}")
    assert not wrong, "\n".join(wrong)


def test_every_builtin_is_in_the_matrix() -> None:
    """A builtin that is added to the table needs a line in the matrix."""
    known = set(CASES) | set(ALIASES) | set(ELSEWHERE)
    assert set(TABLE) == known - {"operators", "%*%"}
    assert all(name in globals() for name in ELSEWHERE.values())
    tried = {name for name, _ in every_case()}
    assert tried == set(CASES) | set(ALIASES)
    for name, cases in CASES.items():
        kinds = frozenset().union(*(case.kinds for case in cases))
        assert kinds >= WHOLE & CELLS or name in CONSTANT, f"{name} is tried with {sorted(kinds)}"


CONSTANT = {
    *("rand", "seq", "sample", "solve", "inv", "cholesky", "det", "cdf", "icdf"),
    *(f"{f}{d}" for f in "pq" for d in ("norm", "exp", "chisq", "f", "t")),
}
"""Builtins of numbers, or of matrices that must have an inverse."""


def both_ways(
    script: str, outputs: list[str], inputs: dict[str, Any]
) -> list[tuple[dict[str, Any], list[str]]]:
    """Outputs and printed lines: of the reference evaluator, at -O0 and at -O2."""
    lines: list[str] = []
    types = dict.fromkeys(inputs, matrix())
    module = compile_source(Source("matrix.dml", script), {}, inputs=types, outputs=outputs)
    found = [(evaluate(module, inputs, output=lines.append), lines)]
    for level in (0, 2):
        shown = io.StringIO()
        with redirect_stdout(shown):
            made = sysmlc.compile(script, outputs=outputs, optimize=level).run(inputs)
            found.append(({name: made[name] for name in outputs}, shown.getvalue().splitlines()))
    return found


SQUARE = {
    "dense": S, "sparse": sparse.csr_matrix(np.diag([3.0, 0.0, -2.0, 1.0, 0.0, 5.0])), "empty": np.zeros((4, 4)), "1x1": np.array([[-2.0]]),
    "tall": np.arange(15.0).reshape(5, 3) % 7,
}  # fmt: skip


@pytest.mark.parametrize("kind", SQUARE)
def test_factors(kind: str) -> None:
    """Factors are not unique, what they multiply to and their form is."""
    A = dense(SQUARE[kind])
    script = "[H, R] = qr(A)\n[U, D, V] = svd(A)\n"
    square = A.shape[0] == A.shape[1]
    script += "[P, L, W] = lu(A)\n[w, E] = eigen(A)\n" if square and kind != "empty" else ""
    names = [n for n in "HRUDVPLWwE" if n in script]
    for found, _ in both_ways(script, names, {"A": SQUARE[kind]}):
        f = {name: dense(value) for name, value in found.items()}
        Q = np.eye(len(A))
        for v in f["H"].T:
            Q = Q @ (np.eye(len(A)) - 2 * np.outer(v, v) / (v @ v) if v.any() else np.eye(len(A)))
        np.testing.assert_allclose(Q @ f["R"], A, atol=1e-12)
        np.testing.assert_allclose(f["U"] @ f["D"] @ f["V"].T, A, atol=1e-12)
        assert np.all(np.diff(np.diag(f["D"])) <= 0)
        if "w" in f:
            np.testing.assert_allclose(f["P"] @ A, f["L"] @ f["W"], atol=1e-12)
            np.testing.assert_allclose(f["E"] @ np.diag(f["w"].ravel()) @ f["E"].T, A, atol=1e-12)
            np.testing.assert_allclose(f["E"].T @ f["E"], np.eye(len(A)), atol=1e-12)
            assert np.all(np.diff(f["w"].ravel()) >= 0)


@pytest.mark.parametrize("kind", sorted(CELLS))
def test_effects(kind: str) -> None:
    X = dense(KINDS[kind])
    script = """
start = time()
f = "rowSums"
A = eval(f, X)
l = evalList(f, X)
m = as.list(list(list(X, 1)))
[n, last] = remove(list(1, X), 2)
assert(nrow(X) > 0)
print(as.scalar(X[1, 1]))
print("%d and %s", ncol(X), "text")
print(length(l) + length(m) + length(n) + ": " + toString(X, decimal=1))
if (time() < start) { stop("time goes backwards") }
"""
    word = {2.5: "2.5", 0.0: "0.0", -1.75: "-1.75", math.inf: "Infinity"}.get(X[0, 0], "NaN")
    for found, lines in both_ways(script, ["A"], {"X": KINDS[kind]}):
        assert differs(found["A"], [[plain.sum_of(row)] for row in X.tolist()]) == ""
        assert lines[:2] == [word, f"{X.shape[1]} and text"]
        assert lines[2].startswith("4: ")
    for engine in (
        lambda s: evaluate(compile_source(Source("s.dml", s), {}), output=lambda _: None),
        sysmlc.run,
    ):
        for wrong, message in (("stop('enough')", "enough"), ("assert(1 > 2)", "assertion failed")):
            with pytest.raises((StopProgram, NativeError), match=message):
                engine(wrong + "\n")


@pytest.mark.parametrize("kind", sorted(KINDS))
@pytest.mark.parametrize("format", ["csv", "text", "mm", "binary"])
def test_files(kind: str, format: str, tmp_path: Path) -> None:
    """What was written is read back, and others read it."""
    X = dense(KINDS[kind])
    if format == "mm" and 0 in X.shape:
        pytest.skip("MatrixMarket has no matrices without cells")
    read = "readMM" if format == "mm" else "read"
    sysmlc.run(f'write(X, "{tmp_path}/x", format="{format}")\n', inputs={"X": KINDS[kind]}, outputs=[])
    found = sysmlc.run(f'Y = {read}("{tmp_path}/x")\n', outputs=["Y"])["Y"]
    assert differs(found, X) == ""
    if format == "csv" and X.size:
        np.testing.assert_array_equal(np.loadtxt(tmp_path / "x", delimiter=",", ndmin=2), X)
    if format == "mm":
        np.testing.assert_array_equal(dense(mmread(tmp_path / "x")), X)
    if format in ("csv", "text") and X.size:
        module = compile_source(Source("r.dml", f'Y = read("{tmp_path}/x")\n'), {}, outputs=["Y"])
        assert differs(evaluate(module)["Y"], X) == ""
