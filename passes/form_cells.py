"""Turn cellwise operations and aggregates on matrices into `fused.cell` regions.

    %z = dml.add %x, %y                        %z = fused.cell %x, %y {outputs = ["map"]} {
                                          →      (%a, %b) { %s = dml.add %a, %b; core.yield %s } }

Relations give 0/1 cells. Scalars are inputs of the region, so that one kernel serves all of them; only the few constants that
kernels profit from are part of the body. `decompose` has turned means and variances into sums before.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Module, Yield
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Outer, Unary
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.dialects.shapes import common_element, constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix, Scalar, Type, f64, i1

SIMPLE_CONSTANTS = frozenset({0.0, 1.0, -1.0, 2.0, 3.0, 4.0, 0.5})
"""Constants that change what a kernel is (x^2, x > 0) instead of only being data."""
REDUCTIONS = {"sum": "sum", "sumsq": "sum", "prod": "prod", "min_of": "min", "max_of": "max"}

BodyMaker = Callable[[Builder, Sequence[Value]], Value]


@register_pass
class FormCells(Pass):
    """Turn cellwise operations and aggregates on matrices into fused.cell regions."""

    name = "form-cells"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name != "core.func":
                continue
            for op in list(func.walk()):
                if _is_cellwise(op) and not _is_row_by_row(op):
                    _form(op)
                    self.count("cells formed")


def _is_cellwise(op: Op) -> bool:
    return isinstance(op, (Unary, Binary, IfElse, Outer, Aggregate)) and any(
        isinstance(v.type, Matrix) for v in op.operands
    )


def _is_row_by_row(op: Op) -> bool:
    """Whether the operation is in a region of its own kind, which runs for each row."""
    return op.parent_op is not None and op.parent_op.name == "fused.row"


def _form(op: Op) -> None:
    b = Builder.before(op)
    outputs: str = "map"
    outer = False
    elem = common_element(op, *op.operands)
    make: BodyMaker
    if isinstance(op, Aggregate):
        fn = op.fn
        outputs = f"{op.dir}:{REDUCTIONS[fn]}"

        def make(inner: Builder, cells: Sequence[Value]) -> Value:
            return inner(Binary, "mul", cells[0], cells[0]) if fn == "sumsq" else cells[0]
    elif isinstance(op, Outer):
        fn, outer = op.op, True

        def make(inner: Builder, cells: Sequence[Value]) -> Value:
            return as_cell(inner, inner(Binary, fn, cells[0], cells[1]), elem)
    else:
        fn, cls = op.fn, type(op)

        def make(inner: Builder, cells: Sequence[Value]) -> Value:
            made = inner(cls, *cells) if isinstance(op, IfElse) else inner(cls, fn, *cells)
            return as_cell(inner, made, elem)

    made = make_cell(b, op.operands, (outputs,), [op.results[0].type], lambda i, c: [make(i, c)], outer)
    made.results[0].name = op.results[0].name
    op.replace_by(made.results)


def as_cell(b: Builder, value: Value, elem: Scalar) -> Value:
    """A truth value as a 0/1 cell."""
    return b(Cast, value, types=[elem]) if value.type is i1 else value


def make_cell(
    b: Builder,
    operands: Sequence[Value],
    outputs: tuple[str, ...],
    types: Sequence[Type],
    body: Callable[[Builder, Sequence[Value]], Sequence[Value]],
    outer: bool = False,
) -> Op:
    """A `fused.cell` over `operands` (matrices first, each once); `body` computes with one value for each operand."""
    inputs: list[Value] = []
    region = Region()
    inner = Builder(region, loc=b.loc)
    elem = next(v.type.elem for v in operands if isinstance(v.type, Matrix))
    cells: dict[Value, Value] = {}
    for value in sorted(operands, key=lambda v: not isinstance(v.type, Matrix)):
        if value in cells:
            continue
        known = None if isinstance(value.type, Matrix) else constant(value)
        if isinstance(known, (int, float)) and float(known) in SIMPLE_CONSTANTS:
            cells[value] = inner(Constant, value=float(known), types=[elem])
            continue
        assert isinstance(value.type, (Matrix, Scalar))
        cells[value] = region.add_arg(elem, value.name)
        scalar = isinstance(value.type, Scalar) and value.type is not f64
        inputs.append(b(Cast, value, types=[f64]) if scalar else value)
    inner.op(Yield, body(inner, [cells[v] for v in operands]))
    return b.op(Cell, inputs, outputs=outputs, outer=outer, regions=[region], types=list(types))
