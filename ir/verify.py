"""The verifier: structure first, then what the definitions declare, then what operations check themselves."""

from __future__ import annotations

from sysmlc.ir.core import Op


def verify(op: Op) -> None:
    """Raise a Diagnostic when `op` or anything in it is not valid."""
    for inner in op.walk():
        inner.check()
