"""Random DML scripts that are meant to run: the writer knows the type, the shape and the size of everything it writes.

Values are either exact (whole numbers small enough that no order of evaluation rounds) or approximate. Only exact values
decide anything (conditions, indices, prints), so scripts do the same however they are compiled, and results compare.
"""

from __future__ import annotations

import random
from typing import Any

import numpy as np
from scipy import sparse

from tests.language.random_programs.scalars import Variable
from tests.language.random_programs.statements import Retry, Statements

__all__ = ["Writer", "write"]


class Writer(Statements):
    """Writes one script and makes its inputs."""

    def __init__(self, rng: random.Random, statements: int = 12) -> None:
        super().__init__(rng)
        dims = [d for d in (1, 2, 3, 4, 6, 9) if rng.random() < 0.6] or [3]
        self.dims = dims[:3] + ([40] if rng.random() < 0.2 else [])
        lines = [line for _ in range(rng.randrange(3)) for line in self.function()]
        for i in range(rng.randrange(1, 4)):
            self.matrix_input(f"X{i}")
        for name, kind, value in (("n", "int", rng.randrange(5)), ("s", "double", float(rng.randrange(-4, 5))),
                                  ("b", "boolean", rng.random() < 0.5), ("w", "string", rng.choice(("", "a b", "é\"\\")))):  # fmt: skip
            self.inputs[name] = value
            self.env[name] = Variable(name, kind)
        for _ in range(statements):
            lines += self.statement(2)
        self.outputs = [v.name for v in self.env.values() if v.name not in self.fixed]
        self.approximate = {v.name for v in self.env.values() if not v.exact}
        self.text = "\n".join(lines) + "\n"

    def matrix_input(self, name: str) -> None:
        rng = self.rng
        shape = self.shape()
        density = rng.choice((0.0, 0.1, 0.3, 1.0, 1.0))
        cells = [
            float(rng.randrange(-5, 6)) if rng.random() < density else 0.0 for _ in range(shape[0] * shape[1])
        ]
        value: Any = np.array(cells, float).reshape(shape)
        self.inputs[name] = sparse.csr_matrix(value) if rng.random() < 0.5 else value
        self.env[name] = Variable(name, "matrix", shape)


def write(rng: random.Random, statements: int = 12) -> Writer:
    """A script; those that cannot be finished are begun again."""
    while True:
        try:
            return Writer(rng, statements)
        except Retry:
            continue
