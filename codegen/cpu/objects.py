"""Object code: of programs and of their kernels, from the cache, or made by workers.

Everything that an object depends on is in its key. Kernels are named by content, so their names stand for them, and all
programs share them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from typing import Any

from sysmlc.codegen.cpu.cache import compiler_version, key_of, object_cache
from sysmlc.codegen.cpu.dispatch import level_suffix
from sysmlc.codegen.cpu.target import (
    BIG_PROGRAM,
    Target,
    compile_object,
    make_target,
    program_module,
    target_machine,
)
from sysmlc.codegen.cpu.workers import Task, workers


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


def kernel_object(text: str, name: str, keys: tuple[int, ...], target: Target, suffix: str = "") -> Wanted:
    """Variants of a kernel, given as IR text; `suffix` ends the names of their functions."""
    key = key_of("kernel", name, str(keys), suffix, target.key, llvm_version(), compiler_version())
    return Wanted(key, (make_kernel, (text, keys, target, suffix)))


def linked_kernels(
    variants: Mapping[str, tuple[int, ...]], texts: Mapping[str, str], targets: Iterable[Target]
) -> list[Wanted]:
    """What results link of kernels, what takes longest to make first, so that all workers have something to do up to the end."""
    # Names tell what is computed: the longer, the more.
    kernels = sorted(
        variants.items(), key=lambda k: (k[0].startswith("row_"), len(k[1]), len(k[0])), reverse=True
    )
    return [
        kernel_object(texts[name], name, keys, target, level_suffix(target))
        for target in targets
        for name, keys in kernels
        if keys
    ]


def begin(wanted: Sequence[Wanted]) -> None:
    """Let waiting workers begin to make objects that will be asked for soon."""
    for one in wanted:
        if object_cache().get(one.key) is None and not workers().begin(one.task):
            return


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


def make_kernel(text: str, keys: tuple[int, ...], target: Target, suffix: str) -> bytes:
    """The object code of variants of a kernel, given as IR text."""
    return compile_object(kernel_llvm(parsed_kernel(text), keys, target, suffix), target)


def prepare() -> None:
    """Bring into memory what every task on kernels needs, and find out for whom: for those who wait for one."""
    for name in ("llvmlite.binding", "sysmlc.ir.dialects", "sysmlc.ir.parser", "sysmlc.codegen.cpu.llvm"):
        importlib.import_module(name)
    make_target()


@lru_cache(maxsize=256)
def parsed_kernel(text: str) -> Any:
    """The kernel of an IR text."""
    import sysmlc.ir.dialects  # noqa: F401 (registers every operation)
    from sysmlc.ir.parser import parse

    (kernel,) = parse(text).regions[0]
    return kernel


def kernel_llvm(kernel: Any, keys: tuple[int, ...], target: Target, suffix: str = "") -> str:
    """The LLVM text of variants of a kernel."""
    from sysmlc.codegen.cpu.llvm import emit_kernel_llvm
    from sysmlc.passes.vectorize_cells import vectorize

    return emit_kernel_llvm([vectorize(kernel, key, target.lanes) for key in keys], target, suffix)
