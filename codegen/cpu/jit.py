"""Code that runs in this process: one LLJIT, one library for each program and for each kernel variant.

The runtime's symbols come from `libsysmlc_rt.so`. Kernels are compiled (or taken from the cache) when a program first
launches them: the runtime asks through the context's `resolve`.
"""

from __future__ import annotations

import ctypes
import threading
import traceback
from functools import cache
from typing import Any

from sysmlc.codegen.cpu.compile import Compiled, kernel_object
from sysmlc.codegen.cpu.tables import variant_symbol
from sysmlc.codegen.cpu.target import Target, make_target, target_machine
from sysmlc.runtime.library import native

RESOLVER = ctypes.CFUNCTYPE(ctypes.c_void_p, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint32)


class _KernelHeader(ctypes.Structure):
    _fields_ = (
        ("sizes", ctypes.c_int32 * 2),
        ("kinds", ctypes.c_uint8 * 16),
        ("numbers", ctypes.c_uint32 * 4),
        ("keys", ctypes.c_void_p),
        ("variants", ctypes.c_void_p),
        ("name", ctypes.c_char_p),
    )


class _ProgramHeader(ctypes.Structure):
    _fields_ = (("entry", ctypes.c_void_p), ("locations", ctypes.c_void_p), ("n_locations", ctypes.c_int64))


class LoadedProgram:
    """A program in memory; it stays there as long as this object lives."""

    def __init__(self, tracker: Any) -> None:
        self._tracker = tracker
        header = _ProgramHeader.from_address(tracker["sm_program"])
        self.entry: int = header.entry
        self.locations: int | None = header.locations
        self.n_locations: int = header.n_locations


class Engine:
    """The JIT of this process."""

    def __init__(self) -> None:
        native()
        import llvmlite.binding as llvm

        self.target: Target = make_target()
        self._llvm = llvm
        self._jit = llvm.create_lljit_compiler(target_machine(self.target))
        self._lock = threading.RLock()
        self._count = 0
        self._sources: dict[str, Compiled] = {}
        self._variants: dict[tuple[str, int], tuple[int, Any]] = {}
        self.failure: str | None = None
        self.resolver = RESOLVER(self._resolve)

    def load(self, compiled: Compiled) -> LoadedProgram:
        """Load a program, so that it can be run."""
        with self._lock:
            for name in _kernel_names(compiled):
                self._sources.setdefault(name, compiled)
            return LoadedProgram(self._link(compiled.object(), "sm_program"))

    def variant(self, kernel: str, key: int) -> int:
        """The address of a variant of a kernel; compiles it when it is new."""
        with self._lock:
            found = self._variants.get((kernel, key))
            if found is None:
                symbol = variant_symbol(kernel, key)
                code = kernel_object(self._sources[kernel], kernel, (key,), self.target)
                tracker = self._link(code, symbol)
                found = self._variants[kernel, key] = (tracker[symbol], tracker)
            return found[0]

    def _link(self, object_code: bytes, symbol: str) -> Any:
        self._count += 1
        builder = self._llvm.JITLibraryBuilder().add_object_img(object_code).add_current_process()
        return builder.export_symbol(symbol).link(self._jit, f"sysmlc.{self._count}")

    def _resolve(self, ctx: int, kernel: int, key: int) -> int | None:
        try:
            return self.variant(_KernelHeader.from_address(kernel).name.decode(), key)
        except Exception:
            # There is a C frame between this and the caller; `run` reports it.
            self.failure = traceback.format_exc()
            return None


def _kernel_names(compiled: Compiled) -> list[str]:
    # The names without parsing: a warm start should not pay for kernels it finds in the cache.
    marker = '@"kernel.'
    lines = compiled.llvm.split("\n")
    return [line[len(marker) : line.index('" = ')] for line in lines if line.startswith(marker)]


@cache
def engine() -> Engine:
    """The engine of this process, made on first use."""
    return Engine()
