"""Plans: hash-consed expressions over the leaves of an island. Equal plans are one node, so sharing is seen everywhere.

`Graph.make` builds a node as it is; the other methods simplify on the way (a transpose under a product is free, a sum of
squares is one operation), and are what plans are built with. Indexes of size one never exist: a dimension of 1 is a vector.
"""

from __future__ import annotations

import math
from typing import Final

from sysmlc.ir.core import Value
from sysmlc.ir.types import Dim, Matrix, f64

CELL: Final = frozenset({"add", "sub", "mul", "div", "pow", "neg", "max", "outer"})
AGGREGATES: Final = frozenset({"sum", "sumsq", "mean"})
_FLIPPED: Final = {"": "lr", "l": "l", "r": "r", "lr": ""}
"""The transposes of a product's operands after they were swapped and the product transposed."""


class Node:
    """An expression: what it does, to which nodes, and the shape of its result."""

    __slots__ = (
        "args",
        "attr",
        "cell",
        "cols",
        "exact",
        "id",
        "kind",
        "near",
        "parts",
        "rows",
        "scalar",
        "value",
    )

    def __init__(
        self, id: int, kind: str, args: tuple[Node, ...], attr: object, rows: Dim, cols: Dim, scalar: bool
    ) -> None:
        self.id = id
        self.kind = kind
        self.args = args
        self.parts = args if len(args) < 2 or args[0] is not args[1] else args[:1]
        """The operands, each once."""
        self.cell = kind in CELL
        self.near = self.cell or kind in AGGREGATES
        """Whether cells of the operands are computed where this needs them."""
        self.attr = attr
        self.rows = rows
        self.cols = cols
        self.scalar = scalar
        self.exact = False
        """Whether this is a scalar that is not f64, so that arithmetic on it needs a conversion."""
        self.value: Value | None = None
        """The value of the program that is this expression, where there is one."""

    @property
    def constant(self) -> float | None:
        """The number a constant node is."""
        return self.attr if self.kind == "const" and isinstance(self.attr, float) else None

    def covers(self, row_index: bool) -> bool:
        """Whether the result varies along rows (else along columns)."""
        return not self.scalar and (self.rows if row_index else self.cols) != 1

    def __repr__(self) -> str:
        return f"{self.kind}{list(self.args)}"


