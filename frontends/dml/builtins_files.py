"""How reading and writing of files is lowered.

The options of a file travel as text, one `key=value` a line, in one string: a constant where all of them are
known, else put together at run time.
"""

from __future__ import annotations

import json
import math
import os
import re
from typing import Any, Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.arguments import Builtin, known_text, text
from sysmlc.frontends.dml.frame import Frame
from sysmlc.frontends.dml.types import SCALARS, Literal, describe, is_scalar
from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_create import ReadMatrix
from sysmlc.ir.dialects.dml_matrix import WriteMatrix
from sysmlc.ir.dialects.dml_scalar import Concat, ReadScalar, WriteScalar
from sysmlc.ir.dialects.shapes import constant, constant_int
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, i1, i64, matrix, string

_READ_FORMATS: Final = ("text", "csv", "mm", "binary")
_OTHER_FORMATS: Final = (
    "libsvm",
    "jsonl",
    "hdf5",
    "proto",
    "parquet",
    "delta",
    "cog",
    "compressed",
    "matrixmarket",
)
_VALUES: Final[dict[str, tuple[str, ...]]] = {
    "data_type": ("matrix", "scalar"),
    "value_type": ("double", "int", "boolean", "string"),
    "format": _READ_FORMATS,
}
_BOOLEANS: Final = ("header", "fill", "sparse")
_COUNTS: Final = ("rows", "cols", "nnz", "rows_in_block", "cols_in_block")


def read(frame: Frame, node: ast.Call, self: Builtin) -> Value:
    """`read("path", …)`: a matrix, or a scalar by data_type and value_type."""
    path, options = _arguments(frame, node, self)
    if node.name == "readMM":
        options["format"] = frame.constant(node, "mm")
    known = _metadata(path)
    kind = _text(options.get("data_type")) or known.get("data_type", "matrix")
    if kind == "frame":
        raise Diagnostic(
            "reading frames is not in this version", node.loc, hint='data_type="matrix" reads numbers'
        )
    if kind == "scalar":
        value_type = str(_text(options.get("value_type")) or known.get("value_type", "double"))
        return frame.emit(
            node, ReadScalar, path, _options(frame, node, options), types=[SCALARS.get(value_type, string)]
        )
    if kind != "matrix":
        raise Diagnostic(f"reading data of the type '{kind}' is not in this version", node.loc)
    _agree(node, options, known)
    for name in ("rows", "cols", "nnz"):
        # What the type claims must be what the file holds when the program runs, maybe much later.
        found = known.get(name)
        if name not in options and isinstance(found, int) and found >= 0:
            options[name] = frame.constant(node, found)
    return frame.emit(node, ReadMatrix, path, _options(frame, node, options), types=[_type(options)])


def _agree(node: ast.Call, options: dict[str, Value], known: dict[str, Any]) -> None:
    """Sizes that are given must be those of the .mtd file."""
    for name in ("rows", "cols"):
        given = constant_int(options[name]) if name in options else None
        found = known.get(name)
        if given is not None and isinstance(found, int) and 0 <= found != given:
            arg = next(arg for arg in node.args if arg.name == name)
            raise Diagnostic(f"the option '{name}' is {given}, but the .mtd file says {found}", arg.loc)


def _type(options: dict[str, Value]) -> Type:
    sizes: list[int | None] = []
    for name in ("rows", "cols", "nnz"):
        value = options.get(name)
        known = constant_int(value) if value is not None else None
        sizes.append(known if known is not None and known >= 0 else None)
    rows, cols, nnz = sizes
    # No cells to compute with would mean no reading, and reading is what finds out that the number is wrong.
    return matrix(rows, cols, nnz=nnz or None)


def write(frame: Frame, node: ast.Call, self: Builtin) -> None:
    """`write(x, "path", …)`"""
    if not node.args or not isinstance(node.args[0].value, ast.Name):
        raise Diagnostic(
            "the first argument of 'write' must be a variable",
            node.args[0].loc if node.args else node.loc,
            hint="assign the value to a variable first" if node.args else self.shown,
        )
    target = node.args[0].value
    value = frame.expr(target)
    path, options = _arguments(frame, ast.Call(node.span, None, node.name, node.args[1:]), self)
    if isinstance(value.type, Matrix):
        frame.op(node, WriteMatrix, value, path, _options(frame, node, options))
    elif is_scalar(value.type):
        frame.op(node, WriteScalar, value, path, _options(frame, node, options))
    else:
        raise Diagnostic(
            f"'write' cannot write {describe(value.type)}", target.loc, hint="write its entries one by one"
        )


# ---- arguments


