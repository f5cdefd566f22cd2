"""The search for fusion plans of cells ends, however much is shared."""

from __future__ import annotations

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