class Graph:
    """All nodes of one island."""

    def __init__(self) -> None:
        self.nodes: list[Node] = []
        self.found: dict[object, Node] = {}
        self.sizes: dict[str, tuple[Value, str]] = {}
        """Where to read a named size: the `rows` or `cols` of a matrix, or the `value` of an i64."""
        self.delta = self.make("delta", (), None, None, None, False)
        """Node 0: one where two indexes are equal, else zero. Never part of a plan."""

    def make(
        self, kind: str, args: tuple[Node, ...], attr: object, rows: Dim, cols: Dim, scalar: bool
    ) -> Node:
        """The node with exactly this content."""
        key = (kind, args, attr, rows if kind == "fill" else None, cols)
        node = self.found.get(key)
        if node is None:
            node = Node(len(self.nodes), kind, args, attr, rows, cols, scalar)
            self.found[key] = node
            self.nodes.append(node)
        return node

    def leaf(self, value: Value) -> Node:
        """The node of a value that is not looked into."""
        node = self.found.get(value)
        if node is None:
            type = value.type
            rows, cols = (type.rows, type.cols) if isinstance(type, Matrix) else (1, 1)
            node = Node(len(self.nodes), "leaf", (), None, rows, cols, not isinstance(type, Matrix))
            node.value, node.exact = value, node.scalar and type is not f64
            self.nodes.append(node)
            self.found[value] = node
            for side, dim in (("rows", rows), ("cols", cols)):
                if isinstance(dim, str):
                    self.sizes.setdefault(dim, (value, side))
        return node

    def const(self, number: float) -> Node:
        number = float(number)
        return self.make("const", (), number, 1, 1, True)

    def size(self, dim: Dim) -> Node:
        """A dimension as a scalar."""
        if isinstance(dim, int):
            return self.const(dim)
        return self.make("size", (), dim, 1, 1, True)

    def cell(self, op: str, a: Node, b: Node) -> Node:
        """A cellwise operation; a vector or scalar operand of a commutative one may be on either side."""
        x, y = a.constant, b.constant
        if x is not None and y is not None:
            folded = _fold(op, x, y)
            if folded is not None:
                return self.const(folded)
        if op in ("mul", "add") and (_smaller(a, b) or x is not None):
            a, b, x, y = b, a, y, x
        if y is not None:
            if (y == 1 and op in ("mul", "div", "pow")) or (y == 0 and op in ("add", "sub")):
                return a
            if op == "mul" and y == -1:
                return self.neg(a)
            if op == "mul" and a.kind == "neg":
                return self.cell("mul", a.args[0], self.const(-y))
            if op == "mul" and (whole := divisor(y)) is not None:
                return self.cell("div", a, self.const(whole))
        if op == "sub" and x == 0:
            return self.neg(b)
        if op == "mul":
            if a is b:
                return self.cell("pow", a, self.const(2))
            if b.kind == "div" and b.args[0].constant == 1:
                return self.cell("div", a, b.args[1])
            if a.kind == "div" and a.args[0].constant == 1 and not _smaller(b, a):
                return self.cell("div", b, a.args[1])
        rows, cols = (b.rows, b.cols) if a.scalar else (a.rows, a.cols)
        return self.make(op, (a, b), None, rows, cols, a.scalar and b.scalar)

    def neg(self, a: Node) -> Node:
        if a.kind == "neg":
            return a.args[0]
        if a.constant is not None:
            return self.const(-a.constant)
        if a.kind == "sub" and (a.args[0].scalar == a.args[1].scalar) and _same_shape(*a.args):
            return self.make("sub", (a.args[1], a.args[0]), None, a.rows, a.cols, a.scalar)
        return self.make("neg", (a,), None, a.rows, a.cols, a.scalar)

    def power(self, a: Node, n: int) -> Node:
        return a if n == 1 else self.cell("pow", a, self.const(n))

    def t(self, a: Node) -> Node:
        if a.scalar or (a.rows == 1 and a.cols == 1):
            return a
        if a.kind == "t":
            return a.args[0]
        if a.kind == "matmul":
            x, y = a.args
            return self.product(y, x, _FLIPPED[str(a.attr)])
        if _symmetric(a):
            return a
        return self.make("t", (a,), None, a.cols, a.rows, False)

    def product(self, a: Node, b: Node, flags: str) -> Node:
        """A matrix product, of `a` and `b` or their transposes."""
        left, right = "l" in flags, "r" in flags
        if a.kind == "t":
            a, left = a.args[0], not left
        if b.kind == "t":
            b, right = b.args[0], not right
        left, right = left and not _symmetric(a), right and not _symmetric(b)
        rows = a.cols if left else a.rows
        cols = b.rows if right else b.cols
        if a is b and left and not right and a.rows != 1:
            return self.make("tsmm", (a,), None, rows, cols, False)
        return self.make("matmul", (a, b), ("l" if left else "") + ("r" if right else ""), rows, cols, False)

    def aggregate(self, fn: str, dir: str, a: Node) -> Node:
        """The sum (of squares) in one direction, over more than one cell; a full one is a scalar."""
        if a.scalar:
            return a if fn == "sum" else self.power(a, 2)
        if (dir == "row" and a.cols == 1) or (dir == "col" and a.rows == 1):
            return a if fn == "sum" else self.power(a, 2)
        if a.kind == "t":
            flipped = {"row": "col", "col": "row", "full": "full"}[dir]
            inner = self.aggregate(fn, flipped, a.args[0])
            return inner if dir == "full" else self.t(inner)
        if fn == "sum" and a.kind == "pow" and a.args[1].constant == 2:
            return self.aggregate("sumsq", dir, a.args[0])
        if dir == "full" and a.kind == fn == "sum":
            return self.aggregate(fn, "full", a.args[0])
        if dir == "full":
            return self.make(fn, (a,), dir, 1, 1, True)
        return self.make(fn, (a,), dir, a.rows if dir == "row" else 1, 1 if dir == "row" else a.cols, False)

    def diagonal(self, a: Node) -> Node:
        """The diagonal of a square matrix as a column."""
        return self.make("diag", (a,), None, a.rows, 1, False)

    def diagonal_matrix(self, a: Node) -> Node:
        return self.make("diag", (a,), None, a.rows, a.rows, False)

    def scalar(self, a: Node) -> Node:
        """A 1x1 matrix as a scalar."""
        if a.scalar:
            return a
        return a.args[0] if a.kind == "as_matrix" else self.make("as_scalar", (a,), None, 1, 1, True)

    def fill(self, value: Node, rows: Dim, cols: Dim) -> Node:
        """A matrix of equal cells."""
        if rows == 1 and cols == 1:
            inner = value.args[0] if value.kind == "as_scalar" else None
            return inner or self.make("as_matrix", (value,), None, 1, 1, False)
        return self.make("fill", (value,), None, rows, cols, False)


def _symmetric(a: Node) -> bool:
    return a.kind == "tsmm" or (a.kind == "diag" and a.cols != 1)


def _smaller(a: Node, b: Node) -> bool:
    """Whether `a` is the operand to be broadcast."""
    if a.scalar or b.scalar:
        return a.scalar and not b.scalar
    return (a.rows == 1 and b.rows != 1) or (a.cols == 1 and b.cols != 1)


def divisor(factor: float) -> float | None:
    """The whole number that division by is more exact than multiplication with `factor`."""
    if not 1e-9 < abs(factor) < 1:
        return None
    n = round(1 / abs(factor))
    return math.copysign(n, factor) if 1 / n == abs(factor) and n & (n - 1) else None


def _same_shape(a: Node, b: Node) -> bool:
    return a.rows == b.rows and a.cols == b.cols


def _fold(op: str, x: float, y: float) -> float | None:
    if op == "add":
        found = x + y
    elif op == "sub":
        found = x - y
    elif op == "mul":
        found = x * y
    elif op == "div" and y:
        found = x / y
    else:
        return None
    return found if math.isfinite(found) else None
