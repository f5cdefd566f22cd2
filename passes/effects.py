"""What operations do besides computing their results, and whether computing them can fail."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from sysmlc.ir.core import Op, Region
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_fit import RequireFit
from sysmlc.ir.dialects.shapes import constant_int, size_dim
from sysmlc.ir.symbols import symbol_table
from sysmlc.ir.types import Dim, Matrix, Scalar, box, i64, same_dim, string

SILENT: Final = frozenset({"dml.read_matrix", "dml.read_scalar", "dml.time"})
"""Operations that are not pure, but need not happen when nobody looks at the result."""
_STRUCTURE: Final = frozenset({"scf.if", "scf.for", "scf.parfor", "core.yield", "core.return"})
"""Of loops only those that count: a `while` may run without end, and then what follows it must not happen."""


def keeps_place(op: Op) -> bool:
    """Whether the operation has to stay where it is among others of its kind. A branch that only computes need not."""
    if op.name == "scf.if":
        return any(map(keeps_place, (inner for r in op.regions for inner in r)))
    return "pure" not in op.traits and "terminator" not in op.traits


def must_follow(region: Region) -> dict[Op, set[Op]]:
    """For operations of a region, what comes before them beside what makes their operands: effects stay in order, and what fails
    where sizes do not fit stays behind the check of these sizes, which says so better."""
    found: dict[Op, set[Op]] = {}
    effect: Op | None = None
    checks: list[RequireFit] = []
    for op in region:
        if keeps_place(op):
            if effect is not None:
                found[op] = {effect}
            effect = op
        if isinstance(op, RequireFit):
            checks.append(op)
        elif checks and "terminator" not in op.traits and not ("pure" in op.traits and cannot_fail(op)):
            sizes = set(_sizes_read(op))
            last = next((check for check in reversed(checks) if _asks_about(check, sizes)), None)
            if last is not None:
                found.setdefault(op, set()).add(last)
    return found


def _sizes_read(op: Op) -> Iterator[Dim]:
    for inner in op.walk():
        for value in inner.operands:
            if isinstance(value.type, Matrix):
                yield value.type.rows
                yield value.type.cols


def _asks_about(check: RequireFit, sizes: set[Dim]) -> bool:
    """Whether a check compares two of these sizes. One that is not known may be any."""
    if not sizes:
        return False
    return any(
        all(isinstance(d, int) or d is None or None in sizes or d in sizes for d in (one, other))
        for one, other, _ in check.demands
    )


def is_unneeded_when_unused(op: Op) -> bool:
    """Whether the operation itself (not what is inside it) may go when its results are not used."""
    return "pure" in op.traits or "random" in op.traits or op.name in SILENT or op.name in _STRUCTURE


def silent_functions(module: Module) -> dict[str, bool]:
    """For each function of a module, whether calling it only computes results."""
    table = symbol_table(module)
    loud = {
        name
        for name, func in table.items()
        if any(
            not is_unneeded_when_unused(op) and op.name != "core.call"
            for r in func.regions
            for op in r.walk()
        )
    }
    calls = {
        name: {str(op.attrs["callee"]) for r in func.regions for op in r.walk() if op.name == "core.call"}
        for name, func in table.items()
    }
    before = -1
    while len(loud) != before:
        before = len(loud)
        loud |= {name for name, callees in calls.items() if callees & loud}
    return {name: name not in loud for name in table}


def is_silent(op: Op, functions: Mapping[str, bool]) -> bool:
    """Whether `op` may go when its results are not used, calls included."""
    return is_unneeded_when_unused(op) or (
        op.name == "core.call" and functions.get(str(op.attrs["callee"]), False)
    )


# -- what cannot fail -----------------------------------------------------------------------------------------------

_TOTAL: Final = frozenset(
    f"dml.{fn}"
    for fn in (
        "t", "rev", "tsmm", "nrow", "ncol", "length", "nnz", "concat", "has_arg", "lower_tri", "upper_tri", "replace",
        "cumsum", "cumprod", "cummin", "cummax", "rowcumsum", "row_index_max", "row_index_min", "count_distinct",
        "as_matrix", "undefined", "list_new", "list_length", "list_append", "roll",
    )
) | {"core.constant"}  # fmt: skip
_OVERFLOWING: Final = frozenset({"add", "sub", "mul", "intdiv", "mod", "neg", "abs"})


def cannot_fail(op: Op) -> bool:
    """Whether computing a pure operation is certain to succeed, whatever the values are (memory aside)."""
    name = op.name
    types = [v.type for v in op.operands]
    if name in _TOTAL:
        return True
    if "cellwise" in op.traits:
        shapes = [t for t in types if isinstance(t, Matrix)]
        if not shapes:
            return op.results[0].type is not i64 or op.fn not in _OVERFLOWING
        if name == "dml.outer":
            return shapes[0].cols == 1 and shapes[1].rows == 1
        if name == "dml.ifelse" or len(shapes) < 2:
            return all(_same_shape(shapes[0], s) for s in shapes[1:])
        return _broadcasts(shapes[0], shapes[1])
    if name == "fused.cell":
        return sum(isinstance(t, Matrix) for t in types) < 2
    if "dir" in type(op).__dict__ or name == "dml.trace":
        return name != "dml.trace" or _is_square(types[0])
    if name == "dml.matmul":
        left, right = types
        assert isinstance(left, Matrix)
        assert isinstance(right, Matrix)
        transpose = str(op.attrs.get("transpose", ""))
        return same_dim(
            left.rows if "l" in transpose else left.cols, right.cols if "r" in transpose else right.rows
        )
    if name == "dml.cast":
        to = op.results[0].type
        return isinstance(to, Scalar) and types[0] is not box and (types[0] is not string or to is string)
    if name in ("dml.cbind", "dml.rbind"):
        across = [(t.rows if name == "dml.cbind" else t.cols) for t in types if isinstance(t, Matrix)]
        return all(same_dim(across[0], d) for d in across)
    if name == "dml.diag":
        return _is_square(types[0]) or (isinstance(types[0], Matrix) and types[0].cols == 1)
    if name in ("dml.index", "dml.get_cell"):
        return _in_range(op)
    return name == "dml.fill" and all(size_dim(v) is not None for v in op.operands[1:])


def _same_shape(a: Matrix, b: Matrix) -> bool:
    return same_dim(a.rows, b.rows) and same_dim(a.cols, b.cols)


def _broadcasts(left: Matrix, right: Matrix) -> bool:
    rows, cols = same_dim(left.rows, right.rows), same_dim(left.cols, right.cols)
    return (rows or right.rows == 1) and (cols or right.cols == 1)


def _is_square(type: object) -> bool:
    return isinstance(type, Matrix) and same_dim(type.rows, type.cols)


def _in_range(op: Op) -> bool:
    source = op.operands[0].type
    assert isinstance(source, Matrix)
    bounds = op.operands[1:]
    if len(bounds) == 2:
        bounds = [bounds[0], bounds[0], bounds[1], bounds[1]]
    for low, high, extent in ((bounds[0], bounds[1], source.rows), (bounds[2], bounds[3], source.cols)):
        first, last = constant_int(low), size_dim(high)
        if first is None or first < 1 or not _at_most(first, last) or not _at_most(last, extent):
            return False
    return True


def _at_most(a: Dim, b: Dim) -> bool:
    return same_dim(a, b) or (isinstance(a, int) and isinstance(b, int) and a <= b)
