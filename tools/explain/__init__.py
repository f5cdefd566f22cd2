"""What the compiler makes of a script, for people: the plan, the rewrites, and the program at each level."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from sysmlc.api import Program
    from sysmlc.codegen.cpu.compile import Compiled
    from sysmlc.ir.core import Op
    from sysmlc.ir.passes import Pass

LEVELS: Final = {
    "plan": "plan", "rewrites": "rewrites", "hops": "hops", "recompile_hops": "hops", "runtime": "runtime",
    "recompile_runtime": "runtime", "codegen": "runtime", "codegen_recompile": "runtime", "dml": "dml", "llvm": "llvm", "asm": "asm",
}  # fmt: skip
"""What can be explained, with SystemML's names for it."""


def explain(program: Program, level: str, *, runtime_args: bool = False) -> str:
    """A program at one level, as text."""
    from sysmlc.codegen.cpu.compile import emit_compiled, lower_module, optimize_module, script_parameters
    from sysmlc.ir.printer import to_text

    module: Any = program.module(runtime_args=runtime_args)
    if level in ("plan", "rewrites"):
        options = program.options
        passes = options.passes()
        return explain_module(module, program.source.name, options.level, level, passes, fusion=options.fuses)
    if level == "dml":
        return to_text(module)
    parameters = script_parameters(module)
    if level == "hops":
        optimize_module(module, program.options)
        return to_text(module)
    lower_module(module, program.options)
    if level == "runtime":
        return to_text(module)
    compiled = emit_compiled(module, os.path.basename(program.source.name), parameters, program.options)
    return _text_of(compiled, level)


def _text_of(compiled: Compiled, level: str) -> str:
    from sysmlc.codegen.cpu.link import linked_assembly, linked_module

    return str(linked_module(compiled)) if level == "llvm" else linked_assembly(compiled)


def explain_module(
    module: Op, name: str, level: int, what: str, passes: Sequence[Pass], *, fusion: bool = True
) -> str:
    """The `plan` or the `rewrites` of a logical module as text, after `passes` have run over it in place."""
    from sysmlc.tools.explain import plan, rewrites, text

    if what == "rewrites":
        return text.rewrites_text(rewrites.make_rewrites(module, passes), name)
    return text.plan_text(plan.make_plan(module, name, level, passes, fusion=fusion))


def plan_page(program: Program) -> str:
    """The plan of a program as an HTML page."""
    from sysmlc.tools.explain import html, rewrites

    module: Any = program.module()
    name, options = program.source.name, program.options
    found, plan = rewrites.recorded_plan(module, name, options.level, options.passes(), fusion=options.fuses)
    return html.page(plan, found)
