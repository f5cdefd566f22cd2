"""Loops that become matrix operations compute what the loops do, and fail where the loops fail.

By hand, for a long time: `python -m tests.passes.test_vectorize_loops 5000`.
"""

from __future__ import annotations

import random
import sys
from typing import Any

import numpy as np
import pytest
from scipy import sparse
from tests.language.test_random_programs import check as check_native
from tests.passes.loop_programs import LoopWriter

from sysmlc.api import _type_of, matrix_facts
from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.verify import verify
from sysmlc.passes import parse_pipeline
from sysmlc.passes.pipelines import FACTS

BEFORE = f"{FACTS},inline,infer,simplify,canonicalize,cse"
AFTER = "infer,canonicalize,cse,dce"
Outcome = dict[str, object] | str


def module_of(made: LoopWriter, sized: bool) -> Op:
    types = {
        name: "i64" if isinstance(v, int) else _type_of(matrix_facts(v) if sized else "matrix")
        for name, v in made.inputs.items()
    }
    types = {n: _type_of(t) if isinstance(t, str) else t for n, t in types.items()}
    return compile_source(Source("loops.dml", made.text), {}, inputs=types, outputs=made.outputs)


def outcome(module: Op, made: LoopWriter) -> Outcome:
    """What the outputs are, or the error with its place."""
    try:
        with np.errstate(all="ignore"):
            return evaluate(module, inputs=made.inputs, output=lambda line: None)
    except Diagnostic as error:
        return str(error)


def check(number: int) -> int:
    """Compare one script before and after the pass; gives how many loops were vectorised."""
    made = LoopWriter(random.Random(number))
    module = module_of(made, sized=number % 2 == 0)
    try:
        PassManager(parse_pipeline(BEFORE)).run(module)
    except (Diagnostic, DiagnosticGroup):  # sizes that do not fit are known before the program runs
        return 0
    expected = outcome(module, made)
    manager = PassManager(parse_pipeline("vectorize-loops"))
    manager.run(module)
    done = manager.statistics["vectorize-loops", "loops vectorised"]
    verify(module, shapes=False)  # what is certain to fail may be in a branch
    compare(outcome(module, made), expected, made, number)
    if not isinstance(expected, str):  # else it may be known that it fails, or what fails may be gone
        PassManager(parse_pipeline(AFTER)).run(module)
        compare(outcome(module, made), expected, made, number)
    return done


def compare(found: Outcome, expected: Outcome, made: LoopWriter, number: int) -> None:
    where = f"in\n{made.text}\n{made.inputs}"
    if isinstance(expected, str) or isinstance(found, str):
        assert found == expected, f"{number}: {found!r} instead of {expected!r} {where}"
        return
    for name in made.outputs:
        a, b = np.asarray(found[name]), np.asarray(expected[name])
        same = a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
        assert same, f"{number}: {name} is\n{a}\ninstead of\n{b} {where}"


@pytest.mark.parametrize("block", range(4))
def test_random_loops(block: int) -> None:
    done = sum(check(number) for number in range(block * 25, block * 25 + 25))
    assert done >= 5, "hardly any of the loops are vectorised"


@pytest.mark.parametrize("number", [4, 15, 30])
def test_native_code(number: int) -> None:
    """The same scripts through all passes, some inputs sparse."""
    made = LoopWriter(random.Random(number))
    for name in made.inputs.keys() & {"X", "C", "v"}:
        made.inputs[name] = sparse.csr_matrix(made.inputs[name])
    check_native(made)


def statistics(text: str, passes: str) -> dict[tuple[str, str], int]:
    module = compile_source(Source("loops.dml", text))
    manager = PassManager(parse_pipeline(f"{BEFORE},{passes}"))
    manager.run(module)
    return manager.statistics


SUM = """X = matrix(seq(1, 12), rows=4, cols=3)
s = 0.0
for (i in 1:4) s = s + sum(X[i, ])
print(s)
"""


def test_sums_stay_as_written_where_that_is_asked_for() -> None:
    assert statistics(SUM, "vectorize-loops")["vectorize-loops", "loops vectorised"] == 1
    strict = statistics(SUM, "vectorize-loops{strict-fp=true}")
    assert strict["vectorize-loops", "loops kept: a sum stays as it is written"] == 1
    largest = SUM.replace("s + sum(X[i, ])", "max(s, sum(X[i, ]))")
    assert statistics(largest, "vectorize-loops{strict-fp=true}")["vectorize-loops", "loops vectorised"] == 1


