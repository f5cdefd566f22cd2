"""From a logical module to a program as LLVM text and its kernels: the passes, and what is printed after them.

It is the same for every way of running it. Kernels are found by name when they are first launched, or linked in.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sysmlc.codegen.cpu.tables import Parameter, variant_table
from sysmlc.codegen.cpu.target import Target, make_targets
from sysmlc.codegen.cpu.workers import workers
from sysmlc.ir.types import PRECISIONS

if TYPE_CHECKING:
    from sysmlc.ir.core import Region
    from sysmlc.ir.dialects.core import Module
    from sysmlc.ir.dialects.kernel import CellKernel, RowKernel
    from sysmlc.ir.passes import Pass


@dataclass(frozen=True)
class Options:
    """What code depends on besides the script."""

    level: int = 2
    target: str = "native"
    """A processor, or several portable levels with commas between them."""
    fusion: bool = True
    """Whether operators are fused; never at level 0."""
    formats: str = ""
    """The format every matrix is converted to, to search for defects: see `passes/force_format.py`."""
    strict_fp: bool = False
    """Whether sums stay as they are written: neither multiplied out nor factored."""
    precision: str = "double"
    """What matrices hold: `double` (f64) or `single` (f32). Scalars always are f64."""

    def __post_init__(self) -> None:
        if self.precision not in PRECISIONS:
            raise ValueError(f"precision is {' or '.join(PRECISIONS)}, not '{self.precision}'")

    @property
    def key(self) -> str:
        return f"{self.level};{self.target};{self.fuses};{self.formats};{self.strict_fp};{self.precision}"

    @property
    def elem(self) -> str:
        """The element type of matrices."""
        return PRECISIONS[self.precision].text

    @property
    def fuses(self) -> bool:
        return self.fusion and self.level > 0

    def passes(self) -> list[Pass]:
        """The optimisation passes."""
        from sysmlc.passes.pipelines import pipeline

        return pipeline(self.level, self.fuses, self.strict_fp, self.elem)


@dataclass
class Compiled:
    """A program as LLVM text, and the kernels it may launch."""

    name: str
    llvm: str
    kernels: dict[str, str]
    """The `kernel.cell` and `kernel.row` operations of the program by name, each as IR text."""
    variants: dict[str, tuple[int, ...]]
    """The kernels by name, with the keys of the variants to link."""
    parameters: list[Parameter] = field(default_factory=list)
    options: Options = field(default_factory=Options)
    effort: int = 2
    """How much LLVM optimises the program."""

    @property
    def targets(self) -> tuple[Target, ...]:
        return make_targets(self.options.target)

    @property
    def target(self) -> Target:
        """That of the program itself; kernels may be there for others too."""
        return self.targets[0]

    @property
    def kernel_ops(self) -> dict[str, Any]:
        """The kernels by name."""
        from sysmlc.codegen.cpu.objects import parsed_kernel

        return {name: parsed_kernel(text) for name, text in self.kernels.items()}

    def linked_llvm(self) -> str:
        """The program with its kernels as symbols to link with."""
        text = self.llvm
        if self.options.target != "native":
            from sysmlc.codegen.cpu.dispatch import dispatch_text

            return text + dispatch_text(self.variants, self.targets)
        for name, keys in self.variants.items():
            empty, linked = (variant_table(name, keys, filled) for filled in (False, True))
            text = text.replace(empty, linked, 1)
        return text


def optimize_module(module: Module, options: Options) -> None:
    """Run the optimisation pipeline, in place."""
    _run_passes(options.passes(), module)


def lower_module(module: Module, options: Options) -> None:
    """Run the optimisation pipeline and the lowering to a program, in place."""
    optimize_module(module, options)
    _lower_optimized(module, options)


def _lower_optimized(module: Module, options: Options) -> None:
    from sysmlc.passes.pipelines import lowering

    _run_passes(lowering(options.fuses, options.formats), module)


def _run_passes(passes: Sequence[Pass], module: Module) -> None:
    """Run passes; what they leave is verified. After each of them with SYSMLC_VERIFY=1, as in all tests."""
    from sysmlc.ir.passes import PassManager

    each = bool(os.environ.get("SYSMLC_VERIFY"))
    PassManager(passes, verify_each=each, verify_last=True).run(module)


def compile_program(
    module: Module,
    name: str,
    options: Options | None = None,
    fixed: Mapping[str, str] | None = None,
    *,
    linked: bool = False,
) -> Compiled:
    """Compile a logical module (which is lowered in place). `fixed` are the arguments it was made for.

    Where it will be `linked`, with all variants of its kernels, workers begin to make the largest of them.
    """
    options = options or Options()
    parameters = script_parameters(module)
    parameters += [Parameter(name, True, text, fixed=True) for name, text in (fixed or {}).items()]
    optimize_module(module, options)
    if linked:
        _begin_kernels(module, options)
    workers().start(2)  # soon there will be kernels
    _lower_optimized(module, options)
    return emit_compiled(module, name, parameters, options)


def _begin_kernels(module: Module, options: Options) -> None:
    """Let workers begin with row kernels, which are what takes them longest: later passes leave them as they are."""
    from sysmlc.codegen.cpu.objects import begin, linked_kernels
    from sysmlc.passes.lower_rows import row_kernels

    kernels = {kernel.sym: kernel for _, kernel in row_kernels(module)}.values()
    variants = {kernel.sym: kernel.variants for kernel in kernels}
    begin(linked_kernels(variants, kernel_texts(kernels), make_targets(options.target)))


def emit_compiled(module: Module, name: str, parameters: list[Parameter], options: Options) -> Compiled:
    """Print a lowered module."""
    from sysmlc.codegen.cpu.program import emit_program
    from sysmlc.ir.dialects.kernel import CellKernel, RowKernel

    text = emit_program(module, name=name, parameters=parameters, version=_release())
    kernels = [op for op in module.body if isinstance(op, (CellKernel, RowKernel))]
    return Compiled(
        name,
        text,
        kernel_texts(kernels),
        {kernel.sym: kernel.variants for kernel in kernels},
        parameters,
        options,
        min(options.level, effort(module)),
    )


def kernel_texts(kernels: Iterable[CellKernel | RowKernel]) -> dict[str, str]:
    """Kernels by name, each as the text of a module."""
    from sysmlc.ir.core import Region, clone
    from sysmlc.ir.dialects.core import Module
    from sysmlc.ir.printer import to_text

    texts = {}
    for kernel in kernels:
        body = Region()
        body.append(clone(kernel, {}))
        texts[kernel.sym] = to_text(Module.new(regions=[body]))
    return texts


def effort(module: Module) -> int:
    """How much it pays to optimise a lowered program: 2 where it computes in loops, or calls functions that were not inlined; 1
    where only some rounds of a loop launch kernels or call the runtime; 0 where it waits for those anyway."""
    worth = 0
    for op in module.walk():
        if op.name == "core.call":
            return 2
        if op.name in ("scf.for", "scf.parfor", "scf.while"):
            if not any(inner.name in _WAITS for inner in op.walk()):
                return 2
            worth = max(worth, 0 if any(_waits(r) for r in op.regions) else 1)
    return worth


_WAITS = ("rt.launch", "rt.call")


def _waits(region: Region) -> bool:
    """Whether every round launches a kernel or calls the runtime."""
    for op in region:
        if op.name in _WAITS:
            return True
        if op.name != "scf.if" and any(_waits(r) for r in op.regions):
            return True
    return False


def _release() -> str:
    from sysmlc import __version__

    return __version__


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
