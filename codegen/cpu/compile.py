"""From a logical module to code: the passes, the program's object, and kernels on demand.

A program's object is the same for every way of running it. Kernels are found by name when they are first launched, or
linked in. All objects come from the cache when they have been made before.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sysmlc.codegen.cpu.cache import Cache, key_of
from sysmlc.codegen.cpu.tables import Parameter
from sysmlc.codegen.cpu.target import Target, compile_object, make_target, parse, target_machine

if TYPE_CHECKING:
    from sysmlc.ir.core import Op
    from sysmlc.ir.dialects.core import Module
    from sysmlc.ir.passes import Pass

SMALL_PROGRAM = 150_000
"""LLVM text up to this many characters gets clang's -O2 pipeline; cleaning up is enough for what lies beyond."""
BIG_PROGRAM = 700_000
"""Beyond this, instructions are selected the fast way: such programs are long, not hot."""


@dataclass(frozen=True)
class Options:
    """What code depends on besides the script."""

    level: int = 2
    target: str = "native"
    fusion: bool = True
    """Whether operators are fused; never at level 0."""
    formats: str = ""
    """The format every matrix is converted to, to search for defects: see `passes/force_format.py`."""
    strict_fp: bool = False
    """Whether sums stay as they are written: neither multiplied out nor factored."""

    @property
    def key(self) -> str:
        return f"{self.level};{self.target};{self.fuses};{self.formats};{self.strict_fp}"

    @property
    def fuses(self) -> bool:
        return self.fusion and self.level > 0

    def passes(self) -> list[Pass]:
        """The optimisation passes."""
        from sysmlc.passes.pipelines import pipeline

        return pipeline(self.level, self.fuses, self.strict_fp)


@dataclass
class Compiled:
    """A program as LLVM text or object, and the kernels it may launch."""

    name: str
    llvm: str
    kernels: str
    """The `kernel.cell` and `kernel.row` operations of the program as a module, in IR text."""
    parameters: list[Parameter] = field(default_factory=list)
    options: Options = field(default_factory=Options)

    @property
    def target(self) -> Target:
        return make_target(self.options.target)

    @cached_property
    def kernel_ops(self) -> dict[str, Any]:
        """The kernels by name."""
        import sysmlc.ir.dialects  # noqa: F401 (registers every operation)
        from sysmlc.ir.parser import parse

        module = parse(self.kernels)
        return {str(op.attrs["sym"]): op for op in module.regions[0]}

    def object(self) -> bytes:
        """The program's object code, its kernels to be found at run time."""
        return program_object(self.llvm, self.target, self.options.level)

    def linked_llvm(self) -> str:
        """The program with its kernels as symbols to link with."""
        text = self.llvm
        for kernel in self.kernel_ops.values():
            text = link_variants(text, kernel)
        return text


@cache
def object_cache() -> Cache:
    """The cache every compilation of this process uses."""
    return Cache()


@cache
def compiler_version() -> str:
    """Changes whenever this compiler might make other code: the release, and in a checkout its files."""
    from sysmlc import __version__

    root = Path(__file__).resolve().parent.parent.parent
    if not (root / "pyproject.toml").is_file():
        return __version__
    stamps = []
    for folder in ("ir", "passes", "codegen", "frontends"):
        for at, _, names in os.walk(root / folder):
            for name in names:
                if name.endswith((".py", ".rules")):
                    stat = os.stat(os.path.join(at, name))
                    stamps.append(f"{at}/{name}:{stat.st_mtime_ns}:{stat.st_size}")
    return key_of(__version__, *sorted(stamps))


def program_module(text: str, target: Target, level: int) -> Any:
    """A program's LLVM module, optimised: as clang -O2 does when it is small, cleaned up when it is big."""
    import llvmlite.binding as llvm

    module = parse(text)
    if level == 0:
        return module
    if len(text) > SMALL_PROGRAM:
        level = 1
    builder = llvm.create_pass_builder(
        target_machine(target), llvm.create_pipeline_tuning_options(speed_level=level)
    )
    if level > 1:
        builder.getModulePassManager().run(module, builder)
    else:
        passes = llvm.create_new_module_pass_manager()
        passes.add_instruction_combine_pass()
        passes.add_simplify_cfg_pass()
        passes.run(module, builder)
    return module


