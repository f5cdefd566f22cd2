"""Targets of native code: what a processor can do, and turning LLVM text into objects for it."""

from __future__ import annotations

import functools
from dataclasses import dataclass
from typing import Any

LEVELS = ("native", "x86-64-v2", "x86-64-v3", "x86-64-v4")
TRIPLE = "x86_64-unknown-linux-gnu"
SMALL_PROGRAM = 150_000
"""LLVM text up to this many characters gets clang's -O2 pipeline; cleaning up is enough for what lies beyond."""
BIG_PROGRAM = 700_000
"""Beyond this, instructions are selected the fast way: such programs are long, not hot."""


@dataclass(frozen=True)
class Target:
    """A processor to generate code for. Kernels differ by `lanes` and the instructions named here."""

    level: str
    cpu: str
    features: str
    lanes: int
    """f64 in a SIMD register."""
    fma: bool

    @property
    def avx512(self) -> bool:
        return self.lanes == 8

    @property
    def number(self) -> int:
        """The portable level: 2, 3 or 4."""
        return {2: 2, 4: 3, 8: 4}[self.lanes]

    @property
    def key(self) -> str:
        """What code generation depends on: part of the name of a cached object."""
        return f"{self.cpu};{self.features};{self.lanes};{self.fma}"


def level_of(features: dict[str, bool]) -> str:
    """The highest level whose features are all there."""

    def have(*names: str) -> bool:
        return all(features.get(n, False) for n in names)

    if not have("avx2", "fma", "bmi2"):
        return "x86-64-v2"
    return "x86-64-v4" if have("avx512f", "avx512dq", "avx512vl", "avx512bw") else "x86-64-v3"


@functools.cache
def make_target(level: str = "native") -> Target:
    """The target called `native` (this machine), or one of the portable levels."""
    if level not in LEVELS:
        raise ValueError(f"unknown target '{level}': one of {', '.join(LEVELS)}")
    cpu, features = level, ""
    portable = level
    if level == "native":
        from sysmlc.codegen.cpu.host import host_processor

        # The features decide; the name of the CPU only tunes, and virtual machines often give a wrong one.
        cpu, host = host_processor()
        portable = level_of(host)
        features = ",".join(("+" if there else "-") + name for name, there in sorted(host.items()))
    lanes = {"x86-64-v2": 2, "x86-64-v3": 4, "x86-64-v4": 8}[portable]
    return Target(level, cpu, features, lanes, fma=lanes >= 4)


def make_targets(levels: str) -> tuple[Target, ...]:
    """The targets of a list like `x86-64-v2,x86-64-v4`, lowest first; ValueError when it makes no sense."""
    names = sorted(set(levels.split(",")))
    if len(names) > 1 and "native" in names:
        raise ValueError("'native' is one machine: with others, name its level")
    return tuple(make_target(name) for name in names)


@functools.cache
def initialize() -> None:
    """Make LLVM ready for native code."""
    import llvmlite.binding as llvm

    # Half the time of compiling a kernel, for code of the same speed: addresses are simple already.
    llvm.set_option("sysmlc", "-disable-lsr")
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()


@functools.cache
def target_machine(target: Target, opt: int = 2) -> Any:
    """The LLVM target machine (position-independent code, for processes and libraries alike)."""
    initialize()
    import llvmlite.binding as llvm

    return llvm.Target.from_triple(TRIPLE).create_target_machine(
        cpu=target.cpu, features=target.features, opt=opt, reloc="pic", codemodel="default"
    )


def optimize(module: Any, target: Target) -> None:
    """Next to nothing: kernels carry their SIMD and unrolling already, and have no slots on the stack or idle arithmetic."""
    import llvmlite.binding as llvm

    tuning = llvm.create_pipeline_tuning_options(speed_level=1)
    builder = llvm.create_pass_builder(target_machine(target), tuning)
    passes = llvm.create_new_module_pass_manager()
    passes.add_always_inliner_pass()
    passes.add_simplify_cfg_pass()
    passes.run(module, builder)


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


def parse(text: str) -> Any:
    """The LLVM module of a text."""
    initialize()
    import llvmlite.binding as llvm

    module = llvm.parse_assembly(text)
    module.verify()
    module.triple = TRIPLE
    return module


def compile_object(text: str, target: Target) -> bytes:
    """A relocatable object of LLVM text that kernels are printed to."""
    module = parse(text)
    optimize(module, target)
    return bytes(target_machine(target).emit_object(module))


def compile_assembly(text: str, target: Target) -> str:
    """The same as assembler text, to look at."""
    module = parse(text)
    optimize(module, target)
    return str(target_machine(target).emit_assembly(module))
