"""Which kernel variants a program is linked with: formats and classes of inputs that cannot occur are left out."""

from __future__ import annotations

from typing import Any

from sysmlc.codegen.cpu.compile import Options, effort, lower_module
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Source


def lowered(text: str) -> Any:
    module = compile_source(Source("t.dml", text), {}, runtime_args=True)
    lower_module(module, Options())
    return module


def variants(text: str, *verbs: str) -> list[tuple[int, ...]]:
    """The keys of the kernels whose names begin with these words."""
    kernels = [op for op in lowered(text).body if op.name in ("kernel.cell", "kernel.row")]
    return [k.variants for k in kernels if str(k.attrs["sym"]).startswith("_".join(verbs))]


def test_what_a_loop_carries_is_dense_if_it_always_is() -> None:
    text = """X = read($X)
V = {start}
for (i in 1:$n) {{ V = sin(V) * 3.5
  print(sum(V)) }}
print(toString(V + X))"""
    assert variants(text.format(start="exp(X)"), "cell", "sin") == [(1,)]
    assert variants(text.format(start="X"), "cell", "sin") == [(1, 0x10001)]


def test_a_branch_that_may_be_sparse_is_enough() -> None:
    text = """X = read($X)
V = exp(X)
if ($n > 1) {{ V = {other} }}
print(sum(sin(V)))"""
    assert variants(text.format(other="V %*% X"), "cell", "sin") == [(1,)]
    assert variants(text.format(other="X %*% X"), "cell", "sin") == [(1, 0x10001)]


def test_joined_sparse_operands_stay_sparse() -> None:
    text = "X = read($X)\nprint(sum(sin(cbind({0}, {1}))))"
    assert variants(text.format("exp(X)", "sqrt(exp(X))"), "cell", "sin") == [(1,)]
    assert variants(text.format("exp(X)", "X"), "cell", "sin") == [(1, 0x10001)]


def test_inputs_of_one_shape_are_read_in_one_way() -> None:
    text = "X = read($X)\nprint(toString(exp(X) * rowSums(X) + rowMaxs(X) / 3.5))"
    # Both column vectors are repeated along the rows, or X has one column too.
    assert variants(text, "cell", "exp") == [(0b001, 0b111)]


def test_columns_of_the_same_name_need_no_variant_for_one() -> None:
    text = "X = read($X)\nprint(toString(X - colMeans(X)))"
    assert variants(text, "cell", "sub") == [(0b11,)]


def test_products_of_unknown_width_have_one_dense_row_variant() -> None:
    text = "X = read($X)\nV = read($V)\nprint(toString(t(X) %*% (X %*% V)))"
    assert variants(text, "row") == [(0b11, 0x10003)]


def test_programs_that_only_launch_are_not_optimised_as_if_they_computed() -> None:
    launches = "X = read($X)\nfor (i in 1:10) { X = X * 2.5\nprint(sum(X)) }"
    sometimes = (
        "s = 0.0\nm = as.double($m)\nfor (i in 1:$n) { s = s * 0.5 + i\nif (s > m) { print(s) } }\nprint(s)"
    )
    computing = "s = 0.0\nfor (i in 1:$n) { s = s * 0.5 + i }\nprint(s)"
    assert [effort(lowered(text)) for text in (launches, sometimes, computing)] == [0, 1, 2]
    assert effort(lowered(f"{sometimes}\n{launches}")) == 1
    assert effort(lowered(f"{computing}\n{launches}")) == 2
