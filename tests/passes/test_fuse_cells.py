"""The search for fusion plans of cells ends, however much is shared."""

from __future__ import annotations

import numpy as np

import sysmlc
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.passes import parse_pipeline


def test_products_of_products_are_looked_at_once() -> None:
    """Whether M40 may be sparse depends on M39, twice; written out, that would be asked 2^40 times."""
    lines = ["M0 = rand(rows=200, cols=300, sparsity=0.1)", "N0 = rand(rows=200, cols=300, sparsity=0.1)"]
    for i in range(40):
        lines += [f"M{i + 1} = M{i} * N{i}", f"N{i + 1} = N{i} * abs(M{i})"]
    lines.append("print(sum(M40) + sum(N40))")
    module = compile_source(Source("t.dml", "\n".join(lines) + "\n"), {})
    PassManager(parse_pipeline("infer,canonicalize,decompose,form-cells,fuse-cells")).run(module)
    cells = [op for op in module.walk() if op.name == "fused.cell"]
    assert 0 < len(cells) < 80


def test_a_column_spread_over_a_row_meets_a_full_matrix() -> None:
    """The loop becomes `ifelse(outer, outer, X)`: in the region the column stands to the left of cells of X, rightly so."""
    script = "for (i in 1:nrow(X)) { if (i != 7) { X[i, ] = matrix(i, 1, ncol(X)); } }\nr = sum(X)\n"
    assert sysmlc.run(script, inputs={"X": np.zeros((40, 50))}, outputs=["r"])["r"] == 50 * (
        sum(range(1, 41)) - 7
    )
