"""Code that runs in this process: one piece for each program and for each kernel variant.

Kernels are compiled (or taken from the cache) when a program first launches them: the runtime asks through the context's
`resolve`. What is there already takes no LLVM: objects are loaded by the runtime, which has the symbols they need.
"""

from __future__ import annotations

import ctypes
import threading
import traceback
from functools import cache

from sysmlc.codegen.cpu.cache import object_cache
from sysmlc.codegen.cpu.compile import Compiled
from sysmlc.codegen.cpu.objects import Wanted, kernel_object, objects, program_object
from sysmlc.codegen.cpu.tables import variant_symbol
from sysmlc.codegen.cpu.target import Target, make_target
from sysmlc.codegen.cpu.workers import workers
from sysmlc.runtime.code import Code, DamagedCodeError

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

    def __init__(self, code: Code) -> None:
        self._code = code
        header = _ProgramHeader.from_address(code.address("sm_program"))
        self.entry: int = header.entry
        self.locations: int | None = header.locations
        self.n_locations: int = header.n_locations


class Engine:
    """All code of this process."""

    def __init__(self) -> None:
        self.target: Target = make_target()
        self._lock = threading.RLock()
        self._sources: dict[str, Compiled] = {}
        self._variants: dict[tuple[str, int], tuple[int, Code]] = {}
        self._ahead: set[tuple[str, int]] = set()
        """Variants that were compiled before anybody asked for them."""
        self.failure: str | None = None
        self.resolver = RESOLVER(self._resolve)

    def load(self, compiled: Compiled) -> LoadedProgram:
        """Load a program, so that it can be run."""
        with self._lock:
            for name in compiled.variants:
                self._sources.setdefault(name, compiled)
            wanted = program_object(compiled.llvm, compiled.target, compiled.effort)
            return LoadedProgram(_code(wanted, "sm_program"))

    def variant(self, kernel: str, key: int) -> int:
        """The address of a variant of a kernel; compiles it when it is new."""
        with self._lock:
            found = self._variants.get((kernel, key))
            if found is None:
                symbol = variant_symbol(kernel, key)
                self._compile_ahead(kernel, key)
                code = _code(self._wanted(kernel, key), symbol)
                found = self._variants[kernel, key] = (code.address(symbol), code)
            return found[0]

    def _wanted(self, kernel: str, key: int) -> Wanted:
        return kernel_object(self._sources[kernel].kernels[kernel], kernel, (key,), self.target)

    def _compile_ahead(self, kernel: str, key: int) -> None:
        """If a variant has to be compiled, let another processor compile one that is likely to be asked for soon."""
        following = self._following(kernel)
        if following is None or following in self._ahead or object_cache().get(self._wanted(kernel, key).key):
            return
        self._ahead.add(following)
        workers().start(2)
        objects([self._wanted(kernel, key), self._wanted(*following)])

    def _following(self, kernel: str) -> tuple[str, int] | None:
        """The first variant of the next kernel of the program that has not been launched."""
        launched = {name for name, _ in self._variants}
        variants = self._sources[kernel].variants
        names = list(variants)
        later = names[names.index(kernel) + 1 :]
        return next(((n, variants[n][0]) for n in later if n not in launched and variants[n]), None)

    def _resolve(self, ctx: int, kernel: int, key: int) -> int | None:
        try:
            return self.variant(_KernelHeader.from_address(kernel).name.decode(), key)
        except Exception:
            # There is a C frame between this and the caller; `run` reports it.
            self.failure = traceback.format_exc()
            return None


def _code(wanted: Wanted, symbol: str) -> Code:
    """An object in memory. One that the cache has and that is of no use is made again."""
    for again in (False, True):
        try:
            code = Code(objects([wanted], again=again)[0])
            code.address(symbol)
            return code
        except DamagedCodeError:
            if again:
                raise
    raise AssertionError


@cache
def engine() -> Engine:
    """The engine of this process, made on first use."""
    return Engine()
