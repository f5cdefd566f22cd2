"""Rule tables, one file each; `table` loads one."""

from __future__ import annotations

from functools import cache
from importlib.resources import files

from sysmlc.ir.dialects.notation import DML
from sysmlc.ir.rules import Table
from sysmlc.ir.source import Source


@cache
def table(name: str) -> Table:
    """The table in `name.rules` of this folder."""
    file = f"{name}.rules"
    return Table(Source(file, files(__name__).joinpath(file).read_text(encoding="utf-8")), DML)


def table_names() -> list[str]:
    """The names of all tables."""
    return sorted(
        f.name.removesuffix(".rules") for f in files(__name__).iterdir() if f.name.endswith(".rules")
    )
