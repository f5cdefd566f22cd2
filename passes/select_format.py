"""Chooses where matrices are dense and where CSR, from what their uses cost, and places the conversions.

Operations store their results in the smaller format by themselves; this pass finds the uses that are better off with the
other one. All of them share one conversion, which is placed before the first of them, outside of the loops they are in, and says
why it is there. Where it is not known whether a matrix is sparse, only conversions that cost nothing if it is not are placed:
a dense matrix is not converted to dense again, and `smaller` counts non-zeros before it decides.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_matrix import Transpose
from sysmlc.ir.dialects.fused import Convert
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Matrix
from sysmlc.passes.estimate import SPARSE
from sysmlc.passes.fusion.groups import may_be_sparse
from sysmlc.passes.sparsity.expect import Expectations
from sysmlc.passes.sparsity.uses import Cost, conversion, use_cost

_LOOPS: Final = ("scf.for", "scf.parfor", "scf.while")
_UNKNOWN_TRIPS: Final = 10.0
_WORTH: Final = 1.2
"""A conversion must save so much more than it costs."""
_CLEARLY: Final = 1.3
"""How much faster a use must be in the other format, by a model that is no better than that."""
_LEAST: Final = 20e-6
"""Seconds that a plan must save to be changed."""
_LEFT_ALONE: Final = frozenset({"fused.convert", "dml.undefined", "dml.fill"})
_SMALL: Final = 1 << 14
"""Cells of a matrix that is not worth looking at."""
_TOO_BIG: Final = 4e9
"""Bytes of a matrix that is not made dense for speed alone."""


@register_pass
class SelectFormat(Pass):
    """Place conversions between dense and CSR where they save time."""

    name = "select-format"

    def run(self, module: Module) -> None:
        for func in list(module.body):
            if func.name != "core.func":
                continue
            expected = Expectations()
            self._transposes(func, expected)
            for value in list(matrices(func.regions[0])):
                self._choose(value, expected)

    def _choose(self, value: Value, expected: Expectations) -> None:
        if value.op is not None and value.op.name in _LEFT_ALONE:
            return
        uses = [
            _Use(user, i, use_cost(user, i, expected), _runs(user, value))
            for user, i in value.uses
            if not _is_rare(user, value)
        ]
        if not uses or all(u.cost.dense == u.cost.csr for u in uses):
            return
        sketch = expected.sketch(value)
        if sketch.rows * sketch.cols < _SMALL:
            return
        if not may_be_sparse(value):
            self._to_csr(value, uses, expected)
        elif sketch.density < SPARSE:
            self._to_dense(value, uses, expected, True)
        elif sketch.density == 1.0:  # nothing is known
            self._to_dense(value, uses, expected, False)

    def _to_dense(self, value: Value, uses: list[_Use], expected: Expectations, sure: bool) -> None:
        sketch = expected.sketch(value)
        price = conversion(sketch)
        full = [u for u in uses if u.cost.full]
        faster = [u for u in uses if not u.cost.full and u.cost.csr > u.cost.dense * _CLEARLY] if sure else []
        gain = sum(u.saved * u.runs for u in faster)
        if gain < (0.0 if full else price) * _WORTH + _LEAST or 8.0 * sketch.rows * sketch.cols > _TOO_BIG:
            faster = []
        if not faster and (not full or (not sure and max(u.runs for u in full) < 2)):
            return
        gain = sum(u.saved * u.runs for u in full + faster) - price
        many = sum(u.runs for u in full + faster)
        share = f"about {100 * sketch.density:.2g} % of its cells are not 0" if sure else "if it is sparse"
        why = f"{share}; {_uses(many, 'dense' if faster else '')}"
        if sure and gain > _LEAST:
            why += f": {_seconds(gain)} less"
        self._convert(value, full + faster, "dense", why)

    def _to_csr(self, value: Value, uses: list[_Use], expected: Expectations) -> None:
        sketch = expected.sketch(value)
        if sketch.density >= SPARSE or sketch.cols <= 1:
            return
        faster = [u for u in uses if u.cost.dense > u.cost.csr * _CLEARLY]
        gain = -sum(u.saved * u.runs for u in faster)
        price = conversion(sketch)
        if gain < price * _WORTH + _LEAST:
            return
        many = sum(u.runs for u in faster)
        why = f"about {100 * sketch.density:.2g} % of its cells are not 0; {_uses(many, 'sparse')}: {_seconds(gain - price)} less"
        self._convert(value, faster, "smaller", why)

    def _convert(self, value: Value, uses: list[_Use], format: str, why: str) -> None:
        b = _before_all([u.user for u in uses], value)
        b.loc = value.op.loc if value.op is not None else uses[0].user.loc
        made = b(Convert, value, format=format, why=why)
        made.name = value.name
        for use in uses:
            use.user.set_operand(use.index, made)
        self.count(f"conversions to {format}")

    def _transposes(self, func: Op, expected: Expectations) -> None:
        """Products make the transpose of a CSR operand; those in loops that read the same matrix share one."""
        made: dict[tuple[Value, Op], Value] = {}
        for op in list(func.walk()):
            if op.name != "dml.matmul":
                continue
            for index, side in ((0, "l"), (1, "r")):
                value, flags = op.operands[index], str(op.attrs.get("transpose", ""))
                loop = _outermost_loop(op, value)
                if (
                    side not in flags
                    or loop is None
                    or _runs(op, value) < 2
                    or not _is_turned(op, index, expected)
                ):
                    continue
                turned = made.get((value, loop))
                if turned is None:
                    turned = made[value, loop] = Builder.before(loop)(Transpose, value)
                    self.count("transposes taken out of loops")
                op.set_operand(index, turned)
                op.attrs["transpose"] = flags.replace(side, "")
                if not op.attrs["transpose"]:
                    del op.attrs["transpose"]


@dataclass(frozen=True)
class _Use:
    """One operand of one operation, and how often it is expected to run for one value."""

    user: Op
    index: int
    cost: Cost
    runs: float
    saved: float = field(init=False)
    """Seconds less in one run with a dense operand."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "saved", self.cost.csr - self.cost.dense)


