"""Shapes that only the run time knows: an operator has the shape of its left operand, and vectors are broadcast on the right."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from scipy import sparse

import sysmlc
from sysmlc.runtime.bridge import NativeError

GIVEN = {"X": np.ones((3, 3)), "v": np.ones((3, 1)), "w": np.ones((1, 3))}


def program(expression: str, level: int) -> sysmlc.Program:
    made = sysmlc.compile(f"r = {expression}", outputs=["r"], optimize=level)
    made.prepare(dict.fromkeys(GIVEN, "matrix"))
    return made


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize(
    "expression",
    [
        "v * X",
        "w + X",
        "X * (v * X)",
        "exp(v) - exp(X)",
        "sum(v * X)",
        "(v + v) * X + X",
        "v * w",
        "w * w * X",
    ],
)
def test_a_smaller_left_operand_is_an_error(expression: str, level: int) -> None:
    with pytest.raises(NativeError, match=r"<script>:1:\d+: error: the operands .*do not fit: (3x1|1x3) and"):
        program(expression, level).run(inputs=GIVEN)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize(
    "expression",
    [
        "X * v",
        "X + w",
        "(X * v) - w",
        "X * (v + v)",
        "ifelse(X > v, X, 0)",
        "X * (w * w)",
        "-X + w * w * 2",
        "1 / X * (w * w) / v",
    ],
)
def test_vectors_on_the_right_are_broadcast(expression: str, level: int) -> None:
    assert program(expression, level).run(inputs=GIVEN)["r"].shape == (3, 3)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize(
    ("expression", "value"),
    [
        ("sum(outer(u, round(w) * matrix(0, 1, 3), '-') %% 13)", 15.0),
        ("sum(outer(u, t(v), '-') + w)", 15.0),
        ("sum(outer(v, w, '+') * X)", 18.0),
    ],
)
def test_outer_with_a_vector_of_one_cell(expression: str, value: float, level: int) -> None:
    """The left vector is smaller than the result, also where the right one is as large, and the two are fused with others."""
    for script, more in (("u = as.matrix(k)\n", {"k": 5.0}), ("", {"u": np.array([[5.0]])})):
        program = sysmlc.compile(f"{script}r = {expression}", outputs=["r"], optimize=level)
        assert program.run(inputs={**GIVEN, **more})["r"] == value


@pytest.mark.parametrize("stored", [np.asarray, sparse.csr_matrix])
@pytest.mark.parametrize("level", [0, 2])
def test_the_left_operand_of_an_expression_over_rows_may_not_be_smaller(level: int, stored: Any) -> None:
    program = sysmlc.compile("P = (X %*% B) * Y\nQ = t(X) %*% P", outputs=["Q"], optimize=level)
    program.prepare(dict.fromkeys("XBY", "matrix"))
    X = np.arange(20.0).reshape(5, 4) * (np.arange(20).reshape(5, 4) % 3 == 0)
    B, Y = np.ones((4, 1)), np.ones((5, 3))
    message = r"<script>:1:5: error: the operands of \* do not fit: 5x1 and 5x3\n"
    with pytest.raises(NativeError, match=message):
        program.run(inputs={"X": stored(X), "B": B, "Y": Y})
    found = program.run(inputs={"X": stored(X), "B": np.ones((4, 3)), "Y": Y[:, :1]})["Q"]
    assert np.array_equal(found, X.T @ (X @ np.ones((4, 3))))


@pytest.mark.parametrize(
    "script",
    [
        "P = (X %*% B) * Y\nQ = t(X) %*% P",
        "P = Y * (X %*% B)\nQ = t(X) %*% P",
        "P = X * Y\nQ = t(P) %*% (P %*% B)",
        "P = rowSums(X) * Y\nQ = t(X) %*% P",
        "P = (X %*% B) * Y\nP = P / rowSums(P)\nQ = t(X) %*% P",
        "P = ifelse(Y > 0, X %*% B, 1)\nQ = t(X) %*% P",
    ],
)
def test_expressions_over_rows_fail_as_their_operations_do(script: str) -> None:
    """Random shapes, most of which fit: equal results, or the same error in the same place."""
    rng = np.random.default_rng(len(script))
    programs = [sysmlc.compile(script, outputs=["P", "Q"], optimize=level) for level in (0, 2)]
    for program in programs:
        program.prepare(dict.fromkeys("XBY", "matrix"))
    failed = 0
    for _ in range(40):
        rows, cols, some = (int(rng.choice(c)) for c in ([1, 4, 9], [1, 3, 5], [1, 2, 3]))
        inner, rows_y = rng.choice([cols, cols, cols, 2]), rng.choice([1, rows, rows, 2])
        inputs = {
            "X": cells(rng, rows, cols),
            "B": rng.random((inner, some)),
            "Y": cells(rng, rows_y, rng.choice([1, some, some, 2, cols])),
        }
        expected, found = (outcome(p, inputs) for p in programs)
        failed += isinstance(expected, str)
        if isinstance(expected, str) or isinstance(found, str):
            assert expected == found
        else:
            for a, b in zip(expected, found, strict=True):
                np.testing.assert_allclose(a, b)
    assert 5 < failed < 35


def test_what_cannot_fit_is_not_supposed() -> None:
    """One column for a side of unknown size is a supposition; here another operand has three."""
    script = """
X = rand(rows=2, cols=n, seed=1)
M = colSums(floor(matrix(0, rows=1, cols=3) %*% round(rand(rows=ncol(X), cols=ncol(X), min=-3, max=3, seed=2))))
P = sum(M + matrix(0, rows=1, cols=3))
"""
    program = sysmlc.compile(script, outputs=["P"])
    program.prepare({"n": "i64"})
    assert program.run(inputs={"n": 3})["P"] == 0
    with pytest.raises(NativeError, match=r"1x3 %\*% 4x4"):
        program.run(inputs={"n": 4})


def cells(rng: np.random.Generator, rows: int, cols: int) -> Any:
    made = rng.random((rows, cols)) + 0.1
    return made if rng.random() < 0.6 else sparse.csr_matrix(made * (rng.random((rows, cols)) < 0.4))


def outcome(program: sysmlc.Program, inputs: dict[str, Any]) -> Any:
    """Its results, or the text of its error."""
    try:
        context = program.run(inputs=inputs)
    except NativeError as error:
        return str(error)
    # A sparse result and its zeros are the same as a dense one; 0/0 is nobody's business here.
    return [np.nan_to_num(m.toarray() if sparse.issparse(m) else m, nan=0.0) for m in map(context.get, "PQ")]
