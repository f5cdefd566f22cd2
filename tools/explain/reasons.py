"""Why an operator runs the way it does: its template, what drives it, and the formats of its results."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.fused import OuterRegion
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.types import Matrix
from sysmlc.passes.estimate import density
from sysmlc.passes.fusion.groups import Group, may_be_sparse
from sysmlc.passes.lower_outer import region_drivers

Name = Callable[[Value], str]

TEMPLATES: Final = {
    "cell": "cell by cell", "row": "row by row", "outer": "at the cells of a product", "product": "matrix product",
    "solver": "LAPACK", "index": "parts of matrices", "create": "new matrix", "file": "file", "library": "library",
    "call": "function of the script", "convert": "change of format",
}  # fmt: skip
"""The kinds of operators, and what they do."""
_KINDS: Final = {
    **dict.fromkeys(("matmul", "matmul_shared", "tsmm"), "product"),
    **dict.fromkeys(("solve", "inv", "cholesky", "qr", "lu", "svd", "eigen", "det"), "solver"),
    **dict.fromkeys(
        (
            "index",
            "left_index",
            "get_cell",
            "set_cell",
            "cbind",
            "rbind",
            "as_matrix",
            "as_scalar",
            "as_vector",
        ),
        "index",
    ),
    **dict.fromkeys(("rand", "fill", "seq", "sample", "matrix_of_text", "matrix_of_box"), "create"),
    **dict.fromkeys(("read_matrix", "write_matrix"), "file"),
}
CONVERTED: Final = {"dense": "dense", "csr": "CSR", "smaller": "the smaller format"}
"""The formats of conversions."""
_MOVES: Final = frozenset({"t", "rev", "index", "reshape"})


@dataclass(frozen=True)
class Format:
    """How a result is stored, and why."""

    name: str
    why: str


def template_of(op: Op) -> str:
    """The kind of an operator."""
    if op.dialect == "fused":
        return op.fn if op.fn in TEMPLATES else "library"
    return "call" if op.name == "core.call" else _KINDS.get(op.fn, "library")


def how_it_runs(op: Op, cell: Group | None, name: Name) -> str:
    """What decides how the operator runs."""
    if cell is not None:
        drivers = [name(v) for v in cell.inputs if v in cell.drivers]
        if drivers:
            return f"sparse-safe in {', '.join(drivers)}: where it is CSR, only its non-zeros are visited"
        together = [" and ".join(map(name, leaders)) for leaders in cell.joint_drivers]
        if together:
            return f"sparse-safe in {', or in '.join(together)} together: where they are CSR, only their non-zeros are visited"
        return ""
    if op.name == "fused.convert":
        return str(op.attrs.get("why", ""))
    if op.name == "fused.recast":
        return "for an operation that computes in double precision only"
    if op.name == "fused.row":
        return "one scan of the rows, in blocks that stay in the cache"
    if op.name == "fused.outer":
        drivers = [
            " and ".join(map(name, d)) + (" where it is" if len(d) == 1 else " together where they are")
            for d in outer_drivers(op)
        ]
        sampled = f"only at the non-zeros of {', '.join(drivers)} CSR, else " if drivers else ""
        return f"the product is never formed: computed {sampled}tile by tile"
    if op.fn == "matmul_shared":
        return "dense: packed panels, those of the left factor for all products; sparse: one product after the other"
    if op.fn in ("matmul", "tsmm"):
        vector = op.fn == "matmul" and any(
            isinstance(v.type, Matrix) and 1 in (v.type.rows, v.type.cols) for v in op.operands
        )
        dense = "own kernel, one pass" if vector else "packed panels"
        return (
            f"dense: {dense}; sparse: row by row over non-zeros"
            if any(map(may_be_sparse, op.operands))
            else f"dense: {dense}"
        )
    if template_of(op) == "solver":
        return "LAPACK, operands made dense"
    return ""


def outer_drivers(op: Op) -> list[list[Value]]:
    """The inputs of an outer region whose zeros make every result zero, alone or together, where they may be sparse."""
    assert isinstance(op, OuterRegion)
    first = len(op.products)
    found = [[op.operands[first + i] for i in sorted(d)] for d in region_drivers(op)]
    return [d for d in found if all(map(may_be_sparse, d))]


def format_of(op: Op, result: Value, cell: Group | None, name: Name) -> Format:
    """The format of a result."""
    type = result.type
    assert isinstance(type, Matrix)
    if type.format is not None and op.name in ("fused.convert", "dml.input"):
        return Format(type.format, "chosen by the compiler")
    if type.cols == 1:
        return Format("dense", "a column vector")
    if cell is not None and (not cell.led or cell.kinds[result.index] != "map"):
        return Format("dense", "every cell is computed")
    if cell is not None and not cell.drivers:
        leaders = " and ".join(map(name, cell.joint_drivers[0]))
        return Format("CSR where they are", f"its non-zeros are among those of {leaders}")
    if cell is not None:
        driver = name(next(v for v in cell.inputs if v in cell.drivers))
        return Format(f"as {driver}", f"its non-zeros are among those of {driver}")
    if not may_be_sparse(result):
        return Format("dense", "made full")
    if isinstance(op, OuterRegion) and op.outputs[result.index] != "map":
        return Format("dense", "every cell is computed")
    if op.fn == "matmul" and not all(may_be_sparse(v) for v in op.operands):
        return Format("dense", "one factor is")
    if op.fn in _MOVES and not may_be_sparse(op.operands[0]):
        return Format("dense", f"as {name(op.operands[0])}")
    if op.fn == "fill":
        return Format("dense", "made to be filled" if constant(op.operands[0]) == 0 else "made full")
    share = constant(op.operands[4]) if op.fn == "rand" else density(type)
    if not isinstance(share, (int, float)):
        share = 1.0
    if share < 0.4:
        bound = "about" if op.fn == "rand" else "at most"
        return Format("CSR", f"{bound} {100 * share:.2g} % of its cells are not 0, counted at run time")
    return Format("dense or CSR", "decided at run time by counting non-zeros")
