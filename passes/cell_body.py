"""What all forms of cell kernels share: the body at some width, and the states of aggregates."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Constant, Yield
from sysmlc.ir.dialects.dml_cell import PREDICATES, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_scalar import Cast
from sysmlc.ir.dialects.kernel import CellKernel, KernelFor, KernelIf
from sysmlc.ir.dialects.kernel_lanes import (
    Halves,
    Integer,
    IntegerRelation,
    PairHalves,
    Precision,
    Splat,
    TwoSum,
    pairing,
)
from sysmlc.ir.dialects.kernel_memory import Field, Gather, Load, Offset, Store
from sysmlc.ir.source import UNKNOWN, Location
from sysmlc.ir.types import Scalar, Vector, bytes_of, f64, i64
from sysmlc.passes.cell_places import PLACES, merge_places, start_place

ROUNDED = frozenset({
    "exp", "log", "sin", "cos", "tan", "asin", "acos", "atan", "sinh", "cosh", "tanh", "sigmoid", "pow", "log_base",
})  # fmt: skip
"""Functions whose results are off by more than half a unit in the last place, and take a while."""
EXPENSIVE = ROUNDED | {"div", "mod", "intdiv", "sqrt"}
WHOLE = PREDICATES | {"round", "floor", "ceil", "sign", "intdiv"}
"""Functions whose results are exact, even of numbers that are not."""
IDENTITY = {"sum": 0.0, "prod": 1.0, "min": float("inf"), "max": float("-inf")}

EXTREMES = frozenset({"min", "max"})

State = list[Value]
"""The running values of one aggregate: {value, compensation} or, of f32, {value} in f64; {product}; {extreme, NaN if one was
seen}."""
LoopBody = Callable[["Code", Value, list[Value]], Sequence[Value]]


class Code(Builder):
    """A builder with short forms for what kernels are made of; `elem` is what cells are. Numbers and addresses are computed once in
    a region and what is inside of it."""

    elem: Scalar = f64

    def __init__(self, region: Region, anchor: Op | None = None, loc: Location = UNKNOWN) -> None:
        super().__init__(region, anchor, loc)
        self._known: dict[tuple[Any, ...], Value] = {}

    def _once(self, cls: Callable[..., Op], *args: Any, **attrs: Any) -> Value:
        key = cls, args, *attrs.values()
        found = self._known.get(key)
        if found is None:
            found = self._known[key] = self(cls, *args, **attrs)
        return found

    @property
    def cell_size(self) -> int:
        """Bytes of a cell."""
        return bytes_of(self.elem)

    def number(self, value: float | bool) -> Value:
        return self(Constant, value=value)

    def cell(self, value: float, lanes: int) -> Value:
        """A constant cell in every lane."""
        return self.wide(self(Constant, value=value, types=[self.elem]), lanes)

    def nested(self, region: Region) -> Code:
        """A builder for a region inside of this code."""
        made = Code(region, loc=self.loc)
        made.elem = self.elem
        made._known = dict(self._known)
        return made

    def widened(self, value: Value) -> Value:
        """A cell (or lanes of them) as f64."""
        return value if self.elem is f64 else self(Precision, "widen", value)

    def rounded(self, value: Value) -> Value:
        """An f64 as a cell."""
        return value if self.elem is f64 else self(Precision, "narrow", value)

    def integer(self, value: int) -> Value:
        return self._once(Constant, value=value)

    def add(self, a: Value, b: Value) -> Value:
        return self._once(Integer, "iadd", a, b)

    def sub(self, a: Value, b: Value) -> Value:
        return self._once(Integer, "isub", a, b)

    def mul(self, a: Value, b: Value) -> Value:
        return self._once(Integer, "imul", a, b)

    def relation(self, name: str, a: Value, b: Value) -> Value:
        return self(IntegerRelation, name, a, b)

    def at(self, base: Value, index: Value, elem: str | None = None) -> Value:
        """The address of a cell, or of another element."""
        return self._once(Offset, base, index, elem=elem or self.elem.text)

    def partial(self, base: Value, index: Value) -> Value:
        """The address of a partial result, which is f64 whatever cells are."""
        return self._once(Offset, base, index, elem="f64")

    def gather(self, base: Value, indices: Value, mask: Value) -> Value:
        """Cells at `base[indices]` where the mask holds, else 0."""
        return self(Gather, base, indices, mask, elem=self.elem.text)

    def load_i64(self, base: Value, index: Value) -> Value:
        return self(Load, self.at(base, index, "i64"), types=[i64])

    def load_i32(self, base: Value, index: Value) -> Value:
        return self(Load, self.at(base, index, "i32"), types=[i64], width="i32")

    def wide(self, value: Value, lanes: int) -> Value:
        """`value` in every lane; itself for one lane."""
        return value if lanes == 1 else self(Splat, value, lanes=lanes)

    def loop(
        self,
        start: Value,
        stop: Value,
        step: int | Value,
        inits: Sequence[Value],
        body: LoopBody,
    ) -> list[Value]:
        """A counted loop; `body(code, counter, carried)` gives the new carried values."""
        region = Region([i64, *(v.type for v in inits)])
        inner = self.nested(region)
        values = body(inner, region.args[0], list(region.args[1:]))
        inner.op(Yield, values)
        by = self.integer(step) if isinstance(step, int) else step
        return self.op(KernelFor, start, stop, by, inits, regions=[region]).results

    def when(
        self,
        condition: Value,
        then: Callable[[Code], Sequence[Value]],
        orelse: Callable[[Code], Sequence[Value]] = lambda code: (),
    ) -> list[Value]:
        """One of two pieces of code; gives their values."""
        regions, types = [], []
        for make in (then, orelse):
            region = Region()
            inner = self.nested(region)
            values = make(inner)
            inner.op(Yield, values)
            regions.append(region)
            types = [v.type for v in values]
        return self.op(KernelIf, condition, regions=regions, types=types).results


@dataclass(frozen=True)
class Output:
    """One output of a kernel: its place, kind (map, full, row, col), and function if it is an aggregate."""

    index: int
    kind: str
    fn: str


def rounded_outputs(kernel: CellKernel) -> list[int]:
    """The outputs whose cells carry the error of a function, whatever the inputs are."""
    found: set[Value] = set()
    for op in kernel.body:
        carried = [v in found for v in op.operands]
        if op.name == "core.yield":
            return [i for i, there in enumerate(carried) if there]
        if op.fn in ("min", "max", "ifelse"):
            rounded = all(carried[-2:])
        else:
            rounded = any(carried) and op.fn not in WHOLE
        if rounded or (op.fn in ROUNDED and not _is_constant_power(op)):
            found.update(op.results)
    raise AssertionError("a body without a yield")


def _is_constant_power(op: Op) -> bool:
    return op.fn == "pow" and op.operands[1].op is not None and op.operands[1].op.name == "core.constant"


class Frame:
    """A kernel being written: its arguments, its outputs, its body."""

    def __init__(
        self, b: Builder, kernel: CellKernel, mask: int, lanes: int, params: Sequence[Value]
    ) -> None:
        self.code = Code(b.region, b.anchor, b.loc)
        self.code.elem = self.elem = kernel.elem
        self.kernel = kernel
        self.lanes = lanes if self.elem is f64 else 2 * lanes
        self.args, self.r0, self.r1, self.c0, self.c1 = params
        self.inputs = range(len(kernel.body.args))
        self.is_vector = [bool(mask >> i & 1) for i in self.inputs]
        self.outputs = [
            Output(i, kind.partition(":")[0], kind.partition(":")[2]) for i, kind in enumerate(kernel.outputs)
        ]
        self.expensive = sum(op.fn in EXPENSIVE for op in kernel.body)
        self.size = sum(op.name.startswith("dml.") for op in kernel.body)

    def field(self, member: str, index: int = 0) -> Value:
        return self.code(Field, self.args, member=member, index=index)

    def of_kind(self, *kinds: str) -> list[Output]:
        return [o for o in self.outputs if o.kind in kinds]

    def evaluate(self, code: Code, cells: Sequence[Value], lanes: int) -> list[Value]:
        """The body applied to these values."""
        known: dict[Value, Value] = dict(zip(self.kernel.body.args, cells, strict=True))
        for op in self.kernel.body:
            if op.name == "core.yield":
                return [known[v] for v in op.operands]
            known[op.results[0]] = at_width(code, op, [known[v] for v in op.operands], lanes)
        raise AssertionError("a body without a yield")


def at_width(code: Code, op: Op, operands: list[Value], lanes: int) -> Value:
    """One operation of a body on vectors (or scalars) of this width."""
    if isinstance(op, Constant):
        value = op.value
        assert isinstance(value, (int, float))
        return code.cell(float(value), lanes)
    if isinstance(op, Binary) and op.fn == "pow":
        power = op.rhs.op
        if power is not None and power.name == "core.constant":
            exponent = power.attrs["value"]
            assert isinstance(exponent, (int, float))
            special = _constant_power(code, operands[0], float(exponent), lanes)
            if special is not None:
                return special
    if isinstance(op, Cast):
        return operands[0] if lanes > 1 else code(Cast, operands[0], types=[op.results[0].type])
    if isinstance(op, (Unary, Binary)):
        return code(type(op), op.fn, *operands)
    assert isinstance(op, IfElse), f"{op.name} in a cell body"
    return code(IfElse, *operands)


def _constant_power(code: Code, x: Value, power: float, lanes: int) -> Value | None:
    """x^power by multiplications, where that is as exact as a power function."""

    def binary(fn: str, a: Value, b: Value) -> Value:
        return code(Binary, fn, a, b)

    if power == 1:
        return x
    if power == 0:
        return code.cell(1.0, lanes)
    if power == -1:
        return binary("div", code.cell(1.0, lanes), x)
    if power in (2, 3, 4):
        square = binary("mul", x, x)
        return square if power == 2 else binary("mul", square, x if power == 3 else square)
    if power == 0.5:
        # sqrt(-Inf) is NaN, (-Inf)^0.5 is Inf.
        root = code(Unary, "sqrt", x)
        low, high = (code.cell(v, lanes) for v in (float("-inf"), float("inf")))
        equal = binary("eq", x, low)
        return code(IfElse, equal, high, root)
    return None


# -- aggregates ------------------------------------------------------------------------------------------------


def start(code: Code, fn: str, lanes: int) -> State:
    """The state of nothing."""
    if fn in PLACES:
        return start_place(code, fn, lanes)
    if fn in EXTREMES:
        return [code.cell(IDENTITY[fn], lanes), code.cell(0.0, lanes)]
    first = code.wide(code.number(IDENTITY[fn]), lanes)
    return [first, code.wide(code.number(0.0), lanes)] if fn == "sum" and code.elem is f64 else [first]


def step(code: Code, fn: str, state: State, value: Value) -> State:
    """The state after one more cell in each lane. Sums and products of f32 are f64: exact enough to need no compensation."""
    if fn not in EXTREMES:
        return _combined(code, fn, state, code.widened(value))
    # One minimum instruction drops NaN; whether there was one is remembered beside it.
    less = code(Binary, "lt" if fn == "min" else "gt", value, state[0])
    unordered = code(Binary, "ne", value, value)
    return [code(IfElse, less, value, state[0]), code(IfElse, unordered, value, state[1])]


def _combined(code: Code, fn: str, state: State, value: Value) -> State:
    if fn == "prod":
        return [code(Binary, "mul", state[0], value)]
    if len(state) == 1:
        return [code(Binary, "add", state[0], value)]
    if _is_truth(value):  # such a sum counts, which is exact
        return [code(Binary, "add", state[0], value), state[1]]
    total, error = code.op(TwoSum, state[0], value).results
    return [total, code(Binary, "add", state[1], error)]


def _is_truth(value: Value) -> bool:
    """Whether all lanes are 0 or 1, made of truth values."""
    op = value.op
    if op is not None and op.name == "dml.cast":
        op = op.operands[0].op
    return op is not None and op.fn in PREDICATES


def merge(code: Code, fn: str, a: State, b: State) -> State:
    """The state of both parts."""
    if fn in PLACES:
        return merge_places(code, fn, a, b)
    if fn in EXTREMES:
        made = step(code, fn, a, b[0])
    else:
        made = _combined(code, fn, a, b[0])
    return made if len(made) == 1 else [made[0], code(Binary, "add", made[1], b[1])]


def across_lanes(code: Code, fn: str, state: State) -> State:
    """The state of all lanes together."""
    while isinstance(state[0].type, Vector):
        state = _folded(code, fn, state)
    return state


def _folded(code: Code, fn: str, state: State) -> State:
    """The lower lanes of a state merged with the upper ones."""
    parts = [code.op(Halves, v).results for v in state]
    return merge(code, fn, [p[0] for p in parts], [p[1] for p in parts])


def across_rows(code: Code, fn: str, states: list[State]) -> list[State]:
    """The states of all lanes together for some rows, one row in each lane: lanes are merged as `across_lanes` does, but those of
    two states at once."""
    while isinstance(type := states[0][0].type, Vector) and type.lanes > len(states):
        states = [_folded(code, fn, state) for state in states]
    assert isinstance(type, Vector)
    return [_turned(code, fn, states[g : g + type.lanes]) for g in range(0, len(states), type.lanes)]


def _turned(code: Code, fn: str, states: list[State]) -> State:
    half = len(states)
    states = [states[k] for k in pairing(half)]
    while len(states) > 1:
        half //= 2
        pairs = [
            [code.op(PairHalves, x, y, half=half).results for x, y in zip(a, b, strict=True)]
            for a, b in zip(states[::2], states[1::2], strict=True)
        ]
        states = [merge(code, fn, [p[0] for p in parts], [p[1] for p in parts]) for parts in pairs]
    return states[0]


def finish(code: Code, fn: str, state: State, lanes: int = 1) -> State:
    """{value, compensation} for sums (0 unless the value is finite), {value} for the others."""
    if fn in EXTREMES:
        seen = code(Binary, "ne", state[1], state[1])
        return [code(IfElse, seen, state[1], state[0])]
    if fn == "prod":
        return state
    zero = code.wide(code.number(0.0), lanes)
    if len(state) == 1:
        return [state[0], zero]
    finite = code(Binary, "eq", code(Binary, "sub", state[0], state[0]), zero)
    return [state[0], code(IfElse, finite, state[1], zero)]


def cell_of(code: Code, fn: str, state: State, lanes: int = 1) -> Value:
    """The result of an aggregate as a cell."""
    if fn in PLACES:
        return state[1]
    parts = finish(code, fn, state, lanes)
    if fn in EXTREMES:
        return parts[0]
    return code.rounded(code(Binary, "add", *parts) if len(state) == 2 else parts[0])


def store_full(frame: Frame, output: Output, state: State) -> None:
    """Write the partial of a full aggregate, which is f64."""
    code = frame.code
    address = frame.field("out", output.index)
    parts = finish(code, output.fn, across_lanes(code, output.fn, state))
    for i, value in enumerate(parts):
        wide = code.widened(value) if output.fn in EXTREMES else value
        code.op(Store, wide, code.partial(address, code.integer(i)))


def store_row(code: Code, output: Output, state: State, base: Value, row: Value) -> None:
    """Write the result of one row."""
    made = cell_of(code, output.fn, across_lanes(code, output.fn, state))
    code.op(Store, made, code.at(base, row))
