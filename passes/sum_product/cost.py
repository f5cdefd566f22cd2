"""What plans cost, by the sizes and densities of `passes/estimate.py`.

Cellwise operations that feed each other are likely to be fused, so what moves between them counts a fraction only: enough to
prefer fewer operations, not enough to prefer a product that fusion would avoid.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from sysmlc.ir.types import Dim
from sysmlc.passes.estimate import product_cost, product_density
from sysmlc.passes.sparsity import Expectations
from sysmlc.passes.sum_product.nodes import AGGREGATES, CELL, Node

UNKNOWN_SIZE: Final = 1000.0
FUSED: Final = 0.25
"""The share of memory traffic that is counted between cellwise operations."""
_OPERATION: Final = 1e-6
"""Seconds to start an operation on matrices."""
_SCALAR: Final = 2e-9
_BANDWIDTH: Final = 10e9
_FLOPS: Final = 50e9


class Model:
    """Costs under an assumption of what named sizes are."""

    def __init__(
        self, sizes: Mapping[str, float] | None = None, expected: Expectations | None = None
    ) -> None:
        self.sizes = sizes or {}
        self.expected = expected or Expectations()
        self._density: dict[Node, float] = {}
        self._bytes: dict[Node, float] = {}
        self._single: dict[tuple[Node, tuple[bool, ...]], float] = {}
        self._alone: dict[Node, float] = {}

    def size(self, dim: Dim) -> float:
        if isinstance(dim, int):
            return float(dim)
        return self.sizes.get(dim, UNKNOWN_SIZE) if dim is not None else UNKNOWN_SIZE

    def cells(self, node: Node) -> float:
        return 1.0 if node.scalar else self.size(node.rows) * self.size(node.cols)

    def bytes(self, node: Node) -> float:
        """Bytes of a value in the better of its two formats."""
        if node.scalar:
            return 0.0
        found = self._bytes.get(node)
        if found is None:
            total = self.cells(node)
            found, share = total * 8, self.density(node)
            if share < 0.4 and node.cols != 1:
                found = min(found, total * share * 12 + self.size(node.rows) * 8)
            self._bytes[node] = found
        return found

    def density(self, node: Node) -> float:
        found = self._density.get(node)
        if found is None:
            found = self._density[node] = self._estimate(node)
        return found

    def _estimate(self, node: Node) -> float:
        kind, args = node.kind, node.args
        if kind == "leaf":
            return 1.0 if node.value is None else self.expected.density(node.value)
        if kind in ("neg", "t", "max"):
            return self.density(args[0])
        if kind == "pow":
            return self.density(args[0]) if (args[1].constant or 0) > 0 else 1.0
        if kind == "mul":
            shares = [self.density(a) for a in args if not a.scalar]
            return min(shares, default=1.0)
        if kind == "div":
            return 1.0 if args[0].scalar else self.density(args[0])
        if kind in ("add", "sub"):
            a, b = args
            if a.scalar or b.scalar or (a.rows, a.cols) != (b.rows, b.cols):
                return 1.0
            return min(1.0, self.density(a) + self.density(b))
        if kind == "matmul":
            a, b = args
            inner = self.size(a.rows if "l" in str(node.attr) else a.cols)
            return product_density(inner, self.density(a), self.density(b))
        if kind == "tsmm":
            share = self.density(args[0])
            return product_density(self.size(args[0].rows), share, share)
        if kind in AGGREGATES:
            a = args[0]
            summed = self.size(a.cols) if node.attr == "row" else self.size(a.rows)
            return min(1.0, self.density(a) * summed)
        if kind == "diag":
            return self.density(args[0]) / max(1.0, self.size(node.rows)) if node.cols != 1 else 1.0
        if kind == "fill":
            return 0.0 if args[0].constant == 0 else 1.0
        return 1.0

    # -- costs ----------------------------------------------------------------------------------------------------

    def alone(self, node: Node) -> float:
        """Seconds for one plan."""
        found = self._alone.get(node)
        if found is None:
            found = self._alone[node] = self.total((node,))
        return found

    def total(self, roots: Iterable[Node]) -> float:
        """Seconds for a set of plans; what they share is paid once."""
        uses: dict[Node, int] = {}
        order: list[Node] = []
        fused: dict[Node, bool] = {}
        stack = []
        for root in roots:
            uses[root] = uses.get(root, 0) + 2  # a result is always materialised
            stack.append(root)
        seen = set(uses)
        while stack:
            node = stack.pop()
            order.append(node)
            near = node.kind in CELL or node.kind in AGGREGATES
            for arg in dict.fromkeys(node.args):
                uses[arg] = uses.get(arg, 0) + 1
                fused[arg] = near and arg.kind in CELL
                if arg not in seen:
                    seen.add(arg)
                    stack.append(arg)
        inlined = {n for n in order if uses[n] == 1 and fused.get(n, False)}
        return sum(self.single(n, (n in inlined, *(a in inlined for a in n.args))) for n in order if n.args)

    def single(self, node: Node, inlined: tuple[bool, ...]) -> float:
        """Seconds for one operation; `inlined` says whether it and its operands are parts of the operation that uses them."""
        key = node, inlined
        found = self._single.get(key)
        if found is None:
            found = self._single[key] = self._seconds(node, inlined)
        return found

    def _seconds(self, node: Node, inlined: tuple[bool, ...]) -> float:
        kind, args = node.kind, node.args
        if kind in ("as_scalar", "as_matrix") or (node.scalar and all(a.scalar for a in args)):
            return _SCALAR
        if kind in ("matmul", "tsmm"):
            return self._product(node)
        moved = self.bytes(node)
        if inlined[0]:
            moved *= FUSED
        work = 0.0
        for i, arg in enumerate(args):
            if arg.scalar or (i and arg is args[0]):
                continue
            read = self.bytes(arg)
            if kind == "diag" or kind == "trace":
                read = min(read, 8 * self.size(arg.rows) * 8)
            moved += read * FUSED if inlined[i + 1] else read
            work = max(work, self.cells(arg) * self.density(arg))
        if kind in CELL and self.density(node) == 1.0:
            work = self.cells(node)
        if kind in ("diag", "trace", "fill"):
            work = 0.0
        if kind == "t":
            moved *= 1.5  # a stride on one side
        start = _OPERATION * (FUSED if inlined[0] else 1.0)
        return moved / _BANDWIDTH + work * (2 if kind == "sumsq" else 1) / _FLOPS + start

    def _product(self, node: Node) -> float:
        a, b = node.args[0], node.args[-1]
        left = node.kind == "tsmm" or "l" in str(node.attr)
        rows, inner = (a.cols, a.rows) if left else (a.rows, a.cols)
        cost = product_cost(
            self.size(rows), self.size(inner), self.size(node.cols), self.density(a), self.density(b)
        )
        seconds = cost.bytes / _BANDWIDTH + cost.flops / _FLOPS
        if node.kind == "tsmm":
            half = 8 * self.cells(a) * min(1.0, 1.5 * self.density(a)) / _BANDWIDTH
            seconds -= half + 0.45 * cost.flops / _FLOPS
        return seconds + _OPERATION
