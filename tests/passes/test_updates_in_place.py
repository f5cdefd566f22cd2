"""Matrices that loops change by cells and rows are never copied: the peak is that of one matrix, wherever the change is."""

from __future__ import annotations

import pytest

from sysmlc.api import Program
from sysmlc.codegen.cpu.compile import Options
from sysmlc.ir.source import Source
from sysmlc.runtime.library import native

ROWS, COLS = 600, 500
MATRIX = ROWS * COLS * 8
START = f"X = rand(rows={ROWS}, cols={COLS}, seed=1)\n"

# Rounds need what the round before has written, so that the loops stay.
SCRIPTS = {
    "in a branch": (
        "for (i in 2:600) {\n  if (as.scalar(X[i - 1, 1]) > 0.5) { X[i, ] = X[i - 1, ] * 0.5 + X[i, ] } else { X[i, 1] = 0.25 }\n}\n"
    ),
    "in a nest": (
        "for (i in 2:40) {\n  k = 0\n  while (k < 3) {\n"
        "    for (j in 1:3) { if (k > 0) { X[i, j] = as.scalar(X[i - 1, j]) + k } }\n    k = k + 1\n  }\n}\n"
    ),
    "in a function": (
        "f = function(matrix[double] X, int i) return (matrix[double] Y) {\n"
        "  Y = X\n  if (as.scalar(X[i - 1, 1]) > 0.3) { Y[i, ] = X[i - 1, ] * 0.5 }\n}\nfor (i in 2:50) { X = f(X, i) }\n"
    ),
    "in a recursive function": (
        "h = function(matrix[double] X, int i) return (matrix[double] X) {\n"
        "  if (i > 1) { X[i, 1] = as.scalar(X[i - 1, 1]) + 1; X = h(X, i - 1) }\n}\nX = h(X, 50)\n"
    ),
    "under another name": "for (i in 2:50) { Z = X; Z[i, ] = Z[i - 1, ] + 1; X = Z }\n",
    "all cells": "for (i in 1:20) { X = X - 0.1 * X ^ 2; if (i %% 2 == 0) { X = X * 0.9 } }\n",
    "with products beside": "for (i in 2:50) { s = sum(X[i - 1, ] %*% t(X[i, ])); X[i, 2] = s / 1000 }\n",
}


@pytest.mark.parametrize("name", SCRIPTS)
def test_no_copy_is_made(name: str) -> None:
    script = START + SCRIPTS[name] + "print(sum(X))\n"
    program = Program(Source("case.dml", script), outputs=(), options=Options(level=2))
    program.run()
    native().sm_reset_peak()
    before = native().sm_bytes_live()
    program.run()
    assert native().sm_bytes_peak() - before < 1.2 * MATRIX


def test_what_somebody_else_holds_is_copied_once() -> None:
    script = START + "Y = X\nfor (i in 2:50) { X[i, ] = X[i - 1, ] + 1 }\nprint(sum(X) - sum(Y))\n"
    program = Program(Source("case.dml", script), outputs=(), options=Options(level=2))
    program.run()
    native().sm_reset_peak()
    before = native().sm_bytes_live()
    program.run()
    assert 2 * MATRIX <= native().sm_bytes_peak() - before < 2.2 * MATRIX
