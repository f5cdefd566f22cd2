"""SystemML's configuration file: XML with one element for each setting, as SystemML and SystemDS users have it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from sysmlc.ir.source import Diagnostic

LEVELS = {"0": 0, "1": 0, "2": 2, "3": 2, "4": 2, "5": 0, "6": 2, "7": 1}
"""optlevel: 0 and 1 rewrite nothing, 5 is for debugging, 7 leaves out fusion and sum-product."""

WITHOUT_EFFECT = frozenset(
    [
        "localtmpdir",
        "scratch",
        "numreducers",
        "defaultblocksize",
        "cp.parallel.io",
        "compressed.linalg",
        "codegen.enabled",
        "codegen.compiler",
        "codegen.optimizer",
        "codegen.plancache",
        "codegen.literals",
        "native.blas",
        "native.blas.directory",
        "stats.finegrained",
        "stats.maxWrapLength",
        "stats.extraGPU",
        "stats.extraDNN",
        "caching.bufferSize",
        "jvmg",
        "mem",
    ]
)
"""Settings of the other engines' inner life: there is nothing here that they could change."""


def apply_configuration(command: Any, path: str) -> None:
    """Take the settings of a file into a command, where the command line does not say otherwise."""
    try:
        root = ElementTree.fromstring(Path(path).read_bytes())
    except OSError as error:
        raise Diagnostic(f"cannot read the configuration {path}: {error.strerror}") from None
    except ElementTree.ParseError as error:
        raise Diagnostic(f"the configuration {path} is not well-formed XML: {error}") from None
    for element in root:
        name = str(element.tag).removeprefix("sysml.").removeprefix("sysds.")
        _apply(command, name, (element.text or "").strip(), path)


def _apply(command: Any, name: str, text: str, path: str) -> None:
    if name == "optlevel":
        if text not in LEVELS:
            raise Diagnostic(f"{path}: optlevel is a number from 0 to 7, not '{text}'")
        if command.level is None:
            command.level = LEVELS[text]
    elif name == "cp.parallel.ops":
        if text == "false" and command.threads is None:
            command.threads = 1
    elif name == "floating.point.precision":
        from sysmlc.ir.types import PRECISIONS

        if text not in PRECISIONS:
            raise Diagnostic(f"{path}: floating.point.precision is {' or '.join(PRECISIONS)}, not '{text}'")
        if command.precision is None:
            command.precision = text
    elif name not in WITHOUT_EFFECT and not name.startswith(("gpu.", "dml.yarn.")):
        print(f"warning: {path}: unknown setting '{name}'", file=sys.stderr)