@pytest.mark.parametrize(
    ("body", "why"),
    [
        ("R[i, ] = R[i - 1, ] + X[i, ]", "a round reads what a round before has written"),
        ("R[i - 1, ] = X[i, ]\n  R[i, ] = X[i, ] * 2", "rounds write to each other's cells"),
        ("R[1, ] = X[i, ]", "every round writes to the same cells"),
        ("R[i, ] = X[i, ] / nrow(X) * sum(R)", "a round needs what the round before has left"),
        ("print(i)\n  R[i, ] = X[i, ]", "dml.print in the loop"),
        ("R[i * i %% 4 + 1, ] = X[i, ]", "an index is no simple function of the counter"),
    ],
)
def test_loops_that_stay(body: str, why: str) -> None:
    text = f"X = matrix(seq(1, 12), rows=4, cols=3)\nR = X\nfor (i in 2:4) {{\n  {body}\n}}\nprint(sum(R))\n"
    counts = statistics(text, "vectorize-loops")
    assert counts["vectorize-loops", f"loops kept: {why}"] == 1, counts


def test_indexes_that_are_the_same_in_every_round() -> None:
    text = (
        "X = matrix(seq(1, 12), rows=4, cols=3)\nR = X\nfor (i in 1:4) {\n  k = as.integer(as.scalar(X[1, 2]))\n"
        "  R[i, ] = X[i, ] * as.scalar(X[k, 1])\n}\nprint(sum(R))\n"
    )
    assert statistics(text, "vectorize-loops")["vectorize-loops", "loops vectorised"] == 1


BRANCHES = {
    "two sums": "if (as.scalar(X[i, 1]) > 0) { s = s + as.scalar(X[i, 2]); c = c + 1 }",
    "a number or a cell": "if (as.scalar(X[i, 1]) > 0) { R[i, 1] = 3 } else { R[i, 1] = X[i, 2] }",
    "a cell or a number": "if (as.scalar(X[i, 1]) > 0) { R[i, 1] = X[i, 2] } else { R[i, 1] = s }",
    "rows added up": "if (as.scalar(X[i, 1]) > 0) { q = q + X[i, ] } else { q = q + 1 }",
    "the largest": "if (as.scalar(X[i, 3]) > p) p = as.scalar(X[i, 3])",
    "the smallest": "if (s > as.scalar(X[i, 3])) s = as.scalar(X[i, 3])",
    "counters compared": "for (j in 1:3) { if (j <= i) R[i, j] = 7 }",
    "the diagonal": "for (j in 1:3) { if (i == j) { R[i, j] = 1 } else { R[i, j] = X[i, j] } }",
}


def without_loops(text: str, outputs: tuple[str, ...]) -> tuple[dict[str, Any], dict[str, Any]]:
    """What a script gives before and after the pass, which has to leave no loop."""
    module = compile_source(Source("loops.dml", text), {}, outputs=outputs)
    PassManager(parse_pipeline(BEFORE)).run(module)
    with np.errstate(all="ignore"):
        expected = evaluate(module)
        manager = PassManager(parse_pipeline("vectorize-loops"))
        manager.run(module)
        found = evaluate(module)
    assert not any(op.name == "scf.for" for op in module.walk()), manager.statistics
    return expected, found


@pytest.mark.parametrize("first", ["1", "-1 / 0", "0 / 0"])
@pytest.mark.parametrize("name", BRANCHES)
def test_branches_become_choices(name: str, first: str) -> None:
    """Also of cells that are NaN, which are neither greater nor smaller than others."""
    text = (
        "X = matrix(seq(-8, 6), rows=5, cols=3)\nX[2, 1] = 0 / 0\nX[3, 3] = 0 / 0\nR = X\nq = X[1, ]\n"
        f"c = 0\ns = {first}\np = {first}\nfor (i in 1:5) {{\n  {BRANCHES[name]}\n}}\n"
    )
    expected, found = without_loops(text, ("R", "q", "c", "s", "p"))
    for key, value in expected.items():
        assert np.allclose(found[key], value, equal_nan=True), key


