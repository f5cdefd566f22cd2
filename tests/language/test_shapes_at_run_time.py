"""Shapes that only the run time knows: an operator has the shape of its left operand, and vectors are broadcast on the right."""

from __future__ import annotations

import numpy as np
import pytest

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
