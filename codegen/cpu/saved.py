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


def pack(made: Compiled, sourced: Sequence[Source], described: Sequence[str]) -> bytes:
    """A program, what the files it sourced were when it was made, and the descriptions of data that told it sizes."""
    head = {
        "name": made.name,
        "parameters": [[p.name, p.has_default, p.default, p.fixed] for p in made.parameters],
        "sourced": [[s.name, key_of(s.text)] for s in sourced],
        "described": [[name, _description(name)] for name in described],
        "llvm": made.llvm,
        "kernels": made.kernels,
        "variants": made.variants,
        "effort": made.effort,
    }
    return json.dumps(head).encode()


def is_current(data: bytes) -> bool:
    """Whether the files it sourced and the descriptions of its data are what they were."""
    head = json.loads(data)
    texts = ((_sourced_text(name), digest) for name, digest in head["sourced"])
    return all(text is not None and key_of(text) == digest for text, digest in texts) and all(
        _description(name) == known for name, known in head["described"]
    )


def unpack(data: bytes, options: Options) -> Compiled:
    """The program."""
    head = json.loads(data)
    parameters = [Parameter(*p) for p in head["parameters"]]
    variants = {name: tuple(keys) for name, keys in head["variants"].items()}
    return Compiled(
        head["name"], head["llvm"], head["kernels"], variants, parameters, options, head["effort"]
    )


def _description(name: str) -> str:
    """What a .mtd file says; nothing when there is none."""
    try:
        return Path(name).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError):
        return ""


def _sourced_text(name: str) -> str | None:
    """The text of a sourced file now: relative to the current folder, or one that comes with the package."""
    for place in (Path(name), Path(str(sysmlc.__file__)).parent / name):
        try:
            return place.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError):
            continue
    return None
