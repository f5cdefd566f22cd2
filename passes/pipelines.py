"""The pipelines: lists of passes, and the only place that knows their order."""

from __future__ import annotations

from sysmlc.ir.passes import Pass
from sysmlc.passes import parse_pipeline

FACTS = "inline,cse,infer,canonicalize,cse,dce"
ALGEBRA = "simplify,canonicalize,cse,hoist,simplify,sum-product,matmul-chain,cse,simplify{tables=products},canonicalize,cse,dce"

LEVELS = (
    "",  # -O0
    FACTS,  # -O1
    f"{FACTS},inline,infer,{ALGEBRA}",  # -O2
)

PROGRAM = "form-cells,fuse-cells,lower-cells,lower-outer,update-in-place,lower-program,manage-ownership,plan-memory"


def lowering() -> list[Pass]:
    """From the logical level to a program of kernel launches and runtime calls that owns its values."""
    return parse_pipeline(PROGRAM)


def pipeline(level: int) -> list[Pass]:
    """The passes of optimisation level 0, 1 or 2."""
    return parse_pipeline(LEVELS[level])
