"""Row kernels with any number of columns on the narrow side: some are done at a time, and the last of them several times."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

import sysmlc

SCRIPT = """
Q = P * (X %*% V)
R = t(X) %*% (Q - P * rowSums(Q))
M = t(X) %*% (P * rowMaxs(P))
"""


@pytest.mark.parametrize("precision", ["double", "single"])
def test_every_number_of_columns(precision: str) -> None:
    program = sysmlc.compile(SCRIPT, outputs=["R", "M"], precision=precision)
    program.prepare({"X": "matrix", "V": "matrix", "P": "matrix"})
    rng = np.random.default_rng(1)
    elem = np.float64 if precision == "double" else np.float32
    error = 1e-11 if precision == "double" else 2e-4
    for rows, cols, k in itertools.product((16, 21), (5, 40, 130), range(2, 12)):
        x, p = rng.normal(size=(rows, cols)).astype(elem), rng.normal(size=(rows, k)).astype(elem)
        v = rng.normal(size=(cols, k)).astype(elem)
        found = program.run(inputs={"X": x, "V": v, "P": p})
        x, p, v = (m.astype(float) for m in (x, p, v))
        q = p * (x @ v)
        for name, expected in (
            ("R", x.T @ (q - p * q.sum(axis=1, keepdims=True))),
            ("M", x.T @ (p * p.max(axis=1, keepdims=True))),
        ):
            np.testing.assert_allclose(found[name], expected, rtol=error, atol=error * np.abs(expected).max())
