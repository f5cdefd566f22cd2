"""Sums of lanes of several vectors, at every width."""

from __future__ import annotations

import ctypes

import numpy as np
import pytest
from tests.codegen.cpu.kernel_runner import CellArgs

from sysmlc.codegen.cpu.llvm import emit_kernel_llvm
from sysmlc.codegen.cpu.target import compile_object, make_target
from sysmlc.ir.core import Builder, Region
from sysmlc.ir.dialects.core import Return
from sysmlc.ir.dialects.kernel import KernelFunc
from sysmlc.ir.dialects.kernel_lanes import LaneSums
from sysmlc.ir.dialects.kernel_memory import Field, Load, Store
from sysmlc.ir.types import f64, ptr, vector
from sysmlc.passes.cell_body import Code
from sysmlc.runtime.code import Code as Loaded


@pytest.mark.parametrize("level", ["native", "x86-64-v3", "x86-64-v2"])
def test_each_sum_is_in_its_lane(level: str) -> None:
    target = make_target(level)
    lanes = target.lanes
    region = Region([ptr], ["args"])
    code = Code(region, None, None)
    source, result = (code(Field, region.args[0], member=m, index=0) for m in ("in", "out"))
    rows = [
        code(Load, code.at(source, code.integer(k * lanes)), types=[vector(lanes, f64)]) for k in range(lanes)
    ]
    code.op(Store, code(LaneSums, rows), result)
    Builder(region).op(Return, ())
    func = KernelFunc.new(sym="lane_sums", regions=[region])
    loaded = Loaded(compile_object(emit_kernel_llvm(func, target), target))
    rng = np.random.default_rng(lanes)
    cells, sums = rng.random((lanes, lanes)), np.zeros(lanes)
    args = CellArgs()
    args.inputs[0], args.outputs[0] = cells.ctypes.data, sums.ctypes.data
    ctypes.CFUNCTYPE(None, ctypes.c_void_p)(loaded.address("lane_sums"))(ctypes.addressof(args))
    folded = cells
    while folded.shape[1] > 1:  # halves are added to halves: the same to the last bit
        half = folded.shape[1] // 2
        folded = folded[:, :half] + folded[:, half:]
    np.testing.assert_array_equal(sums, folded[:, 0])
