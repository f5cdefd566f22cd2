"""The pipelines: lists of passes, and the only place that knows their order."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from sysmlc.ir.passes import Pass
from sysmlc.passes import parse_pipeline

FACTS = "inline,cse,infer,guard-shapes,canonicalize,cse,dce"
LOOPS = "simplify,canonicalize,cse,vectorize-loops,cse,infer,canonicalize,cse,hoist"
ALGEBRA = "simplify,use-facts,equalities,sum-product,matmul-chain,cse,simplify{tables=products},decompose,canonicalize,cse,dce"

LEVELS = (
    "",  # -O0
    FACTS,  # -O1
    f"{FACTS},inline,infer,{LOOPS},{ALGEBRA}",  # -O2
)

REGIONS = ("", "", "fuse-outer,fuse-ahead,fuse-rows,cse,canonicalize,dce")
"""What is fused before programs are lowered, after algebra is done and elements are chosen."""

PROGRAM = "decompose,form-cells,fuse-cells,select-format,mark-dense,fuse-products,lower-cells,lower-outer,lower-rows,update-in-place,settle-edits,view-rows,lower-program,manage-ownership,plan-memory"


def lowering(fusion: bool = True, formats: str = "") -> list[Pass]:
    """From the logical level to a program of kernel launches and runtime calls that owns its values.

    With `formats`, every matrix is converted to that format, to search for defects.
    """
    forced = f"force-format{{format={formats}}},mark-dense"
    return _chosen(PROGRAM.replace("mark-dense", forced) if formats else PROGRAM, fusion)


def pipeline(level: int, fusion: bool = True, strict_fp: bool = False, elem: str = "f64") -> list[Pass]:
    """The passes of optimisation level 0, 1 or 2; with `strict_fp` without what distributes over sums. `elem` is what matrices hold."""
    settings = {"strict_fp": strict_fp, "sampling": fusion}
    elements = "" if elem == "f64" else f"set-precision{{elem={elem}}},cse"
    passes = ",".join(filter(None, (LEVELS[level], elements, REGIONS[level])))
    return [_with(p, settings) for p in _chosen(passes, fusion)]


def _with(one: Any, settings: dict[str, bool]) -> Pass:
    """The pass with those settings that it has."""
    made: Pass = replace(one, **{k: v for k, v in settings.items() if hasattr(one, k)})
    return made


def _chosen(passes: str, fusion: bool) -> list[Pass]:
    return [p for p in parse_pipeline(passes) if fusion or not p.name.startswith("fuse-")]
