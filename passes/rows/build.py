"""Build the `fused.row` of a group of operations."""

from __future__ import annotations

from functools import reduce

from sysmlc.ir.core import Builder, Op, Region, Value, clone
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_cell import PREDICATES, Aggregate, Binary
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import Index, Length, MatMul, NCol, NRow
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.fused import Row
from sysmlc.ir.dialects.scf import If
from sysmlc.ir.dialects.shapes import constant, constant_int
from sysmlc.ir.types import Matrix, Type, f64, matrix
from sysmlc.passes.form_cells import SIMPLE_CONSTANTS
from sysmlc.passes.rows.fits import Fit, Size, product_factors
from sysmlc.passes.rows.grow import (
    LARGE,
    MANY,
    MAX_NARROW,
    MAX_SIDE,
    Guard,
    RowGroup,
    is_constant_column,
)


def build(group: RowGroup, b: Builder) -> Op:
    """Insert the fused operation, or a choice between it and the operations one by one. Results are `group.outputs()`."""
    outputs = group.outputs()
    types = [v.type for v in outputs]
    if group.is_certain:
        return _fused(group, outputs, types, b)
    holds = [_holds(guard, group.main, b) for guard in group.guards]
    holds += [_fits(fit, b) for fit in group.fits]
    condition = reduce(lambda one, other: b(Binary, "and", one, other), holds)
    fused, plain = Region(), Region()
    then = Builder(fused, loc=b.loc)
    then.op(Yield, _fused(group, outputs, types, then).results)
    otherwise = Builder(plain, loc=b.loc)
    known: dict[Value, Value] = {}
    for op in group.members:
        factors = product_factors(op)
        if factors is None:
            otherwise.insert(clone(op, known))
            continue
        made = otherwise.op(
            MatMul, *(known.get(v, v) for v in factors), transpose="l", types=[op.results[0].type], loc=op.loc
        )
        known[op.results[0]] = made.results[0]
    otherwise.op(Yield, [known[v] for v in outputs])
    return b.op(If, condition, types=types, regions=[fused, plain])


def _holds(guard: Guard, main: Value, b: Builder) -> Value:
    what, value = guard
    if what == "small":
        return b(Binary, "le", b(Length, value), b(Constant, value=MAX_SIDE))
    if what.startswith("thin"):
        size = b(NRow if what.endswith(" rows") else NCol, value)
        few = b(Binary, "lt", size, b(Constant, value=MANY))
        limit = int(what.split()[1])
        return b(Binary, "or", few, b(Binary, "le", b(NCol, main), b(Constant, value=limit)))
    if what == "some rows":
        return b(Binary, "ge", b(NRow, value), b(Constant, value=1))
    if what.startswith("single"):
        size = b(NRow if what == "single rows" else NCol, value)
        return b(Binary, "eq", size, b(Constant, value=1))
    if what.startswith("cheap"):
        size = b(NRow if what == "cheap rows" else NCol, value)
        few = b(Binary, "lt", size, b(Constant, value=MANY))
        return b(Binary, "or", few, b(Binary, "ge", b(Length, main), b(Constant, value=LARGE)))
    if what.startswith("narrow"):
        size = b(NRow if what == "narrow rows" else NCol, value)
        return b(Binary, "le", size, b(Constant, value=MAX_NARROW))
    count = NRow if what == "rows" else NCol
    return b(Binary, "eq", b(count, value), b(count, main))


def _fits(fit: Fit, b: Builder) -> Value:
    def size(of: Size) -> Value:
        if isinstance(of.known, int):
            return b(Constant, value=of.known)
        assert of.value is not None
        return b(NRow if of.axis == "rows" else NCol, of.value)

    one = size(fit.one)
    equal = b(Binary, "eq", one, size(fit.other))
    return b(Binary, "or", b(Binary, "eq", one, b(Constant, value=1)), equal) if fit.repeated else equal


