"""Whole programs as bytes, for the cache: with them a warm start parses nothing and runs no pass."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import sysmlc
from sysmlc.codegen.cpu.cache import key_of
from sysmlc.codegen.cpu.compile import Compiled, Options
from sysmlc.codegen.cpu.tables import Parameter
from sysmlc.ir.source import Source


def pack(made: Compiled, sourced: Sequence[Source]) -> bytes:
    """A program, and what the files it sourced were when it was made."""
    head = {
        "name": made.name,
        "parameters": [[p.name, p.has_default, p.default] for p in made.parameters],
        "sourced": [[s.name, key_of(s.text)] for s in sourced],
        "llvm": made.llvm,
        "kernels": made.kernels,
    }
    return json.dumps(head).encode()


def unpack(data: bytes, options: Options) -> Compiled | None:
    """The program, None when a file it sourced is not what it was."""
    head = json.loads(data)
    for name, digest in head["sourced"]:
        text = _sourced_text(name)
        if text is None or key_of(text) != digest:
            return None
    parameters = [Parameter(*p) for p in head["parameters"]]
    return Compiled(head["name"], head["llvm"], head["kernels"], parameters, options)


def _sourced_text(name: str) -> str | None:
    """The text of a sourced file now: relative to the current folder, or one that comes with the package."""
    for place in (Path(name), Path(str(sysmlc.__file__)).parent / name):
        try:
            return place.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return None
