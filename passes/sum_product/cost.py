"""What plans cost, by the sizes and densities of `passes/estimate.py`.

Cellwise operations that feed each other are likely to be fused, so what moves between them counts a fraction only: enough to
prefer fewer operations, not enough to prefer a product that fusion would avoid. A product of which only some cells are needed,
because everything made of it is multiplied with a sparse matrix, is sampled at those: it is never formed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Final

from sysmlc.ir.core import Value
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Dim
from sysmlc.passes.estimate import (
    NUMBERS,
    PRODUCT_FLOPS_PER_SECOND,
    product_cost,
    product_density,
    sampled_cost,
)
from sysmlc.passes.outer.worth import SAMPLED, may_sample
from sysmlc.passes.sparsity import Expectations
from sysmlc.passes.sum_product.nodes import AGGREGATES, CELL, Node

UNKNOWN_SIZE: Final = 1000.0
FUSED: Final = 0.25
"""The share of memory traffic that is counted between cellwise operations."""
SPARSE: Final = 0.4
CACHE_LINE: Final = 64
_MERGE: Final = 4e-9
_OPERATION: Final = 1e-6
"""Seconds to start an operation on matrices."""
_SCALAR: Final = 2e-9
_BANDWIDTH: Final = 10e9


class Model:
    """Costs under an assumption of what named sizes are."""

    def __init__(
        self,
        sizes: Mapping[str, float] | None = None,
        expected: Expectations | None = None,
        samples: bool = True,
    ) -> None:
        self.sizes = sizes or {}
        self.expected = expected or Expectations()
        self.samples = samples
        """Whether `fuse-outer` will run."""
        self._cells: dict[Node, float] = {}
        self._density: dict[Node, float] = {}
        self._bytes: dict[Node, float] = {}
        self._drivers: dict[Node, frozenset[Value]] = {}
        self._base: dict[Node, float] = {}
        self._saved: dict[Node, float] = {}
        self._alone: dict[Node, float] = {}

    def size(self, dim: Dim) -> float:
        if isinstance(dim, int):
            return float(dim)
        return self.sizes.get(dim, UNKNOWN_SIZE) if dim is not None else UNKNOWN_SIZE

    def cells(self, node: Node) -> float:
        found = self._cells.get(node)
        if found is None:
            found = 1.0 if node.scalar else self.size(node.rows) * self.size(node.cols)
            self._cells[node] = found
        return found

    def bytes(self, node: Node) -> float:
        """Bytes of a value in the better of its two formats."""
        if node.scalar:
            return 0.0
        found = self._bytes.get(node)
        if found is None:
            total = self.cells(node)
            found, share = total * NUMBERS.cell_bytes, self.density(node)
            if share < SPARSE and node.cols != 1:
                found = min(found, total * share * NUMBERS.entry_bytes + self.size(node.rows) * 8)
            self._bytes[node] = found
        return found

    def least(self, node: Node, leaves: Iterable[Node]) -> float:
        """Seconds that every plan for a node of these leaves takes: to read them and to write the result."""
        return (self.bytes(node) + sum([self.bytes(leaf) for leaf in leaves])) / _BANDWIDTH

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
            found = self._alone[node] = self._together({node: None})
        return found

    def total(self, roots: Iterable[Node]) -> float:
        """Seconds for a set of plans; what they share is paid once."""
        results = dict.fromkeys(roots)
        return self.alone(next(iter(results))) if len(results) == 1 else self._together(results)

    def _together(self, results: Mapping[Node, None]) -> float:
        once: dict[Node, float] = dict.fromkeys(results, 0.0)  # a result is always materialised
        order: list[Node] = []
        products = False
        base, saved = self._base, self._saved
        seconds = 0.0
        stack = list(results)
        while stack:
            node = stack.pop()
            if not node.args:
                continue
            order.append(node)
            seconds += base.get(node) or self.base(node)
            products |= node.kind == "matmul"
            near = node.near
            for arg in node.parts:
                gain = once.get(arg)
                if gain is None:
                    gain = 0.0
                    if near and arg.cell:
                        gain = saved.get(arg) or self.saved(arg)
                        seconds -= gain
                    once[arg] = gain
                    stack.append(arg)
                elif gain:  # a second use: it is materialised after all
                    seconds += gain
                    once[arg] = 0.0
        sampled = self._sampled(order, results) if products else {}
        if not sampled:
            return seconds
        passes = _passes(order, sampled)
        for node in order:
            if node in sampled:
                seconds += self._at(node, sampled) * passes.get(node, 1) - self.base(node) + once[node]
            else:
                seconds -= self._handed(node, sampled)
        return seconds

    def _sampled(self, order: list[Node], roots: Mapping[Node, None]) -> dict[Node, float]:
        """Products that need not be formed and what is made of their cells, with the share of cells that is needed."""
        products = [n for n in order if n.kind == "matmul" and n not in roots and self.may_sample(n)]
        if not products:
            return {}
        users: dict[Node, list[Node]] = {}
        for node in order:
            for arg in node.parts:
                users.setdefault(arg, []).append(node)
        needs: dict[Node, float] = {}

        def need(node: Node) -> float:
            found = needs.get(node)
            if found is None:
                found = 1.0
                if node not in roots:
                    found = 0.0
                    for user in users[node]:
                        found = max(found, self.needed(user, node, need))
                        if found >= SAMPLED:  # more than can be sampled, whatever the others look at
                            break
                needs[node] = found
            return found

        found: dict[Node, float] = {}
        for product in products:
            if need(product) >= SAMPLED or not self.may_sample(product, need(product)):
                continue
            stack = [product]
            while stack:
                node = stack.pop()
                if node not in found:
                    found[node] = need(product)
                    # Below the sparse operand everything is in the pass, above it what is zero where that is.
                    # What is made of a sum comes after the pass.
                    free = node is product or (node.cell and not self.drivers(node))
                    stack += [
                        u
                        for u in users.get(node, ())
                        if node.kind not in AGGREGATES
                        and (
                            (u.cell and (free or self.drivers(u)))
                            or (u.kind in AGGREGATES and self.drivers(node))
                        )
                    ]
        return found

    def drivers(self, node: Node) -> frozenset[Value]:
        """Sparse matrices of the program whose zeros make the node zero."""
        found = self._drivers.get(node)
        if found is None:
            kind, args = node.kind, node.args
            found = frozenset()
            if kind == "leaf" and node.value is not None and not node.scalar and self.density(node) < SAMPLED:
                op = node.value.op
                zero = op is not None and op.name == "dml.ne" and constant(op.operands[1]) == 0
                found = frozenset([node.value, *(op.operands[:1] if op is not None and zero else [])])
            elif kind == "mul":
                found = self.drivers(args[0]) | self.drivers(args[1])
            elif kind in ("add", "sub"):
                found = self.drivers(args[0]) & self.drivers(args[1])
            elif kind in ("neg", "div", "pow"):
                found = self.drivers(args[0])
            self._drivers[node] = found
        return found

    def may_sample(self, node: Node, share: float = 0.0) -> bool:
        """Whether this share of the cells of a product can be computed without the others, as `fuse-outer` does."""
        if not self.samples or node.kind != "matmul" or node.rows == 1 or node.cols == 1:
            return False
        inner = node.args[0].rows if "l" in str(node.attr) else node.args[0].cols
        return isinstance(inner, int) and may_sample(inner, share)

    def needed(self, user: Node, node: Node, need: Callable[[Node], float]) -> float:
        """The share of the cells of `node` that `user` looks at, when `need` is the share of its own."""
        if user.kind not in CELL or user.kind == "outer":
            return 1.0
        a, b = user.args[0], user.args[-1]
        other = b if a is node else a
        driven = user.kind == "mul" or (user.kind == "div" and b is node)
        if driven and other is not node and not other.scalar and other.rows != 1 and other.cols != 1:
            return self.density(other)
        return need(user)

    def _at(self, node: Node, sampled: Mapping[Node, float]) -> float:
        """Seconds for an operation at some of its cells, in one pass with the product they come from."""
        share = sampled[node]
        if node.kind == "matmul":
            return self.sample(node, share)
        read = sum(self.bytes(a) for a in node.parts if a not in sampled)
        written = FUSED * self.bytes(node) if node.kind in CELL and self.density(node) < SAMPLED else 0.0
        return (read + written) / _BANDWIDTH + self.cells(node.args[0]) * share / PRODUCT_FLOPS_PER_SECOND

    def _handed(self, node: Node, sampled: Mapping[Node, float]) -> float:
        """What a product saves that takes its operand from the pass which computes it."""
        if node.kind != "matmul" or not sampled:
            return 0.0
        return sum((1 + FUSED) * self.bytes(a) for a in node.parts if a in sampled) / _BANDWIDTH

    def sample(self, product: Node, share: float) -> float:
        """Seconds for a share of the cells of a product."""
        a = product.args[0]
        inner = self.size(a.rows if "l" in str(product.attr) else a.cols)
        cost = sampled_cost(self.size(product.rows), inner, self.size(product.cols), share)
        return cost.seconds + _OPERATION

    def base(self, node: Node) -> float:
        """Seconds for one operation that reads and writes memory."""
        found = self._base.get(node)
        if found is None:
            found = self._base[node] = self._seconds(node)
        return found

    def saved(self, node: Node) -> float:
        """What is saved of a cellwise operation and its only user, when it is a part of that."""
        found = self._saved.get(node)
        if found is None:
            found = 0.0
            if not node.scalar:
                start = 0.0 if self._merges(node) else _OPERATION
                found = (1 - FUSED) * (2 * self.bytes(node) / _BANDWIDTH + start)
            self._saved[node] = found
        return found

    def _seconds(self, node: Node) -> float:
        kind, args = node.kind, node.args
        if kind in ("as_scalar", "as_matrix") or (node.scalar and all(a.scalar for a in args)):
            return _SCALAR
        if kind in ("matmul", "tsmm"):
            return self._product(node)
        moved = self.bytes(node)
        work = 0.0
        for arg in node.parts:
            if arg.scalar:
                continue
            read = self.bytes(arg)
            if kind == "diag" or kind == "trace":
                read = min(read, CACHE_LINE * self.size(arg.rows))
            moved += read
            work = max(work, self.cells(arg) * self.density(arg))
        if node.cell and self.density(node) == 1.0:
            work = self.cells(node)
        if kind in ("diag", "trace", "fill"):
            work = 0.0
        if kind == "t":
            moved *= 1.5  # a stride on one side
        if self._merges(node):
            met = sum([self.cells(a) * self.density(a) for a in args])
            return moved / _BANDWIDTH + _MERGE * met + _OPERATION
        return (
            moved / _BANDWIDTH + work * (2 if kind == "sumsq" else 1) / PRODUCT_FLOPS_PER_SECOND + _OPERATION
        )

    def _merges(self, node: Node) -> bool:
        """Whether the non-zeros of two matrices are merged."""
        if node.kind not in ("add", "sub") or node.args[0].scalar or node.args[1].scalar:
            return False
        return 0 < self.density(node) < SPARSE

    def _product(self, node: Node) -> float:
        a, b = node.args[0], node.args[-1]
        left = node.kind == "tsmm" or "l" in str(node.attr)
        rows, inner = (a.cols, a.rows) if left else (a.rows, a.cols)
        cost = product_cost(
            self.size(rows), self.size(inner), self.size(node.cols), self.density(a), self.density(b)
        )
        seconds = cost.bytes / _BANDWIDTH + cost.flops / PRODUCT_FLOPS_PER_SECOND
        if node.kind == "tsmm":
            half = NUMBERS.cell_bytes * self.cells(a) * min(1.0, 1.5 * self.density(a)) / _BANDWIDTH
            seconds -= half + 0.45 * cost.flops / PRODUCT_FLOPS_PER_SECOND
        return seconds + _OPERATION


def _passes(order: Iterable[Node], sampled: Mapping[Node, float]) -> dict[Node, int]:
    """How often each sampled product is computed: again where what uses it waits for a sum over it."""
    found: dict[Node, int] = {}

    def at(node: Node) -> int:
        """The pass that computes a node, or after how many passes it can be."""
        known = found.get(node)
        if known is None:
            known = found[node] = max(
                [at(a) + (a in sampled and not inside(a, node)) for a in node.parts], default=0
            )
        return known

    def inside(a: Node, user: Node) -> bool:
        return user in sampled and (a.cell or a.kind == "matmul")

    times: dict[Node, set[int]] = {}
    for node in order:
        for a in node.parts if node in sampled else ():
            if a in sampled and a.kind == "matmul":
                times.setdefault(a, set()).add(at(node))
    return {product: len(levels) for product, levels in times.items()}
