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
import scipy.stats
from scipy import sparse
from scipy.io import mmread

import sysmlc
from sysmlc.codegen.reference import StopProgram, evaluate
from sysmlc.frontends.dml.builtins import TABLE
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.ir.types import f64, matrix
from sysmlc.runtime.bridge import NativeError
from tests.language.builtin_matrix import plain
from tests.language.builtin_matrix.cases import (
    ALIASES,
    CASES,
    CELLS,
    ELSEWHERE,
    FAILS,
    KINDS,
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
        kinds = frozenset().union(
            *(case.kinds for case in cases), *(k for _, k, of in FAILS.values() if of == name)
        )
        missing = frozenset(KINDS) - kinds - LEFT_OUT.get(name, frozenset())
        assert not missing or name in CONSTANT, f"{name} is not tried with {sorted(missing)}"


CONSTANT = {"cdf", "icdf", *(f"{f}{d}" for f in "pq" for d in ("norm", "exp", "chisq", "f", "t"))}
"""Builtins of numbers, which `test_distributions` tries."""
LEFT_OUT = {
    "%*%": frozenset({"both"}),  # where rounding decides between infinities and NaN
    "det": frozenset({"inf"}),
    "as.integer": frozenset({"no rows", "no columns"}),
    "as.logical": frozenset({"no rows", "no columns"}),
}
"""What cannot be, or depends on the order of operations."""


@pytest.mark.parametrize("text", FAILS, ids=range(len(FAILS)))
def test_errors(text: str) -> None:
    message, kinds, _ = FAILS[text]
    script = f"r = {text}\n"
    types = {"X": matrix()}
    module = compile_source(Source("matrix.dml", script), {}, inputs=types, outputs=["r"])
    programs = [
        sysmlc.compile(script, inputs={"X": "matrix"}, outputs=["r"], optimize=level) for level in (0, 2)
    ]
    for kind in sorted(kinds):
        inputs = {"X": KINDS[kind]}
        with pytest.raises(Diagnostic):
            evaluate(module, inputs)
        for program in programs:
            with pytest.raises(NativeError, match=message):
                program.run(inputs)


@pytest.mark.parametrize("kind", ["nan", "inf", "both"])
@pytest.mark.parametrize(
    "call",
    ["[H, R] = qr(X)", "[U, D, V] = svd(X)", "[P, L, U] = lu(X %*% t(X))", "[w, E] = eigen(X %*% t(X))"],
)
def test_factors_of_what_is_not_finite(call: str, kind: str) -> None:
    output = call[1]
    module = compile_source(Source("m.dml", call + "\n"), {}, inputs={"X": matrix()}, outputs=[output])
    with pytest.raises(Diagnostic, match="NaN or infinite"):
        evaluate(module, {"X": KINDS[kind]})
    with pytest.raises(NativeError, match="NaN or infinite"):
        sysmlc.run(call + "\n", inputs={"X": KINDS[kind]}, outputs=[output])


DISTRIBUTIONS = {
    "norm": (", mean=1, sd=2", scipy.stats.norm(1, 2)), "exp": (", rate=0.5", scipy.stats.expon(scale=2)), "chisq": (", df=3", scipy.stats.chi2(3)),
    "f": (", df1=2, df2=10", scipy.stats.f(2, 10)), "t": (", df=5", scipy.stats.t(5)),
}  # fmt: skip


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_distributions(name: str) -> None:
    """At ordinary, extreme and impossible places, both tails; parameters that are impossible."""
    more, law = DISTRIBUTIONS[name]
    script = f"p = p{name}(target=x{more})\nq = p{name}(target=x{more}, lower.tail=FALSE)\n"
    inverse = f"x = q{name}(target=p{more})\n"
    for text, source, given, expected in (
        (script, "x", (0.0, -1.0, 2.5, 40.0, math.nan, math.inf, -math.inf), {"p": law.cdf, "q": law.sf}),
        (inverse, "p", (0.0, 1.0, 0.5, 1e-10, 0.3, 0.999999), {"x": law.ppf}),
    ):
        module = compile_source(Source("d.dml", text), {}, inputs={source: f64}, outputs=list(expected))
        program = sysmlc.compile(text, inputs={source: 0.5}, outputs=list(expected))
        for value in given:
            for found in (evaluate(module, {source: value}), program.run({source: value})):
                for output, f in expected.items():
                    assert differs(found[output], float(f(value))) == "" or math.isclose(
                        found[output], f(value), rel_tol=1e-9
                    ), (name, value)
    for value in (-0.1, 1.5, math.nan):
        with pytest.raises(NativeError, match="between 0 and 1"):
            sysmlc.run(inverse, inputs={"p": value}, outputs=["x"])
    parameter = more.split(",")[-1].split("=")[0].strip()
    for wrong in ("0", "-1", "0 / 0"):
        with pytest.raises(NativeError, match="must be positive"):
            sysmlc.run(
                f"x = p{name}(target=1{more.rpartition(',')[0]}, {parameter}={wrong})\n", outputs=["x"]
            )


@pytest.mark.parametrize(
    ("call", "value"),
    [
        ("qnorm(target=0.5)", 0.0),
        ("qnorm(target=0.3, mean=1e300)", 1e300),
        ("qnorm(target=0.3, mean=0 / 0)", math.nan),
        ("qnorm(target=0.5, sd=1 / 0)", math.nan),
        ("pchisq(target=1e13, df=1e13)", scipy.stats.chi2.cdf(1e13, 1e13)),
        ("pt(target=1.5, df=1e18)", scipy.stats.norm.cdf(1.5)),
        ("qt(target=0.3, df=1 / 0)", scipy.stats.norm.ppf(0.3)),
        ("pf(target=1.5, df1=1e12, df2=3)", scipy.stats.f.cdf(1.5, 1e12, 3)),
        ("qf(target=0.3, df1=2, df2=1e12)", scipy.stats.f.ppf(0.3, 2, 1e12)),
        ("qchisq(target=0.3, df=1e12)", scipy.stats.chi2.ppf(0.3, 1e12)),
    ],
)
def test_distributions_with_extreme_parameters(call: str, value: float) -> None:
    found = sysmlc.run(f"x = {call}\n", outputs=["x"])["x"]
    assert differs(found, value) == "" or math.isclose(found, value, rel_tol=1e-7)


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