def matrices(region: Region) -> Iterator[Value]:
    """Every matrix outside of fused regions, in order."""
    yield from (a for a in region.args if isinstance(a.type, Matrix))
    for op in region:
        if op.dialect != "fused":
            for nested in op.regions:
                yield from matrices(nested)
        yield from (r for r in op.results if isinstance(r.type, Matrix))


def _is_turned(op: Op, index: int, expected: Expectations) -> bool:
    """Whether the run time is expected to write out the transpose of a CSR operand."""
    sparse = [may_be_sparse(v) and expected.density(v) < SPARSE for v in op.operands]
    if not sparse[index]:
        return False
    if index == 1 or sparse[1]:
        return True
    a, b = expected.sketch(op.operands[0]), expected.sketch(op.operands[1])
    return 2.0 * a.cols * b.cols > (1 << 22) and a.nnz > (1 << 16)  # see product_csr_transposed_dense


def _loops_between(op: Op, value: Value) -> list[Op]:
    """The loops around an operation that a value is defined outside of, innermost first."""
    found = []
    at = op.parent_op
    inner: Op = op
    while at is not None and inner.parent is not value.region:
        if at.name in _LOOPS:
            found.append(at)
        inner, at = at, at.parent_op
    return found


def _is_rare(op: Op, value: Value) -> bool:
    """Whether an operation is in a branch in a loop: a conversion for it would be placed where it is perhaps never needed."""
    branch = False
    at: Op | None = op
    while at is not None and at.parent is not value.region:
        at = at.parent_op
        branch |= at is not None and at.name == "scf.if"
        if branch and at is not None and at.name in _LOOPS:
            return True
    return False


def _outermost_loop(op: Op, value: Value) -> Op | None:
    found = _loops_between(op, value)
    return found[-1] if found else None


def _runs(op: Op, value: Value) -> float:
    """How often an operation is expected to run for one value of an operand."""
    runs = 1.0
    for loop in _loops_between(op, value):
        runs *= _trips(loop)
    return runs


def _trips(loop: Op) -> float:
    if loop.name == "scf.while":
        return _UNKNOWN_TRIPS
    start, stop, step = (constant(v) for v in loop.operands[:3])
    if isinstance(start, int) and isinstance(stop, int) and isinstance(step, int) and step:
        return float(max(0, (stop - start) // step + 1))
    return _UNKNOWN_TRIPS


def _before_all(users: list[Op], value: Value) -> Builder:
    """The latest place before all users that is outside of the loops around them."""
    region = value.region
    assert region is not None
    while True:
        anchors = [_anchor(u, region) for u in users]
        place = {op: i for i, op in enumerate(region)}
        first = min(anchors, key=place.__getitem__)
        inside = None
        if first.name == "scf.if" and all(a is first for a in anchors):
            branches = [r for r in first.regions if all(_is_in(u, r) for u in users)]
            inside = branches[0] if branches else None
        if inside is None:
            return Builder.before(first)
        region = inside


def _anchor(op: Op, region: Region) -> Op:
    """The operation of a region that another is or is in."""
    while op.parent is not region:
        assert op.parent_op is not None
        op = op.parent_op
    return op


def _is_in(op: Op, region: Region) -> bool:
    at: Op | None = op
    while at is not None and at.parent is not region:
        at = at.parent_op
    return at is not None


def _uses(runs: float, faster: str) -> str:
    if runs == 1:
        return f"one use is faster {faster}" if faster else "one use needs all cells"
    return f"{runs:.0f} uses are faster {faster}" if faster else f"{runs:.0f} uses need all cells"


def _seconds(seconds: float) -> str:
    unit, scale = next(((u, s) for u, s in (("s", 1.0), ("ms", 1e-3)) if seconds >= s), ("us", 1e-6))
    return f"{seconds / scale:.3g} {unit}"
