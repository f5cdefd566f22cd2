"""Finds the islands of sum-product operations in a region and turns them into plan nodes.

An operation is part of an island when its shapes are certain: a cellwise operation whose operands may be broadcast only where a
dimension is known to be one, a product whose inner dimensions are known to agree. Everything else is a leaf, and leaves that
are the same function of equal expressions are one leaf.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.facts import is_size
from sysmlc.ir.types import Dim, Matrix, f64, same_dim
from sysmlc.passes.sum_product.nodes import Graph, Node

MAX_OPERATIONS: Final = 64
"""Longer islands are cut in program order."""
_CELL: Final = frozenset({"add", "sub", "mul", "div"})
_MOVES: Final = frozenset({"t", "diag", "trace", "as_scalar", "as_matrix", "fill", "neg", "matmul", "tsmm"})
_SUMS: Final = frozenset({"sum", "sumsq", "mean"})
Form = Callable[[Node], object]
"""What is equal for equal expressions."""


def in_fragment(op: Op) -> bool:
    """Whether an operation belongs to the sum-product algebra, as far as its shapes are known."""
    dialect, _, fn = op.name.partition(".")
    if dialect != "dml" or len(op.results) != 1:
        return False
    type = op.results[0].type
    if isinstance(type, Matrix):
        if type.elem is not f64 or type.rows is None or type.cols is None:
            return False
    elif type is not f64:
        return False
    for v in op.operands:
        if isinstance(v.type, Matrix) and (v.type.rows is None or v.type.cols is None):
            return False
    if fn in _CELL:
        return _conforms(op)
    if fn == "pow":
        exponent = constant(op.operands[1])
        return isinstance(exponent, (int, float)) and exponent in (2, 3, 4) and not isinstance(exponent, bool)
    return fn in _SUMS or (fn in _MOVES and _sized(op, fn))


def _conforms(op: Op) -> bool:
    a, b = (v.type for v in op.operands)
    if isinstance(a, Matrix) and isinstance(b, Matrix):
        return (b.rows == 1 or same_dim(a.rows, b.rows)) and (b.cols == 1 or same_dim(a.cols, b.cols))
    return True


def _sized(op: Op, fn: str) -> bool:
    types = [v.type for v in op.operands if isinstance(v.type, Matrix)]
    if fn == "matmul":
        flags = str(op.attrs.get("transpose", ""))
        inner = types[0].rows if "l" in flags else types[0].cols
        return same_dim(inner, types[1].cols if "r" in flags else types[1].rows)
    if fn == "diag":
        vector = types[0].cols == 1
        return vector or (isinstance(types[0].cols, int) and same_dim(types[0].rows, types[0].cols))
    if fn == "trace":
        return same_dim(types[0].rows, types[0].cols)
    if fn == "as_scalar":
        return types[0].rows == 1 and types[0].cols == 1
    return True


class Island:
    """Sum-product operations of one region, as nodes; `results` are the values that others use."""

    def __init__(self, ops: list[Op]) -> None:
        self.graph = Graph()
        self.ops = ops
        self.results: list[Value] = []
        self._made: dict[Value, Node] = {}
        self._leaves: dict[object, Node] = {}

    def build(self, form: Form | None = None) -> dict[Value, Node]:
        """Make the nodes; gives the node of each operation's result. `form` tells which expressions are equal."""
        inside = set(self.ops)
        made = self._made
        for op in self.ops:
            value = op.results[0]
            node = self._node(op, form)
            if node.value is None:
                node.value = value
            made[value] = node
            if any(user not in inside for user, _ in value.uses):
                self.results.append(value)
        return made

    def node(self, value: Value, form: Form | None = None, depth: int = 3) -> Node:
        """The node of a value from outside the island."""
        op = value.op
        if op is None:
            return self.graph.leaf(value)
        if op.name == "core.constant":
            known = op.attrs["value"]
            if isinstance(known, (int, float)) and not isinstance(known, bool):
                return self.graph.const(float(known))
        if form is None or not depth or "pure" not in op.traits or len(op.results) != 1 or op.regions:
            return self.graph.leaf(value)
        parts = tuple(
            form(self._made[v] if v in self._made else self.node(v, form, depth - 1)) for v in op.operands
        )
        key = op.name, tuple(sorted(op.attrs.items())), parts, value.type
        return self._leaves.setdefault(key, self.graph.leaf(value))

    def _node(self, op: Op, form: Form | None) -> Node:
        args = tuple(self._made[v] if v in self._made else self.node(v, form) for v in op.operands)
        fn = op.fn
        type = op.results[0].type
        rows: Dim
        cols: Dim
        rows, cols, scalar = (type.rows, type.cols, False) if isinstance(type, Matrix) else (1, 1, True)
        g = self.graph
        if fn == "fill":
            for dim, size, side in ((rows, op.operands[1], "rows"), (cols, op.operands[2], "cols")):
                if isinstance(dim, str):
                    # Of a size that may be negative the matrix is asked: making it says so.
                    asked = (size, "value") if is_size(size) else (op.results[0], side)
                    g.sizes.setdefault(dim, asked)
            return g.make("fill", args[:1], None, rows, cols, False)
        attr = (
            op.attrs.get("dir", "full")
            if fn in _SUMS
            else op.attrs.get("transpose", "")
            if fn == "matmul"
            else None
        )
        return g.make(fn, args, attr, rows, cols, scalar)


def islands(region: Region) -> list[Island]:
    """The islands of a region: its sum-product operations, in chunks of bounded length."""
    ops = [op for op in region if in_fragment(op)]
    return [Island(ops[i : i + MAX_OPERATIONS]) for i in range(0, len(ops), MAX_OPERATIONS)]
