"""Launches of kernels over rows, and of kernels over the cells of products."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sysmlc.codegen.reference.launch import CHUNK, CellLaunch, compensated, is_stored_sparse, written_variants
from sysmlc.codegen.reference.machine import Arguments
from sysmlc.codegen.reference.regions import close_product, evaluate_products, evaluate_rows, product_cells
from sysmlc.codegen.reference.table import element, fail
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.kernel import CellKernel, RowKernel
from sysmlc.passes.lower_outer import CLOSING, STORED
from sysmlc.passes.lower_rows import FORM_CSR, kernel_plan
from sysmlc.passes.vectorize_cells import variant_name

if TYPE_CHECKING:
    from sysmlc.codegen.reference.evaluate import Evaluator

BLOCK: Final = 8
"""SM_ROW_BLOCK: rows that share partial results."""
ROW, SIDE, TRANSPOSED, SCALAR = range(4)


def launch_products(run: Evaluator, op: Op, kernel: CellKernel, inputs: list[Any]) -> list[Any]:
    """A region over products: its kernel runs over their cells, then the outputs are closed as the plan says."""
    stored, closing, _ = str(op.attrs["plan"]).split("|")
    products = [{v: k for k, v in STORED.items()}[c] for c in stored]
    outputs = [{v: k for k, v in CLOSING.items()}[c] for c in closing]
    if not written_variants(run, kernel):
        return evaluate_products(kernel.body, products, outputs, inputs)
    cells, factors = product_cells(kernel.body, products, inputs)
    shape = np.broadcast_shapes(*(c.shape for c in cells))
    if 0 in shape:
        return evaluate_products(kernel.body, products, outputs, inputs)
    matrices = kernel.variants[0]
    seen = [np.broadcast_to(c, shape) if matrices >> i & 1 else c[0, 0] for i, c in enumerate(cells)]
    made = _Dense(run, op, kernel, seen, shape).results()
    return [
        s if isinstance(s, float) else close_product(kind, s, factors)
        for kind, s in zip(outputs, made, strict=True)
    ]


class _Dense(CellLaunch):
    def choose_driver(self) -> int | None:
        return None


def launch_rows(run: Evaluator, op: Op, kernel: CellKernel, inputs: list[Any]) -> list[Any]:
    """One scan of the rows of the first input."""
    assert isinstance(kernel, RowKernel)
    if not written_variants(run, kernel) or 0 in inputs[0].shape:
        return evaluate_rows(run, kernel, inputs)
    return _RowLaunch(run, op, kernel, inputs).results()


class _RowLaunch:
    """One launch of loops over rows. `kernel_plan` says how memory is laid out."""

    def __init__(self, run: Evaluator, op: Op, kernel: RowKernel, inputs: list[Any]) -> None:
        self.run, self.op, self.kernel, self.inputs = run, op, kernel, inputs
        numbers = iter(kernel_plan(kernel))
        self.roles, self.classes = zip(*[(next(numbers), next(numbers)) for _ in inputs], strict=True)
        self.assembled = [
            (next(numbers), next(numbers), [next(numbers) for _ in range(next(numbers))])
            for _ in range(next(numbers))
        ]
        self.slots = [next(numbers) for _ in range(next(numbers))]
        self.plans = [(next(numbers), next(numbers), next(numbers)) for _ in kernel.outputs]
        self.rows, self.cols = inputs[0].shape
        self.elem = element(kernel.elem)
        self.lengths = np.ones(len(inputs) + len(self.assembled), np.int64)
        self.lengths[0] = self.cols
        self.several = [i == 0 for i in range(len(inputs))]
        for i in range(1, len(inputs)):
            self._find_length(i)
        for number, width, pieces in self.assembled:
            self.lengths[number] = width + sum(map(self._columns, pieces))
        self.key = self._choose_variant()

    def _find_length(self, i: int) -> None:
        role, number = self.roles[i], self.classes[i]
        if role == SCALAR:
            return
        width = self.inputs[i].shape[0 if role == TRANSPOSED else 1]
        self.several[i] = width != 1 or (number == 0 and self.cols == 1)
        if self.several[i]:
            self.lengths[number] = width

    def _choose_variant(self) -> int:
        bits = sum(1 << i for i, s in enumerate(self.several) if s)
        sparse = self.kernel.sparse_safe & 1 and is_stored_sparse(self.op, 0, self.inputs[0])
        for form in [FORM_CSR, 0] if sparse else [0]:
            keys = [k for k in self.kernel.variants if k & ~0xFFFF == form and k & bits == bits]
            if keys:
                key = min(keys, key=lambda k: (k & 0xFFFF).bit_count())
                for i in range(len(self.inputs)):
                    if key >> i & 1 and not self.several[i]:
                        self._widen(i)
                return key
        raise fail(self.op, f"no variant of {self.kernel.sym} fits {bits:x}")

    def _widen(self, i: int) -> None:
        """One column where the loops expect several: it is repeated."""
        self.several[i] = True
        length = self.lengths[self.classes[i]]
        axis = 0 if self.roles[i] == TRANSPOSED else 1
        self.inputs[i] = np.repeat(self.inputs[i], length, axis=axis)

    def _columns(self, mask: int) -> int:
        for i, number in enumerate(self.classes):
            if mask >> i & 1 and self.several[i]:
                return int(self.lengths[number])
        for i, (number, _, _) in enumerate(self.assembled, len(self.inputs)):
            if mask >> i & 1:
                return int(self.lengths[number])
        return 1

    # -- memory --------------------------------------------------------------------------------------------------------

    def results(self) -> list[Any]:
        """Run the loops chunk by chunk, and combine what they leave."""
        args = Arguments()
        for i, value in enumerate(self.inputs):
            self._bind(args, i, value)
        scratch = sum(BLOCK * (1 if s < 0 else max(int(self.lengths[s]), 1)) for s in self.slots)
        args.set("lengths", 0, self.lengths)
        args.set("scratch", 0, np.full(scratch, np.nan, self.elem))
        self.columns = [(self._columns(first), self._columns(second)) for first, second, _ in self.plans]
        maps: dict[int, Any] = {}
        for k, kind in enumerate(self.kernel.outputs):
            args.set("out_rs", k, self.columns[k][0])
            if kind == "map":
                maps[k] = np.full(self.rows * self.columns[k][0], np.nan, self.elem)
                args.set("out", k, maps[k])
        function = self.run.functions[variant_name(self.kernel, self.key)]
        partials: list[list[Any]] = [[] for _ in self.kernel.outputs]
        for first in range(0, self.rows, CHUNK):
            for k, kind in enumerate(self.kernel.outputs):
                if kind != "map":
                    partials[k].append(self._partial(k, kind))
                    args.set("out", k, partials[k][-1])
            last = min(first + CHUNK, self.rows)
            self.run.region(function.regions[0], (args, first, last, 0, self.cols), {})
        return [
            maps[k].reshape(self.rows, -1) if kind == "map" else self._combine(k, kind, partials[k])
            for k, kind in enumerate(self.kernel.outputs)
        ]

    def _bind(self, args: Arguments, i: int, value: Any) -> None:
        role = self.roles[i]
        args.set("in_rs", i, 0)
        if role == SCALAR:
            args.set("in", i, np.array([value], self.elem))
            return
        if i == 0 and self.key & FORM_CSR:
            args.set("in", 0, value[value != 0])
            args.set("rowptr", 0, np.concatenate([[0], np.cumsum((value != 0).sum(axis=1))]).astype(np.int64))
            args.set("colidx", 0, np.nonzero(value)[1].astype(np.int32))
            return
        args.set("in", i, np.array(value.T if role == SIDE else value).ravel())
        if role == ROW:
            args.set("in_rs", i, 0 if value.shape[0] == 1 and self.rows != 1 else int(value.shape[1]))

    def _is_wide(self, k: int, factor: int = 0) -> bool:
        inputs, wide = self.plans[k][factor], self.plans[k][2] >> factor & 1
        return bool(wide) and any(inputs >> i & 1 and s for i, s in enumerate(self.several))

    def _in_wide_loop(self, k: int) -> bool:
        return self._is_wide(k) or self._is_wide(k, 1)

    def _partial(self, k: int, kind: str) -> Any:
        first, second = self.columns[k]
        if kind == "product":
            return np.zeros(first * second * (1 if self._in_wide_loop(k) else BLOCK))
        if kind.startswith("col") and self._is_wide(k):
            return np.zeros(2 * first)
        made = np.zeros(2 * BLOCK * first)
        if kind.startswith("full") and kind != "full:sum":
            made[:BLOCK] = np.inf if kind == "full:min" else -np.inf
        return made

    # -- results -------------------------------------------------------------------------------------------------------

    def _combine(self, k: int, kind: str, partials: list[Any]) -> Any:
        first, second = self.columns[k]
        if kind == "product":
            total = np.sum(partials, axis=0)
            if not self._in_wide_loop(k):
                return total.reshape(first, second, BLOCK).sum(axis=2)
            return total.reshape(second, first).T if self._is_wide(k) else total.reshape(first, second)
        if kind in ("full:min", "full:max"):
            pick = np.min if kind == "full:min" else np.max
            return float(pick([[p[:BLOCK], p[BLOCK:] * 0 + p[:BLOCK]] for p in partials]))
        if self._is_wide(k):
            parts = [(p[:first], p[first:]) for p in partials]
        else:
            blocks = [p.reshape(first, 2, BLOCK) for p in partials]
            parts = [(b[:, 0, lane], b[:, 1, lane]) for b in blocks for lane in range(BLOCK)]
        total = compensated(parts)
        return float(total[0]) if kind == "full:sum" else total.reshape(1, -1)
