"""What lowering of cells finds out: safety of zeros, variants, names."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce

import pytest

from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.dialects.core import Constant, Func, Module, Return
from sysmlc.ir.dialects.dml_cell import BINARY, UNARY, Binary, IfElse, Unary
from sysmlc.ir.dialects.kernel import PROBED, SEPARATE, CellKernel, csr_form, form_driver
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Type, f64, matrix
from sysmlc.passes.form_cells import FormCells, as_cell, make_cell
from sysmlc.passes.lower_cells import LowerCells, joint_zeros, zeros_of
from sysmlc.passes.sparse_safety import Unknown, outputs_at

CELL, SCALAR = Unknown.CELL, Unknown.SCALAR


def kernels(make: Callable[..., Value | Sequence[Value]], types: Sequence[Type]) -> list[CellKernel]:
    region = Region(types)
    b = Builder(region)
    made = make(b, *region.args)
    b.op(Return, [made] if isinstance(made, Value) else made)
    top = Region()
    Builder(top).op(Func, sym="main", regions=[region])
    module = Module.new(regions=[top])
    assert isinstance(module, Module)
    FormCells().run(module)
    LowerCells().run(module)
    return [op for op in module.body if isinstance(op, CellKernel)]


def body(make: Callable[..., Value], inputs: int) -> Region:
    """The region of one kernel that computes `make(builder, *cells)`."""

    def cell(b: Builder, *values: Value) -> Sequence[Value]:
        return make_cell(
            b, values, ("map",), [matrix(3, 4)], lambda inner, c: [as_cell(inner, make(inner, *c), f64)]
        ).results

    (kernel,) = kernels(cell, [matrix(3, 4)] * inputs)
    return kernel.body


SAFE_UNARY = {
    "abs", "sin", "tan", "asin", "atan", "sinh", "tanh", "sqrt", "round", "floor", "ceil", "sign", "neg", "isna", "isnan",
    "isinf",
}  # fmt: skip
ZERO_OF_TWO = {
    "add", "sub", "mul", "min", "max", "ne", "lt", "gt", "and", "or", "xor", "bitand", "bitor", "bitxor", "shiftl", "shiftr",
}  # fmt: skip


@pytest.mark.parametrize("fn", UNARY)
def test_functions_of_zero(fn: str) -> None:
    (value,) = outputs_at(body(lambda b, x: b(Unary, fn, x), 1), [0.0])
    assert (value == 0.0) == (fn in SAFE_UNARY)


@pytest.mark.parametrize("fn", BINARY)
def test_operations_of_zero(fn: str) -> None:
    region = body(lambda b, x, y: b(Binary, fn, x, y), 2)
    assert (outputs_at(region, [0.0, 0.0]) == [0.0]) == (fn in ZERO_OF_TWO)
    # 0 times something unknown is 0; 0 over something unknown may be NaN.
    one_side = outputs_at(region, [0.0, CELL])
    assert (one_side == [0.0]) == (fn in ("mul", "and", "bitand"))
    assert one_side in ([0.0], [CELL])


def test_what_depends_on_scalars_only_can_be_probed() -> None:
    region = body(lambda b, x, y, z: b(Binary, "div", b(Binary, "mul", x, y), z), 3)
    assert outputs_at(region, [0.0, CELL, SCALAR]) == [SCALAR]
    assert outputs_at(region, [0.0, CELL, CELL]) == [CELL]
    assert outputs_at(region, [0.0, 5.0, 2.0]) == [0.0]


def test_masks_are_followed() -> None:
    region = body(lambda b, x, y: b(IfElse, x, y, x), 2)
    assert outputs_at(region, [0.0, CELL]) == [0.0]


def test_constants_decide() -> None:
    for value, safe in ((0.0, 1), (1.0, 1), (-1.0, 0)):
        made = kernels(lambda b, x, v=value: b(Binary, "gt", x, b(Constant, value=v)), [matrix(3, 4)])
        assert made[0].sparse_safe == safe


def test_inputs_that_are_zero_together() -> None:
    """Sets of inputs of which it takes all, the smallest ones."""

    def joint(make: Callable[..., Value], inputs: int) -> tuple[tuple[int, int], ...]:
        return joint_zeros(body(make, inputs), [True] * inputs, ["map"])

    def add(b: Builder, *values: Value) -> Value:
        return reduce(lambda x, y: b(Binary, "add", x, y), values)

    def mul(b: Builder, x: Value, y: Value) -> Value:
        return b(Binary, "mul", x, y)

    assert joint(lambda b, x, y, z: add(b, x, y, z), 3) == ((0b111, 0),)
    assert joint(lambda b, x, y, z: mul(b, add(b, x, y), z), 3) == ((0b011, 0),)
    assert joint(lambda b, x, y, z: mul(b, mul(b, x, y), z), 3) == ()
    cross = joint(lambda b, x, d, y, e: add(b, mul(b, x, d), mul(b, y, e)), 4)
    assert {mask for mask, _ in cross} == {0b0101, 0b1001, 0b0110, 0b1010}
    assert joint(lambda b, x, y: b(Unary, "exp", add(b, x, y)), 2) == ()
    quotients = joint(lambda b, x, a, y: add(b, b(Binary, "div", x, a), y), 3)
    assert (0b101, PROBED | 0b010) in quotients  # 0 where a is not


def test_vectors_that_decide_by_themselves() -> None:
    """0 / a / c is 0 unless a or c is: one may be tried without the other. 0 / (a - c) may not."""

    def separate(make: Callable[..., Value]) -> bool:
        return bool(zeros_of(body(make, 3), [True] * 3, ["map"], [0]).needs[0] & SEPARATE)

    def div(b: Builder, x: Value, y: Value) -> Value:
        return b(Binary, "div", x, y)

    assert separate(lambda b, x, a, c: div(b, div(b, x, a), c))
    assert separate(lambda b, x, a, c: b(Binary, "sub", b(Unary, "abs", div(b, x, a)), div(b, x, c)))
    assert separate(lambda b, x, a, c: b(Binary, "mul", div(b, x, a), b(Unary, "exp", c)))
    assert not separate(lambda b, x, a, c: div(b, x, b(Binary, "sub", a, c)))
    assert not separate(lambda b, x, a, c: b(Binary, "mul", div(b, x, a), b(Binary, "mul", a, c)))
    assert not separate(lambda b, x, a, c: b(Binary, "gt", div(b, x, a), c))


def test_forms_name_their_driver() -> None:
    assert [csr_form(i) for i in range(4)] == [1, 2, 3, 4]
    assert [form_driver(csr_form(i)) for i in range(16)] == list(range(16))


def test_names_follow_content() -> None:
    def name(make: Callable[..., Value], types: Sequence[Type]) -> str:
        (kernel,) = kernels(make, types)
        return kernel.sym

    small, large = matrix(3, 4), matrix(30, 40)
    add = name(lambda b, x, y: b(Binary, "add", x, y), [small, small])
    assert add == name(lambda b, p, q: b(Binary, "add", p, q), [large, large])
    assert add != name(lambda b, x, y: b(Binary, "sub", x, y), [small, small])
    assert add != name(lambda b, x, y: b(Binary, "add", x, y), [small, f64])
    assert add.startswith("cell_add_map_")


def test_many_undecided_inputs_leave_few_variants() -> None:
    def make(b: Builder, *values: Value) -> Sequence[Value]:
        def total(inner: Builder, cells: Sequence[Value]) -> Sequence[Value]:
            value = cells[0]
            for cell in cells[1:]:
                value = inner(Binary, "sub", value, cell)
            return [inner(Unary, "exp", value)]

        return make_cell(b, values, ("map",), [matrix()], total).results

    (kernel,) = kernels(make, [matrix()] * 12)
    assert kernel.variants == ((1 << 12) - 1,)
    with pytest.raises(Diagnostic, match="more than 16 inputs"):
        kernels(make, [matrix()] * 17)
