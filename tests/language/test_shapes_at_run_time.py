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
    ["v * X", "w + X", "X * (v * X)", "exp(v) - exp(X)", "sum(v * X)", "(v + v) * X + X", "v * w"],
)
def test_a_smaller_left_operand_is_an_error(expression: str, level: int) -> None:
    with pytest.raises(NativeError, match=r"<script>:1:\d+: error: the operands .*do not fit: (3x1|1x3) and"):
        program(expression, level).run(inputs=GIVEN)


@pytest.mark.parametrize("level", [0, 2])
@pytest.mark.parametrize(
    "expression", ["X * v", "X + w", "(X * v) - w", "X * (v + v)", "ifelse(X > v, X, 0)", "X * (w * w)"]
)
def test_vectors_on_the_right_are_broadcast(expression: str, level: int) -> None:
    assert program(expression, level).run(inputs=GIVEN)["r"].shape == (3, 3)
