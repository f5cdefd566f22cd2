"""Passes over the IR: one file each, named as the pass with `_` for `-`, and found by that name when first needed."""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator

from sysmlc.ir import passes as _framework
from sysmlc.ir.passes import Pass, registered


def find_pass(name: str) -> type[Pass] | None:
    """The pass called `name`, None when there is none."""
    if name not in registered:
        module = name.replace("-", "_")
        if module.replace("_", "-") == name and module in _files():
            importlib.import_module(f"{__name__}.{module}")
    return registered.get(name)


def all_passes() -> list[type[Pass]]:
    """Every pass, by name."""
    for module in _files():
        importlib.import_module(f"{__name__}.{module}")
    return [registered[name] for name in sorted(registered)]


def parse_pipeline(text: str) -> list[Pass]:
    """The passes a pipeline text like `cse,unroll{limit=4}` names."""
    return _framework.parse_pipeline(text, find_pass, lambda: (p.name for p in all_passes()))


def _files() -> Iterator[str]:
    return (m.name for m in pkgutil.iter_modules(__path__))
