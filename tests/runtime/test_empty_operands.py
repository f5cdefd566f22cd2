"""Operands without non-zeros: products and aggregates of them allocate their results and do nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse

import sysmlc

EMPTY = sparse.csr_matrix((3000, 2000))
WIDE = sparse.csr_matrix((2000, 3000))
FULL = np.arange(2000.0 * 1500).reshape(2000, 1500)
SPARSE = sparse.random(2000, 2500, 0.01, format="csr", random_state=1)

CASES = {
    "E %*% D": (3000, 1500), "E %*% S": (3000, 2500), "t(D) %*% t(E)": (1500, 3000), "t(S) %*% t(E)": (2500, 3000),
    "t(E) %*% E": (2000, 2000), "E %*% W": (3000, 3000), "t(E)": (2000, 3000), "abs(E)": (3000, 2000), "E * 3": (3000, 2000),
    "t(E) * (W + W)": (2000, 3000), "rowSums(E)": (3000, 1), "colSums(E)": (1, 2000), "rowMaxs(E)": (3000, 1),
    "as.matrix(sum(E))": (1, 1), "as.matrix(max(E))": (1, 1), "E[5:90, ]": (86, 2000), "rev(E)": (3000, 2000),
    "cbind(E, E)": (3000, 4000), "rbind(E, E)": (6000, 2000),
}  # fmt: skip


@pytest.mark.parametrize("known", [True, False], ids=["known", "unknown"])
@pytest.mark.parametrize("expression", CASES)
def test_nothing_is_computed_or_converted(expression: str, known: bool) -> None:
    """Whether the compiler knows that there are no non-zeros, or the run time finds it."""
    inputs = {n: v for n, v in {"E": EMPTY, "D": FULL, "S": SPARSE, "W": WIDE}.items() if n in expression}
    kinds = None if known else dict.fromkeys(inputs, "matrix")
    program = sysmlc.compile(f"R = {expression}\n", outputs=["R"], inputs=kinds)
    context = None

    def configure(made: object) -> None:
        nonlocal context
        context = made
        made.enable_statistics()  # type: ignore[attr-defined]

    result = program.run(inputs, configure=configure)["R"]
    assert result.shape == CASES[expression]
    assert (result.nnz if sparse.issparse(result) else np.count_nonzero(result)) == 0
    report = context.statistics(20)  # type: ignore[attr-defined]
    assert "Conversions: 0 to dense, 0 to sparse" in report


def test_what_is_not_finite_decides_in_dense_products_only() -> None:
    """Zeros that are not stored are zeros in products, whatever they meet; those of dense matrices are not."""
    infinite = np.full((2000, 3), np.inf)
    program = sysmlc.compile("R = E %*% D\n", outputs=["R"])
    assert (program.run({"E": EMPTY, "D": infinite})["R"] == 0).all()
    assert np.isnan(program.run({"E": np.zeros((30, 2000)), "D": infinite})["R"]).all()
