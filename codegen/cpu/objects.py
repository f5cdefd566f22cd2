"""Object code: of programs and of their kernels, from the cache, or made by workers.

Everything that an object depends on is in its key. Kernels are named by content, so their names stand for them, and all
programs share them.
"""

from __future__ import annotations

import importlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from sysmlc.codegen.cpu.cache import compiler_version, key_of, object_cache
from sysmlc.codegen.cpu.target import (
    BIG_PROGRAM,
    Target,
    compile_object,
    make_target,
    program_module,
    target_machine,
)
from sysmlc.codegen.cpu.workers import Task, workers

if TYPE_CHECKING:
    from sysmlc.codegen.cpu.compile import Compiled


@dataclass(frozen=True)
class Wanted:
    """An object: its key in the cache, and how it is made."""

    key: str
    task: Task


def objects(wanted: Sequence[Wanted], *, again: bool = False) -> list[bytes]:
    """The objects; `again` makes them even if the cache has them, because what it has is of no use."""
    found = [None if again else object_cache().get(one.key) for one in wanted]
    missing = [i for i, data in enumerate(found) if data is None]
    if missing:

        def keep(number: int, data: bytes) -> None:
            object_cache().put(wanted[missing[number]].key, data)
            found[missing[number]] = data

        workers().each([wanted[i].task for i in missing], keep)
    return [data for data in found if data is not None]


def program_object(text: str, target: Target, level: int) -> Wanted:
    """A program, printed as LLVM text."""
    key = key_of("program", text, str(level), target.key, llvm_version())
    return Wanted(key, (make_program, (text, target, level)))


def kernel_object(
    compiled: Compiled, name: str, keys: tuple[int, ...], target: Target, suffix: str = ""
) -> Wanted:
    """Variants of a kernel of a program; `suffix` ends the names of their functions."""
    key = key_of("kernel", name, str(keys), suffix, target.key, llvm_version(), compiler_version())
    return Wanted(key, (make_kernel, (compiled.kernels, name, keys, target, suffix)))


def text_object(text: str, target: Target) -> Wanted:
    """Any LLVM text."""
    return Wanted(key_of("text", text, target.key, llvm_version()), (compile_object, (text, target)))


@cache
def llvm_version() -> str:
    """The version of llvmlite, which stands for that of LLVM, without loading it."""
    from llvmlite import __version__

    return str(__version__)


# -- what workers do -----------------------------------------------------------------------------------------------------


def make_program(text: str, target: Target, level: int) -> bytes:
    """The object code of a program."""
    machine = target_machine(target, 0 if level == 0 or len(text) > BIG_PROGRAM else 2)
    return bytes(machine.emit_object(program_module(text, target, level)))


def make_kernel(kernels: str, name: str, keys: tuple[int, ...], target: Target, suffix: str) -> bytes:
    """The object code of variants of a kernel, one of those in an IR text."""
    return compile_object(kernel_llvm(parsed_kernels(kernels)[name], keys, target, suffix), target)


def prepare() -> None:
    """Bring into memory what every task on kernels needs, and find out for whom: for those who wait for one."""
    for name in ("llvmlite.binding", "sysmlc.ir.dialects", "sysmlc.ir.parser", "sysmlc.codegen.cpu.llvm"):
        importlib.import_module(name)
    make_target()


@lru_cache(maxsize=16)
def parsed_kernels(text: str) -> dict[str, Any]:
    """The kernels of an IR text, by name."""
    import sysmlc.ir.dialects  # noqa: F401 (registers every operation)
    from sysmlc.ir.parser import parse

    return {str(op.attrs["sym"]): op for op in parse(text).regions[0]}


def kernel_llvm(kernel: Any, keys: tuple[int, ...], target: Target, suffix: str = "") -> str:
    """The LLVM text of variants of a kernel."""
    from sysmlc.codegen.cpu.llvm import emit_kernel_llvm
    from sysmlc.passes.vectorize_cells import vectorize

    return emit_kernel_llvm([vectorize(kernel, key, target.lanes) for key in keys], target, suffix)
