"""Compiles cells and runs their kernels directly, on NumPy arrays and SciPy CSR matrices."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from sysmlc.codegen.cpu.llvm import emit_variant
from sysmlc.codegen.cpu.target import Target, compile_object, make_target
from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.dialects.core import Func, Module, Return
from sysmlc.ir.dialects.kernel import CellKernel, csr_form
from sysmlc.ir.types import Type
from sysmlc.passes.form_cells import FormCells
from sysmlc.passes.lower_cells import LowerCells
from sysmlc.passes.vectorize_cells import variant_name
from sysmlc.runtime.code import Code

IDENTITY = {"sum": 0.0, "prod": 1.0, "min": np.inf, "max": -np.inf}


class CellArgs(ctypes.Structure):
    """sm_cell_args."""

    _fields_ = [
        ("inputs", ctypes.c_void_p * 16),
        ("input_strides", ctypes.c_int64 * 16),
        ("outputs", ctypes.c_void_p * 8),
        ("output_strides", ctypes.c_int64 * 8),
        ("rowptr", ctypes.c_void_p),
        ("colidx", ctypes.c_void_p),
        ("flags", ctypes.c_int64),
    ]


def module_of(make: Callable[..., Value | Sequence[Value]], types: Sequence[Type]) -> Module:
    """A module whose main function returns what `make(builder, *parameters)` gives."""
    region = Region(types)
    b = Builder(region)
    made = make(b, *region.args)
    b.op(Return, [made] if isinstance(made, Value) else made)
    top = Region()
    Builder(top).op(Func, sym="main", regions=[region])
    module = Module.new(regions=[top])
    assert isinstance(module, Module)
    return module


def kernel_of(make: Callable[..., Value | Sequence[Value]], types: Sequence[Type]) -> CellKernel:
    """The kernel of the only cell of that function."""
    module = module_of(make, types)
    FormCells().run(module)
    LowerCells().run(module)
    (kernel,) = [op for op in module.body if isinstance(op, CellKernel)]
    return kernel


@dataclass
class Runner:
    """Compiles variants for one target and keeps them."""

    target: Target = field(default_factory=make_target)
    loaded: dict[tuple[str, int], Any] = field(default_factory=dict)
    codes: list[Code] = field(default_factory=list)

    def function(self, kernel: CellKernel, key: int) -> Any:
        found = self.loaded.get((kernel.sym, key))
        if found is None:
            name = variant_name(kernel, key)
            image = compile_object(emit_variant(kernel, key, self.target), self.target)
            code = Code(image)
            self.codes.append(code)
            prototype = ctypes.CFUNCTYPE(None, ctypes.c_void_p, *[ctypes.c_int64] * 4)
            found = prototype(code.address(name))
            self.loaded[kernel.sym, key] = found
        return found

    def dense(
        self, kernel: CellKernel, inputs: Sequence[Any], shape: tuple[int, int], stream: bool = False
    ) -> list[np.ndarray[Any, Any]]:
        """Run the dense form over arrays and numbers; gives one array for each output."""
        return self._run(kernel, inputs, shape, None, stream)

    def csr(self, kernel: CellKernel, inputs: Sequence[Any], driver: int) -> list[np.ndarray[Any, Any]]:
        """Run the form driven by a CSR input. Map outputs are the values of its entries."""
        return self._run(kernel, inputs, inputs[driver].shape, driver)

    def _run(
        self,
        kernel: CellKernel,
        inputs: Sequence[Any],
        shape: tuple[int, int],
        driver: int | None,
        stream: bool = False,
    ) -> list[np.ndarray[Any, Any]]:
        rows, cols = shape
        args, key, keep = CellArgs(), 0, []
        for i, value in enumerate(inputs):
            if hasattr(value, "indptr"):
                indptr, indices = value.indptr.astype(np.int64), value.indices.astype(np.int32)
                data = np.ascontiguousarray(value.data, np.float64)
                keep += [indptr, indices, data]
                key |= 1 << i
                args.inputs[i] = data.ctypes.data
                args.rowptr, args.colidx = indptr.ctypes.data, indices.ctypes.data
                continue
            data = np.ascontiguousarray(value, np.float64)
            keep.append(data)
            args.inputs[i] = data.ctypes.data
            if data.ndim == 2 and (data.shape == shape or data.shape[1] != 1):
                key |= 1 << i
                args.input_strides[i] = cols if data.shape[0] == rows and data.shape == shape else 0
            elif data.ndim == 2 and data.shape[0] != 1:
                args.input_strides[i] = 1
        if driver is not None:
            key |= csr_form(driver) << 16
        results = []
        for k, kind in enumerate(kernel.outputs):
            what, _, fn = kind.partition(":")
            if what == "map":
                size = rows * cols if driver is None else inputs[driver].nnz
                made = _aligned(size)
                args.output_strides[k] = cols
            else:
                size = {"full": 1, "row": rows, "col": cols}[what]
                made = np.zeros(2 * size)
                made[:size] = IDENTITY[fn]
                args.output_strides[k] = size
            results.append(made)
            args.outputs[k] = made.ctypes.data
        args.flags = int(stream)
        self.function(kernel, key)(ctypes.addressof(args), 0, rows, 0, cols)
        return [_finish(kernel.outputs[k], r, shape, driver) for k, r in enumerate(results)]


def _aligned(size: int) -> np.ndarray[Any, Any]:
    raw = np.full(size + 8, -777.0)
    return raw[(-raw.ctypes.data // 8) % 8 :][:size]


def _finish(kind: str, made: np.ndarray[Any, Any], shape: tuple[int, int], driver: int | None) -> Any:
    what, _, fn = kind.partition(":")
    if what == "map":
        return made.reshape(shape) if driver is None else made
    size = len(made) // 2
    total = made[:size] + made[size:] if fn == "sum" and what != "row" else made[:size]
    return total[0] if what == "full" else total
