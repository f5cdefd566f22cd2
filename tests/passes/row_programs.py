"""Programs compiled with and without fusion of rows, whatever the pipelines do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import sysmlc.ir.dialects  # noqa: F401 (registers every operation)
from sysmlc.api import Program
from sysmlc.codegen.cpu.compile import Compiled, Options, emit_compiled
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.fused import Row
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.ir.types import Type, matrix
from sysmlc.passes import parse_pipeline
from sysmlc.passes.pipelines import PROGRAM

LOGICAL = "inline,cse,infer,canonicalize,cse,dce,simplify{tables=products},canonicalize,cse,dce"


def logical(
    script: str, types: Mapping[str, Type], outputs: Sequence[str], fuse: bool, elem: str = "f64"
) -> Module:
    """The optimised module of a script, with or without row regions."""
    module = compile_source(Source("rows.dml", script), {}, inputs=types, outputs=outputs)
    assert isinstance(module, Module)
    passes = [LOGICAL, f"set-precision{{elem={elem}}}", *(["fuse-rows"] if fuse else [])]
    PassManager(parse_pipeline(",".join(passes))).run(module)
    return module


def row_regions(module: Op) -> list[Row]:
    return [op for op in module.walk() if isinstance(op, Row)]


class RowProgram(Program):
    """A script as native code; nothing of it is cached but kernels."""

    def __init__(
        self,
        script: str,
        outputs: Sequence[str],
        fuse: bool,
        types: Mapping[str, Type] | None = None,
        elem: str = "f64",
    ) -> None:
        super().__init__(Source("rows.dml", script), outputs=outputs)
        self.fuse, self.types, self.elem = fuse, types, elem

    def compiled(
        self, kinds: Mapping[str, str], args: Mapping[str, str], outputs: Sequence[str], **_: Any
    ) -> Compiled:
        types = self.types if self.types is not None else {name: matrix() for name in kinds}
        module = logical(self.source.text, types, outputs, self.fuse, self.elem)
        PassManager(parse_pipeline(PROGRAM)).run(module)
        return emit_compiled(module, "rows", [], Options())
