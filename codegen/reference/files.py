"""read and write, of small files and in the simplest way."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from sysmlc.codegen.reference.table import evaluates, fail
from sysmlc.codegen.reference.text import double_text, scalar_text
from sysmlc.ir.core import Op
from sysmlc.ir.types import f64, i1, i64


def _options(path: Path, text: str) -> dict[str, Any]:
    found: dict[str, Any] = {}
    metadata = path.with_name(path.name + ".mtd")
    if metadata.exists():
        found.update(json.loads(metadata.read_text()))
    found.update(line.split("=", 1) for line in text.split("\n") if "=" in line)
    return found


def _cell(token: str) -> float:
    return float(token.replace("Infinity", "inf"))


@evaluates("read_matrix")
def read_matrix(op: Op, path: str, options: str) -> Any:
    file = Path(path)
    if not file.exists():
        raise fail(op, f"cannot read '{path}': no such file")
    given = _options(file, options)
    lines = file.read_text().splitlines()
    format = given.get("format", "mm" if lines and lines[0].startswith("%%MatrixMarket") else "text")
    if format == "csv":
        if str(given.get("header", False)).upper() == "TRUE":
            lines = lines[1:]
        default = float(given.get("default", 0))
        rows = [
            [_cell(t) if t.strip() else default for t in line.split(str(given.get("sep", ",")))]
            for line in lines
            if line
        ]
        return np.array(rows, float).reshape(len(rows), -1)
    if format == "mm":
        from scipy.io import mmread

        found = mmread(file)
        return np.asarray(found.toarray() if hasattr(found, "toarray") else found, float)
    if format != "text":
        raise fail(op, f"the reference evaluator does not read format '{format}'")
    triples = [line.split() for line in lines if line.strip()]
    out = np.zeros((int(given["rows"]), int(given["cols"])))
    for i, j, v in triples:
        if int(i) > 0:
            out[int(i) - 1, int(j) - 1] = _cell(v)
    return out


@evaluates("write_matrix")
def write_matrix(op: Op, a: Any, path: str, options: str) -> None:
    given = dict(line.split("=", 1) for line in options.split("\n") if "=" in line)
    format = given.get("format", "text")
    if format == "csv":
        sep = given.get("sep", ",")
        body = "".join(sep.join("0" if x == 0 else double_text(float(x)) for x in row) + "\n" for row in a)
    elif format in ("text", "mm"):
        cells = [
            f"{i + 1} {j + 1} {double_text(float(a[i, j]))}\n" for i, j in zip(*a.nonzero(), strict=True)
        ]
        head = f"%%MatrixMarket matrix coordinate real general\n{a.shape[0]} {a.shape[1]} {len(cells)}\n"
        body = (head if format == "mm" else "") + ("".join(cells) or ("" if format == "mm" else "0 0 0\n"))
    else:
        raise fail(op, f"the reference evaluator does not write format '{format}'")
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(body)
    if format != "mm":
        described = {
            "data_type": "matrix",
            "value_type": "double",
            "rows": a.shape[0],
            "cols": a.shape[1],
            "format": format,
        }
        Path(path + ".mtd").write_text(json.dumps(described))


@evaluates("read_scalar")
def read_scalar(op: Op, path: str, options: str) -> Any:
    raw = Path(path).read_text()
    kind = op.result.type
    return (
        float(raw)
        if kind is f64
        else int(raw)
        if kind is i64
        else raw.lower() == "true"
        if kind is i1
        else raw
    )


@evaluates("write_scalar")
def write_scalar(op: Op, value: Any, path: str, options: str) -> None:
    Path(path).parent.mkdir(parents=True, exist_ok=True)
    Path(path).write_text(str(value).lower() if isinstance(value, bool) else scalar_text(value))