RACES = {
    "the first of the largest": "v = as.scalar(X[i, 3]); if (v > p) { p = v; at = i; q = as.scalar(X[i, 1]) }",
    "the last of the largest": "v = as.scalar(X[i, 3]); if (p <= v) { p = v; at = 2 * i - 1 }",
    "the first of the smallest": "v = as.scalar(X[i, 3]); if (v < p) { p = v; at = i; q = 7.0 }",
    "the last of the smallest": "v = as.scalar(X[i, 3]); if (v <= p) { p = v; at = i }",
    "of some": "v = as.scalar(X[i, 3]); if (as.scalar(X[i, 1]) > 0) { if (v > p) { p = v; at = i } }",
    "of some, downwards": "v = as.scalar(X[7 - i, 3]); if (v >= p & i != 2) { p = v; at = 7 - i }",
    "the last with": "if (as.scalar(X[i, 1]) > 0) { at = i }",
    "of all cells": "for (j in 1:3) { v = as.scalar(X[i, j]); if (v > p) { p = v; at = i; q = j + 0.5 } }",
    "the last of all cells": "for (j in 3:1) { v = as.scalar(X[i, j]); if (v <= p) { p = v; at = 10 * i + j } }",
    "of a triangle": "for (j in 1:i) { v = as.scalar(S[i, j]); if (v > p) { p = v; at = 10 * i + j; q = as.scalar(S[j, i]) } }",
}


@pytest.mark.parametrize("first", ["1.0", "-1 / 0", "1 / 0", "0 / 0"])
@pytest.mark.parametrize("cells", ["some equal", "infinite", "no numbers"])
@pytest.mark.parametrize("name", RACES)
def test_races(name: str, cells: str, first: str) -> None:
    """The round that wins is the one that the loop leaves, among equal ones, infinite ones and those that are NaN."""
    made = {
        "some equal": "X[2, 1] = 0 / 0\nX[3, 3] = 0 / 0\n",
        "infinite": "X[, 3] = matrix(-1 / 0, rows=6, cols=1)\nX[4, 3] = 1 / 0\nX[5, 3] = 0 / 0\n",
        "no numbers": "X = X / 0 * 0\n",
    }[cells]
    text = (
        "X = matrix(seq(1, 18) %% 5 - 2, rows=6, cols=3)\nS = matrix(seq(1, 36) %% 7, rows=6, cols=6)\n"
        f"{made}at = 0\nq = -9.0\np = {first}\nfor (i in 1:6) {{\n  {RACES[name]}\n}}\n"
    )
    expected, found = without_loops(text, ("p", "q", "at"))
    for key, value in expected.items():
        assert np.array_equal(found[key], value, equal_nan=True), f"{key}: {found[key]} instead of {value}"


NEIGHBOURS = {
    "the row before": "if (i > 1) R[i, ] = X[i, ] - X[i - 1, ]",
    "the row after, or none": "if (i < nrow(X)) { R[i, ] = X[i + 1, ] } else { R[i, ] = X[1, ] }",
    "both rows": "if (i > 1 & i < nrow(X)) R[i, ] = X[i - 1, ] + X[i + 1, ]",
    "the first is another": "if (i == 1) { R[i, ] = X[i, ] } else { R[i, ] = X[i - 1, ] }",
    "not the last": "if (i != nrow(X)) s = s + sum(X[i + 1, ])",
    "up to k": "if (i <= k) s = s + sum(X[i + k, ])",
}


@pytest.mark.parametrize("rows", [1, 5])
@pytest.mark.parametrize("name", NEIGHBOURS)
def test_loops_are_taken_apart_where_branches_ask_for_the_counter(name: str, rows: int) -> None:
    text = f"R = X * 0\ns = 0.0\nfor (i in 1:nrow(X)) {{\n  {NEIGHBOURS[name]}\n}}\n"
    module = compile_source(
        Source("loops.dml", text),
        {},
        inputs={"X": _type_of("matrix"), "k": _type_of("i64")},
        outputs=("R", "s"),
    )
    inputs = {"X": np.arange(rows * 3.0).reshape(rows, 3), "k": rows // 2}
    PassManager(parse_pipeline(BEFORE)).run(module)
    expected = evaluate(module, inputs=inputs)
    manager = PassManager(parse_pipeline("vectorize-loops"))
    manager.run(module)
    assert manager.statistics["vectorize-loops", "loops taken apart"], manager.statistics
    found = evaluate(module, inputs=inputs)
    assert np.array_equal(found["R"], expected["R"])
    assert found["s"] == expected["s"]


if __name__ == "__main__":
    total = sum(check(number) for number in range(int(sys.argv[1])))
    print(f"{total} loops vectorised")
