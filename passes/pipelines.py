"""The pipelines: lists of passes, and the only place that knows their order."""

from __future__ import annotations

from sysmlc.ir.passes import Pass
from sysmlc.passes import parse_pipeline

LEVELS = (
    "",  # -O0
    "",  # -O1
    "",  # -O2
)


def pipeline(level: int) -> list[Pass]:
    """The passes of optimisation level 0, 1 or 2."""
    return parse_pipeline(LEVELS[level])
