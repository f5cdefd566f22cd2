"""What share of the cells of a value is looked at, because everything made of it is multiplied with sparse matrices."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_matrix import MatMul, Transpose
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix
from sysmlc.passes.estimate import KEEPS_ZERO
from sysmlc.passes.lower_cells import may_be_sparse
from sysmlc.passes.outer.worth import SAMPLED
from sysmlc.passes.outer.zeros import is_grid
from sysmlc.passes.sparsity import Expectations, is_open

_DEEPEST: Final = 32
"""Longer ways from a product to the operation that masks it are not followed."""
_SPARSE: Final = 0.01
"""The share of non-zeros of a matrix that is sparse, when that is a mere possibility."""


def needed(value: Value, expected: Expectations) -> float:
    """The share of the cells of `value` that its users look at, as far as it is known what is sparse."""
    return _Needs(expected.density).of(value) or 1.0


def is_masked(value: Value, expected: Expectations) -> bool:
    """Whether few cells of `value` are looked at, if matrices that may be sparse are."""
    return 0 < _Needs(lambda v: _possible(v, expected)).of(value) < SAMPLED


def _possible(value: Value, expected: Expectations, depth: int = 6) -> float:
    """The share of non-zeros of a matrix, when what nothing is known of is sparse."""
    share, op = expected.density(value), value.op
    if share < 1.0 or not is_grid(value) or not depth:
        return share
    if op is None or op.dialect == "scf" or is_open(value, expected):
        return _SPARSE if may_be_sparse(value) else 1.0
    shares = [_possible(v, expected, depth - 1) for v in op.operands if isinstance(v.type, Matrix)]
    if op.name == "dml.mul":
        return min(shares)
    if op.name in ("dml.add", "dml.sub"):
        return max(shares) if all(map(is_grid, op.operands)) else 1.0
    compared = op.name in ("dml.ne", "dml.gt", "dml.lt") and constant(op.operands[1]) == 0
    if compared or op.name in KEEPS_ZERO or op.name in ("dml.t", "dml.div"):
        return shares[0] if is_grid(op.operands[0]) else 1.0
    return 1.0


@dataclass
class _Needs:
    """Shares that are needed, each found once, when `density` tells the share of non-zeros of a matrix."""

    density: Callable[[Value], float]
    known: dict[Value, float] = field(default_factory=dict)

    def of(self, value: Value, depth: int = 0) -> float:
        if value not in self.known:
            share = 0.0
            for op, place in value.uses:
                share = max(share, self._by(op, place, depth))
                if share >= 1.0:
                    break
            self.known[value] = share
        return self.known[value]

    def _by(self, op: Op, place: int, depth: int) -> float:
        """The share of its operand at `place` that an operation looks at."""
        if isinstance(op, Aggregate) and op.fn == "sum" and isinstance(op.operand.op, MatMul):
            return 0.0  # its factors are summed
        if depth > _DEEPEST or not isinstance(op, (Unary, Binary, IfElse, Transpose)):
            return 1.0
        share = 1.0
        if len(op.operands) > 1:
            other = op.operands[1 - place] if isinstance(op, Binary) else op.operands[0]
            if other is not op.operands[place] and is_grid(other):
                if (
                    op.name == "dml.mul"
                    or (op.name == "dml.div" and place == 1)
                    or (op.name == "dml.ifelse" and place == 1)
                ):
                    share = self.density(other)
                elif op.name == "dml.ifelse":
                    share = 1.0 - self.density(other)
        return min(share, self.of(op.result, depth + 1))