def program_object(text: str, target: Target, level: int) -> bytes:
    """The object code of a program, from the cache when possible."""
    key = key_of("program", text, str(level), target.key, llvm_version())
    found = object_cache().get(key)
    if found is None:
        machine = target_machine(target, 0 if len(text) > BIG_PROGRAM else 2)
        found = bytes(machine.emit_object(program_module(text, target, level)))
        object_cache().put(key, found)
    return found


@cache
def llvm_version() -> str:
    """The version of llvmlite, which stands for that of LLVM, without loading it."""
    from llvmlite import __version__

    return str(__version__)


def optimize_module(module: Module, options: Options) -> None:
    """Run the optimisation pipeline, in place."""
    from sysmlc.ir.passes import PassManager

    PassManager(options.passes()).run(module)


def lower_module(module: Module, options: Options) -> None:
    """Run the optimisation pipeline and the lowering to a program, in place."""
    from sysmlc.ir.passes import PassManager
    from sysmlc.passes.pipelines import lowering

    PassManager([*options.passes(), *lowering(options.fuses, options.formats)]).run(module)


def compile_program(module: Module, name: str, options: Options | None = None) -> Compiled:
    """Compile a logical module (which is lowered in place)."""
    options = options or Options()
    parameters = script_parameters(module)
    lower_module(module, options)
    return emit_compiled(module, name, parameters, options)


def emit_compiled(module: Module, name: str, parameters: list[Parameter], options: Options) -> Compiled:
    """Print a lowered module."""
    from sysmlc.codegen.cpu.program import emit_program
    from sysmlc.ir.printer import to_text

    text = emit_program(module, name=name, parameters=parameters, version=_release())
    return Compiled(name, text, to_text(_kernels_of(module)), parameters, options)


def _release() -> str:
    from sysmlc import __version__

    return __version__


def _kernels_of(module: Module) -> Op:
    from sysmlc.ir.core import Region, clone
    from sysmlc.ir.dialects.core import Module

    body = Region()
    for op in module.body:
        if op.name in ("kernel.cell", "kernel.row"):
            body.append(clone(op, {}))
    return Module.new(regions=[body])


def script_parameters(module: Module) -> list[Parameter]:
    """The `$` arguments a script reads, with the defaults its `ifdef`s show."""
    required: dict[str, bool] = {}
    defaults: dict[str, str] = {}
    for op in module.walk():
        if op.name == "dml.arg":
            required.setdefault(str(op.attrs["name_"]), True)
        elif op.name == "dml.has_arg":
            name = str(op.attrs["name_"])
            required[name] = False
            for user in op.result.users():
                if user.name == "scf.if" and len(user.results) == 1:
                    other = user.regions[1].terminator.operands[0].op
                    while other is not None and other.name == "dml.cast":
                        other = other.operands[0].op
                    if other is not None and other.name == "core.constant":
                        defaults[name] = _shown(other.attrs["value"])
    return [Parameter(name, not needed, defaults.get(name, "")) for name, needed in required.items()]


def _shown(value: object) -> str:
    return str(value).upper() if isinstance(value, bool) else str(value)


def link_variants(text: str, kernel: Any) -> str:
    """Fill a kernel's table of variants with symbols."""
    from sysmlc.codegen.cpu.tables import variant_table

    empty, linked = (variant_table(kernel.sym, kernel.variants, filled) for filled in (False, True))
    return text.replace(empty, linked, 1)


def kernel_object(compiled: Compiled, name: str, keys: tuple[int, ...], target: Target) -> bytes:
    """The object code of variants of a program's kernel. Kernels are named by content: the name is key enough."""
    key = key_of("kernel", name, str(keys), target.key, llvm_version(), compiler_version())
    found = object_cache().get(key)
    if found is None:
        found = compile_object(kernel_llvm(compiled.kernel_ops[name], keys, target), target)
        object_cache().put(key, found)
    return found


def kernel_llvm(kernel: Any, keys: tuple[int, ...], target: Target) -> str:
    """The LLVM text of variants of a kernel."""
    from sysmlc.codegen.cpu.llvm import emit_kernel_llvm
    from sysmlc.passes.vectorize_cells import vectorize

    return emit_kernel_llvm([vectorize(kernel, key, target.lanes) for key in keys], target)
