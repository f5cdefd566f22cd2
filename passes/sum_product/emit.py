"""Turns plans into operations."""

from __future__ import annotations

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, Outer, Unary
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import (
    AsScalar,
    Diag,
    MatMul,
    NCol,
    NRow,
    Trace,
    Transpose,
    TransposeSelfProduct,
)
from sysmlc.ir.dialects.dml_scalar import AsMatrix, Cast
from sysmlc.ir.source import Location
from sysmlc.ir.types import Dim, f64, i64
from sysmlc.passes.sum_product.nodes import AGGREGATES, Graph, Node


class Emitter:
    """Builds plans before an operation of a region; what is there already is used again.

    What is built is located at the part of the written expression that it stands for: the smallest with all of its leaves.
    """

    def __init__(self, graph: Graph, place: dict[Op, int]) -> None:
        self.graph = graph
        self.place = place
        """The position of the operations of the region that were there before."""
        self.reuses = True
        self.made: dict[Node, Value] = {}
        self._leaves: dict[Node, int] = {}
        self._written: list[Node] = []

    def build(self, root: Node, node: Node, anchor: Op) -> Value:
        """The value of `node`, the plan for `root`, available at `anchor`."""
        return self.inside(root, node, Builder.before(anchor), anchor)

    def branch(self) -> Emitter:
        """An emitter for a branch: what is there outside of it, but for leaves, is computed inside."""
        made = Emitter(self.graph, self.place)
        made.reuses = False
        return made

    def inside(self, root: Node, node: Node, b: Builder, anchor: Op) -> Value:
        """The value of `node`, the plan for `root`, in a branch that stands before `anchor`."""
        self._written = sorted(_parts(root), key=lambda n: (self.leaves(n).bit_count(), n.id))
        return self._value(node, b, self.place[anchor])

    def leaves(self, node: Node) -> int:
        """The leaves that a plan reads, each a bit."""
        found = self._leaves.get(node)
        if found is None:
            found = 1 << node.id if node.kind == "leaf" else 0
            for arg in node.args:
                found |= self.leaves(arg)
            self._leaves[node] = found
        return found

    def _location(self, node: Node, otherwise: Location) -> Location:
        read = self.leaves(node)
        covering = [n for n in self._written if read and not read & ~self.leaves(n)]
        fewest = self.leaves(covering[0]).bit_count() if covering else 0
        same = [n for n in covering if n.kind == node.kind and self.leaves(n).bit_count() == fewest]
        for found in (same or covering)[:1]:
            if found.value is not None and found.value.op is not None:
                return found.value.op.loc
        return otherwise

    def _value(self, node: Node, b: Builder, at: int) -> Value:
        found = self.made.get(node)
        if found is not None:
            return found
        if node.value is not None and (self.reuses or not node.args):
            op = node.value.op
            if op is None or self.place.get(op, -1) < at:
                return node.value
        made = self._operation(node, b, at)
        self.made[node] = made
        return made

    def _operation(self, node: Node, b: Builder, at: int) -> Value:
        kind = node.kind
        if kind == "const":
            return b(Constant, value=float(str(node.attr)))
        if kind == "size":
            return b(Cast, self._size(str(node.attr), b), types=[f64])
        args = [self._value(a, b, at) for a in node.args]
        b.loc = self._location(node, b.loc)
        if kind == "fill":
            return b(Fill, args[0], self._size(node.rows, b), self._size(node.cols, b))
        if kind in AGGREGATES:
            return b(Aggregate, kind, args[0], dir=str(node.attr))
        if kind == "matmul":
            return b(MatMul, *args, transpose=str(node.attr))
        if kind == "outer":
            return b(Outer, *args, op=str(node.attr))
        if kind == "neg":
            return b(Unary, "neg", args[0])
        plain = {"tsmm": TransposeSelfProduct, "t": Transpose, "diag": Diag, "trace": Trace, "as_scalar": AsScalar,
                 "as_matrix": AsMatrix}  # fmt: skip
        if kind in plain:
            return b(plain[kind], args[0])
        if node.scalar and all(a.type is not f64 for a in args):
            args[0] = b(Cast, args[0], types=[f64])
        return b(Binary, kind, *args)

    def _size(self, dim: Dim, b: Builder) -> Value:
        if isinstance(dim, int):
            return b(Constant, value=dim)
        value, side = self.graph.sizes[str(dim)]
        if side == "value":
            return value if value.type is i64 else b(Cast, value, types=[i64])
        return b(NRow if side == "rows" else NCol, value)


def _parts(root: Node) -> list[Node]:
    """The operations of a written expression, each once."""
    found = {root: None}
    stack = [root]
    while stack:
        for arg in stack.pop().args:
            if arg.args and arg not in found:
                found[arg] = None
                stack.append(arg)
    return [n for n in found if n.args]
