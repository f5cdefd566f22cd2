"""Launches of cell kernels: the region at once, or, where the loops of a variant were written, those.

Loops are given memory as the native runtime gives it: rows, strides, the structure of sparse inputs, partial results of chunks.
An input counts as sparse when the runtime would store it so and its type does not forbid it.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from sysmlc.codegen.reference.machine import Arguments
from sysmlc.codegen.reference.regions import cell_values, common_shape, evaluate_cells
from sysmlc.codegen.reference.table import element, fail
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.kernel import FORM_DENSE, CellKernel, csr_form
from sysmlc.ir.types import Matrix
from sysmlc.passes.cell_body import IDENTITY
from sysmlc.passes.vectorize_cells import variant_name

if TYPE_CHECKING:
    from sysmlc.codegen.reference.evaluate import Evaluator

CHUNK: Final = 16
"""Rows of a chunk: few, so that small matrices have several."""
SPARSE: Final = 0.4
"""Matrices with a smaller share of non-zeros are stored as CSR."""


def is_stored_sparse(op: Op, i: int, value: Any) -> bool:
    """Whether operand `i` is CSR at run time."""
    type = op.operands[i].type
    if not isinstance(type, Matrix) or type.format == "dense" or value.shape[1] == 1:
        return False
    return type.format == "csr" or np.count_nonzero(value) < SPARSE * value.size


def written_variants(run: Evaluator, kernel: CellKernel) -> list[int]:
    """The keys of the variants of a kernel whose loops the module has."""
    return [key for key in kernel.variants if variant_name(kernel, key) in run.functions]


def launch_cells(run: Evaluator, op: Op, kernel: CellKernel, inputs: list[Any]) -> list[Any]:
    """The results of a launch of `kernel`."""
    rows, cols = common_shape(inputs)
    if not written_variants(run, kernel) or rows * cols == 0:
        return evaluate_cells(kernel, kernel.outputs, inputs)
    return CellLaunch(run, op, kernel, inputs, (rows, cols)).results()


class CellLaunch:
    """One launch of loops over cells."""

    def __init__(
        self, run: Evaluator, op: Op, kernel: CellKernel, inputs: list[Any], shape: tuple[int, int]
    ) -> None:
        self.run, self.op, self.kernel, self.inputs = run, op, kernel, inputs
        self.rows, self.cols = shape
        self.elem = element(kernel.elem)
        self.written = written_variants(run, kernel)
        self.matrices = [i for i, v in enumerate(inputs) if isinstance(v, np.ndarray)]
        self.driver = self.choose_driver()
        self.form = FORM_DENSE if self.driver is None else csr_form(self.driver)
        self.key = self.choose_variant()
        self.kept = np.ones(shape, bool)
        """The cells that the loops see."""
        if self.driver is not None:
            self.kept = inputs[self.driver] != 0

    def vector_bits(self) -> int:
        one = self.rows * self.cols == 1
        vectors = [i for i in self.matrices if self.inputs[i].shape[1] == self.cols]
        return sum(1 << i for i in vectors if one or self.inputs[i].size != 1)

    def choose_driver(self) -> int | None:
        """The sparse input whose entries are visited, if any. (Several are merged by the run time, with the dense loops.)"""
        full = [i for i in self.matrices if is_stored_sparse(self.op, i, self.inputs[i]) and self._fills(i)]
        self.at_zero: list[Any] = [0.0] * len(self.kernel.outputs)
        for i in sorted(full, key=lambda i: int(np.count_nonzero(self.inputs[i]))):
            if self._has(csr_form(i)) and self._knows_zeros(i):
                return i
        return None

    def _fills(self, i: int) -> bool:
        return bool(self.inputs[i].shape == (self.rows, self.cols))

    def _has(self, form: int) -> bool:
        return any(
            key >> 16 == form and key & self.vector_bits() == self.vector_bits() for key in self.written
        )

    def _knows_zeros(self, i: int) -> bool:
        """Find what outputs are where input `i` is 0; whether that is known without looking at each cell, and 0 in maps."""
        if self.kernel.sparse_safe >> i & 1:
            return True
        needs = self.kernel.probe_needs[i] if self.kernel.probe_needs else 0
        needed = [k for k in self.matrices if needs >> k & 1]
        if not self.kernel.sparse_probe >> i & 1 or any(map(self._fills, needed)):
            return False
        if len({self.inputs[k].shape for k in needed if self.inputs[k].size != 1}) > 1:
            return False
        cells = [v if k in needed else 1.0 if k in self.matrices else v for k, v in enumerate(self.inputs)]
        cells[i] = 0.0
        shape = (self.rows, self.cols)
        made = cell_values(
            self.kernel.body, [np.broadcast_to(np.asarray(v, self.elem), shape) for v in cells]
        )
        if any(np.any(v != 0) for v, kind in zip(made, self.kernel.outputs, strict=True) if kind == "map"):
            return False
        self.at_zero = list(made)
        return True

    def choose_variant(self) -> int:
        """The variant for these operands, or one that reads more of them cell by cell."""
        bits = self.vector_bits()
        fitting = [key for key in self.written if key >> 16 == self.form and key & bits == bits]
        if not fitting:
            raise fail(self.op, f"no variant of {self.kernel.sym} fits {self.form << 16 | bits:x}")
        return min(fitting, key=lambda key: (key & 0xFFFF).bit_count())

    # -- memory --------------------------------------------------------------------------------------------------------

    def results(self) -> list[Any]:
        """Run the loops chunk by chunk, and combine what they leave."""
        whole = all(self.inputs[i].shape == (self.rows, self.cols) for i in self.matrices)
        by_line = any(kind.startswith(("row", "col")) for kind in self.kernel.outputs)
        self.flat = self.form == FORM_DENSE and whole and not by_line
        args = Arguments()
        for i, value in enumerate(self.inputs):
            self.bind_input(args, i, value)
        self.memory: list[Any] = []
        for k, kind in enumerate(self.kernel.outputs):
            self.memory.append(self.make_output(args, k, kind))
        args.members["flags", 0] = 0
        function = self.run.functions[variant_name(self.kernel, self.key)]
        height, width = (1, self.rows * self.cols) if self.flat else (self.rows, self.cols)
        partials: list[list[Any]] = [[] for _ in self.kernel.outputs]
        for first in range(0, height, CHUNK):
            for k, kind in enumerate(self.kernel.outputs):
                if kind.startswith(("full", "col")):
                    partials[k].append(self.partial(args, k, kind))
            region = function.regions[0]
            self.run.region(region, (args, first, min(first + CHUNK, height), 0, width), {})
        return [self.close(k, str(kind), partials[k]) for k, kind in enumerate(self.kernel.outputs)]

    def bind_input(self, args: Arguments, i: int, value: Any) -> None:
        args.set("in_rs", i, 0)
        if not isinstance(value, np.ndarray):
            args.set("in", i, np.array([value], self.elem))
            return
        if i == self.driver:
            args.set("in", i, value[value != 0])
            args.set("rowptr", 0, _starts(value != 0))
            args.set("colidx", 0, np.nonzero(value)[1].astype(np.int32))
            return
        if self.key >> i & 1 and not self.vector_bits() >> i & 1:
            value = np.broadcast_to(value, (self.rows, self.cols))
        args.set("in", i, np.array(value).ravel())
        args.set("in_rs", i, 0 if value.shape[0] == 1 or self.flat else int(value.shape[1]))

    def make_output(self, args: Arguments, k: int, kind: str) -> Any:
        """The memory of a whole output; those of chunks are made for each."""
        dir, _, fn = kind.partition(":")
        if dir == "row":
            made = np.full(self.rows, IDENTITY[fn], self.elem)
            args.set("out_rs", k, 1)
        elif dir == "map":
            made = np.full(np.count_nonzero(self.kept), np.nan, self.elem)
            args.set("out_rs", k, 0 if self.flat else self.cols)
        else:
            args.set("out_rs", k, self.cols)
            return None
        args.set("out", k, made)
        return made

    def partial(self, args: Arguments, k: int, kind: str) -> Any:
        dir, _, fn = kind.partition(":")
        size = 1 if dir == "full" else self.cols
        made = np.concatenate([np.full(size, IDENTITY[fn]), np.zeros(size)])
        args.set("out", k, made)
        return made

    # -- results -------------------------------------------------------------------------------------------------------

    def close(self, k: int, kind: str, partials: list[Any]) -> Any:
        dir, _, fn = kind.partition(":")
        if dir == "map":
            made = np.zeros((self.rows, self.cols), self.elem)
            made[self.kept] = self.memory[k]
            return made
        if dir == "row":
            return self.with_zeros(k, fn, self.memory[k], 1).reshape(-1, 1)
        if fn == "sum":
            size = len(partials[0]) // 2
            total = compensated([(p[:size], p[size:]) for p in partials])
        else:
            pick = {"prod": np.prod, "min": np.min, "max": np.max}[fn]
            total = pick([p[: len(p) // 2] for p in partials], axis=0)
        if dir == "full":
            return float(np.ravel(self.with_zeros(k, fn, total, None))[0])
        return self.with_zeros(k, fn, total, 0).reshape(1, -1)

    def with_zeros(self, k: int, fn: str, values: Any, axis: int | None) -> Any:
        """Aggregates of sparse inputs have not seen the zeros."""
        if self.driver is None or self.kept.all():
            return values
        reduce = {"sum": np.sum, "prod": np.prod, "min": np.min, "max": np.max}[fn]
        pick = {"sum": np.add, "prod": np.multiply, "min": np.minimum, "max": np.maximum}[fn]
        cells = np.broadcast_to(np.asarray(self.at_zero[k], self.elem), self.kept.shape)
        return pick(values, reduce(np.where(self.kept, IDENTITY[fn], cells), axis=axis))


def _starts(kept: Any) -> Any:
    """Where the rows of a CSR matrix begin."""
    return np.concatenate([[0], np.cumsum(kept.sum(axis=1))]).astype(np.int64)


def compensated(parts: Sequence[tuple[Any, Any]]) -> Any:
    """The sums of values with their compensations; where a value is not finite, those mean nothing."""
    cells = [np.where(np.isfinite(value), rest, 0.0) for value, rest in parts] + [value for value, _ in parts]
    return np.array([math.fsum(c) if np.isfinite(c).all() else np.sum(c) for c in np.array(cells).T])
