"""Programs for other machines than this one: kernels are there for one or more levels of the processor, chosen at the start.

The program itself is code of the lowest level. A constructor hands the runtime (`dispatch.cpp`) the tables of all kernels, one
for each level; it fills the tables that launches look into with those of the highest level that the processor can do.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sysmlc.codegen.cpu.tables import variant_symbol
from sysmlc.codegen.cpu.target import Target

_START = """
@dispatch = internal constant {{ i64, ptr, i64, ptr }} {{ i64 {n_levels}, ptr @dispatch.levels, i64 {n_kernels}, ptr @dispatch.kernels }}
declare void @sm_choose_level(ptr)
define internal void @dispatch.start() {{
  call void @sm_choose_level(ptr @dispatch)
  ret void
}}
@llvm.global_ctors = appending global [1 x {{ i32, ptr, ptr }}] [{{ i32, ptr, ptr }} {{ i32 65535, ptr @dispatch.start, ptr null }}]
"""


def level_suffix(target: Target) -> str:
    """What the names of functions for this level end with."""
    return "" if target.level == "native" else f".{target.level}"


def dispatch_text(variants: Mapping[str, Sequence[int]], targets: Sequence[Target]) -> str:
    """The tables of all kernels at all levels, and what hands them over, as LLVM text to put behind the program."""
    lines: list[str] = []
    kernels: list[str] = []
    for name, keys in variants.items():
        if not keys:
            continue
        tables = []
        for target in targets:
            table = f'@"variants.{name}{level_suffix(target)}"'
            symbols = [f'@"{variant_symbol(name, key)}{level_suffix(target)}"' for key in keys]
            lines += [f"declare void {s}(ptr, i64, i64, i64, i64)" for s in symbols]
            inner = ", ".join(f"ptr {s}" for s in symbols)
            lines.append(f"{table} = internal constant [{len(keys)} x ptr] [{inner}], align 8")
            tables.append(f"ptr {table}")
        levels = f'@"levels.{name}"'
        lines.append(f"{levels} = internal constant [{len(tables)} x ptr] [{', '.join(tables)}], align 8")
        kernels.append(f'{{ ptr, i64, ptr }} {{ ptr @"variants.{name}", i64 {len(keys)}, ptr {levels} }}')
    numbers = ", ".join(f"i32 {target.number}" for target in targets)
    lines.append(f"@dispatch.levels = internal constant [{len(targets)} x i32] [{numbers}], align 8")
    lines.append(
        f"@dispatch.kernels = internal constant [{len(kernels)} x {{ ptr, i64, ptr }}] [{', '.join(kernels)}], align 8"
    )
    return "\n".join(lines) + _START.format(n_levels=len(targets), n_kernels=len(kernels))