def _arguments(frame: Frame, node: ast.Call, self: Builtin) -> tuple[Value, dict[str, Value]]:
    """The path, and the options that are given, each in its type."""
    if not node.args or node.args[0].name is not None:
        raise self.wrong(node, f"'{self.name}' needs the path of a file, unnamed")
    path = _path(frame, node.args[0].value)
    known = [p.name for p in self.params if p.name not in ("path", "target")]
    options: dict[str, Value] = {}
    for arg in node.args[1:]:
        name = arg.name
        if name is None:
            raise self.wrong(arg, f"the options of '{self.name}' must be named")
        if name not in known:
            raise self.wrong(arg, f"'{self.name}' has no option '{name}'")
        if name in options:
            raise self.wrong(arg, f"the option '{name}' is given twice")
        options[name] = _option(frame, name, arg)
    return path, options


def _option(frame: Frame, name: str, arg: ast.Arg) -> Value:
    what = f"the option '{name}'"
    if name in _BOOLEANS:
        return frame.scalar(arg.value, i1, what)
    if name in _COUNTS:
        value = frame.scalar(arg.value, i64, what)
        count = constant_int(value)
        if count is not None and count < (-1 if name == "nnz" else 0):
            raise Diagnostic(f"{what} cannot be {count}", arg.loc)
        return value
    if name == "default":
        value = frame.expr(arg.value)
        return frame.as_scalar(arg.value, value, string, what)
    value = text(frame, arg.value, what)
    given = constant(value)
    if isinstance(given, str):
        if "\n" in given:
            raise Diagnostic(f"{what} cannot hold a new line", arg.loc)
        _check_value(frame, name, given, arg)
    return value


def _check_value(frame: Frame, name: str, given: str, arg: ast.Arg) -> None:
    if name == "format" and given in _OTHER_FORMATS:
        raise Diagnostic(
            f"the file format '{given}' is not in this version",
            arg.loc,
            hint="there are " + ", ".join(_READ_FORMATS),
        )
    if name == "data_type" and given in ("frame", "list", "tensor"):
        raise Diagnostic(f"files of the data type '{given}' are not in this version", arg.loc)
    allowed = _VALUES.get(name)
    if allowed is not None and given not in allowed:
        raise Diagnostic(
            f"the option '{name}' cannot be '{given}'", arg.loc, hint="it is one of " + ", ".join(allowed)
        )


_ADDRESS: Final = re.compile(r"([A-Za-z][A-Za-z0-9+.-]*)://")
_LOCAL: Final = re.compile(r"file:(//[^/]*)?(?=/)")


def _path(frame: Frame, node: ast.Expr) -> Value:
    """The name of a file. The run time takes `file:` away and refuses other addresses as well, where it sees them first."""
    known = known_text(frame, node)
    if known is not None and (local := _LOCAL.match(known)):
        return frame.constant(node, known[local.end() :])
    if known is not None and (address := _ADDRESS.match(known)):
        raise Diagnostic(
            f"files at '{address[0]}' are not in this version, local ones are",
            node.loc,
            hint="copy the file to this machine",
        )
    if known is not None and frame.workdir != "." and not os.path.isabs(known):
        return frame.constant(node, os.path.normpath(os.path.join(frame.workdir, known)))
    return text(frame, node, "the path")


def _metadata(path: Value) -> dict[str, Any]:
    """The .mtd file beside a file that is known when the script is compiled; empty when there is none."""
    known = constant(path)
    if not isinstance(known, str):
        return {}
    try:
        with open(known + ".mtd", encoding="utf-8") as file:
            found = json.load(file)
    except (OSError, ValueError):
        return {}  # reading it at run time will tell
    return found if isinstance(found, dict) else {}


def described_data(module: Op) -> list[str]:
    """The .mtd files that were looked for to make a module: what they said is in it, or that they were not there."""
    reads = [op for op in module.walk() if op.name in ("dml.read_matrix", "dml.read_scalar")]
    paths = {known: None for op in reads if isinstance(known := constant(op.operands[0]), str)}
    return [f"{path}.mtd" for path in paths]


# ---- options as text


def _text(value: Value | None) -> str | None:
    known = constant(value) if value is not None else None
    return known if isinstance(known, str) else None


def _options(frame: Frame, node: ast.Call, options: dict[str, Value]) -> Value:
    """All options in one string."""
    constants = {name: constant(value) for name, value in options.items()}
    for name, value in options.items():
        if constants[name] is not None and not value.uses and not value.name and value.op is not None:
            value.op.erase()
    fixed = "\n".join(f"{name}={_shown(known)}" for name, known in constants.items() if known is not None)
    result = frame.constant(node, fixed)
    for name, value in options.items():
        if constants[name] is None:
            line = frame.constant(node, f"\n{name}=" if fixed else f"{name}=")
            fixed = "given"
            entry = frame.emit(node, Concat, line, frame.cast(node, value, string))
            result = frame.emit(node, Concat, result, entry)
    return result


def _shown(value: Literal) -> str:
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, float):
        if math.isinf(value):
            return "Infinity" if value > 0 else "-Infinity"
        return "NaN" if math.isnan(value) else repr(value)
    return str(value)