def _fused(group: RowGroup, outputs: list[Value], types: list[Type], b: Builder) -> Op:
    region = Region()
    inner = Builder(region, loc=b.loc)
    operands: list[Value] = []
    roles: list[str] = []
    known: dict[Value, Value] = {}
    sides: dict[Value, Value] = {}
    integers: dict[int | None, Value] = {}

    def operand(value: Value, role: str, type: Type) -> Value:
        operands.append(value)
        roles.append(role)
        return region.add_arg(type, value.name)

    def integer(number: int | None) -> Value:
        if number not in integers:
            integers[number] = inner(Constant, value=number)
        return integers[number]

    def row(value: Value) -> Value:
        if value not in known:
            type = value.type
            if isinstance(type, Matrix) and is_constant_column(value, group.main):
                assert isinstance(value.op, Fill)
                known[value] = inner(
                    Fill, row(value.op.operands[0]), integer(1), integer(1), elem=type.elem.text
                )
            elif isinstance(type, Matrix):
                known[value] = operand(value, "row", matrix(1, type.cols, type.elem))
            else:
                number = constant(value)
                if isinstance(number, (int, float)) and float(number) in SIMPLE_CONSTANTS:
                    known[value] = inner(Constant, value=float(number))
                else:
                    scalar = value if type is f64 else b(Cast, value, types=[f64])
                    known[value] = operand(scalar, "scalar", f64)
        return known[value]

    row(group.main)
    kinds: dict[Value, str] = {}
    closing: dict[Value, Value] = {}
    for op in group.members:
        inner.loc = op.loc
        result, factors = op.results[0], product_factors(op)
        if factors is not None:
            closing[result] = inner(MatMul, *(row(v) for v in factors), transpose="l")
            kinds[result] = "product"
        elif isinstance(op, MatMul):
            if op.rhs not in sides:
                sides[op.rhs] = operand(op.rhs, "side", _side_type(group, op.rhs))
            known[result] = inner(MatMul, row(op.lhs), sides[op.rhs], transpose=op.transpose)
        elif isinstance(op, Index):
            bounds = [integer(constant_int(v)) for v in (op.rl, op.rl, op.cl, op.cu)]
            known[result] = inner(Index, row(op.operand), *bounds)
        elif isinstance(op, Aggregate) and op.dir != "row":
            cells = row(op.operand)
            if op.dir == "full":
                closing[result] = inner(Aggregate, op.fn, cells)
                kinds[result] = "full:" + {"min_of": "min", "max_of": "max"}.get(op.fn, "sum")
            else:
                closing[result] = inner(Binary, "mul", cells, cells) if op.fn == "sumsq" else cells
                kinds[result] = "col:sum"
        else:
            beside = {v: row(v) for v in op.operands}
            if is_share(op):
                reciprocal = inner(Binary, "div", inner(Constant, value=1.0), beside[op.operands[1]])
                known[result] = inner(Binary, "mul", beside[op.operands[0]], reciprocal)
                continue
            made = inner.insert(clone(op, beside))
            made.results[0].type = next(iter(made.infer()))
            known[result] = made.results[0]
    inner.loc = b.loc
    inner.op(Yield, [closing[v] if v in closing else known[v] for v in outputs])
    return b.op(
        Row,
        operands,
        roles=tuple(roles),
        outputs=tuple(kinds.get(v, "map") for v in outputs),
        regions=[region],
        types=types,
    )


def is_share(op: Op) -> bool:
    """Whether truth values are divided by how many of them hold in the row. Multiplied by the reciprocal, of which there is one a
    row, they are the same: both are rounded once, and nothing overflows."""
    count = op.operands[1].op if op.fn == "div" else None
    return (
        count is not None
        and count.name == "dml.sum"
        and all(v.op is not None and v.op.fn in PREDICATES for v in (op.operands[0], *count.operands))
    )


def _side_type(group: RowGroup, side: Value) -> Matrix:
    """The type of a side inside the region: it knows what the conditions say."""
    type = side.type
    assert isinstance(type, Matrix)
    rows = 1 if ("single rows", side) in group.guards else type.rows
    cols = 1 if ("single", side) in group.guards else type.cols
    return matrix(rows, cols, type.elem)
