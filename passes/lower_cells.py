"""Lower `fused.cell` to launches of kernels.

Each region becomes a `kernel.cell` of the module, named after its content, so that equal bodies share one kernel (and one
entry of the object cache, across programs). Static types say which variants of it can occur: which inputs are read
along columns and which stay the same within a row, and which formats may drive it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from functools import reduce
from itertools import combinations, product
from operator import or_
from typing import NamedTuple

from sysmlc.ir.core import Builder, Op, Region, Value, clone_region
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.fused import Cell
from sysmlc.ir.dialects.kernel import PROBED, SEPARATE, CellKernel, csr_form
from sysmlc.ir.dialects.rt import Launch
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Dim, Matrix, differ_dim, f32, f64, same_dim
from sysmlc.passes.sparse_safety import Abstract, Unknown, outputs_at

MAX_INPUTS, MAX_OUTPUTS = 16, 8
MAX_UNDECIDED = 6
"""Inputs whose class may be left open; beyond that, only kernels with all inputs expanded are listed."""

MAX_JOINT = 6
"""Inputs that are asked what zeros in several of them make."""

VECTOR, SPLAT = True, False


@register_pass
class LowerCells(Pass):
    """Lower fused.cell regions to kernels and launches."""

    name = "lower-cells"

    def run(self, module: Module) -> None:
        kernels = {str(op.attrs["sym"]): op for op in module.body if isinstance(op, CellKernel)}
        for func in list(module.body):
            if func.name != "core.func":
                continue
            for op in list(func.walk()):
                if isinstance(op, Cell):
                    self._lower(module, op, kernels)

    def _lower(self, module: Module, cell: Cell, kernels: dict[str, CellKernel]) -> None:
        if len(cell.operands) > MAX_INPUTS or len(cell.results) > MAX_OUTPUTS:
            raise cell.error(f"has more than {MAX_INPUTS} inputs or {MAX_OUTPUTS} results")
        _put_matrices_first(cell)
        name = kernel_name(cell)
        kernel = kernels.get(name)
        if kernel is None:
            kernel = describe(cell, name)
            kernels[name] = kernel
            module.body.append(kernel)
            self.count("kernels made")
        kernel.attrs["variants"] = tuple(sorted({*kernel.variants, *variants(cell, kernel)}))
        launch = Builder.before(cell).op(
            Launch, cell.operands, kernel=name, reuse=cell.reuse, types=[r.type for r in cell.results]
        )
        for old, new in zip(cell.results, launch.results, strict=True):
            new.name = old.name
        cell.replace_by(launch.results)
        self.count("launches")


def _put_matrices_first(cell: Cell) -> None:
    """Kernels name the inputs that may be sparse by position, so scalars come last."""
    order = sorted(range(len(cell.operands)), key=lambda i: not isinstance(cell.operands[i].type, Matrix))
    if order == list(range(len(order))):
        return
    args = [cell.body.args[i] for i in order]
    cell.body.args[:] = args
    for i, arg in enumerate(args):
        arg.index = i
    cell.set_operands([cell.operands[i] for i in order])
    if cell.reuse:
        cell.attrs["reuse"] = tuple(sorted(order.index(i) for i in cell.reuse))


# -- the kernel of a region ------------------------------------------------------------------------------------


def kernel_name(cell: Cell) -> str:
    """A name that says what the kernel computes, and is equal exactly for equal kernels."""
    matrices = sum(isinstance(v.type, Matrix) for v in cell.operands)
    outer = f"{cell.outer},spreads" if cell.spreads else cell.outer
    text = f"{len(cell.operands)},{matrices},{cell.outputs},{outer};{body_text(cell.body)}"
    verbs = [op.fn for op in cell.body if op.name.startswith("dml.") and op.fn != "cast"][:3]
    kinds = sorted({kind.replace(":", "_") for kind in cell.outputs})
    return "_".join(["cell", *verbs, *kinds, hashlib.sha256(text.encode()).hexdigest()[:10]])


def body_text(body: Region) -> str:
    """The content of a region as text, without names and places."""
    number: dict[Value, int] = {}
    for arg in body.args:
        number[arg] = len(number)
    lines = ["f32"] if any(arg.type is f32 for arg in body.args) else []
    for op in body:
        operands = ",".join(str(number[v]) for v in op.operands)
        lines.append(f"{op.name}({operands}){sorted(op.attrs.items())!r}{[r.type.text for r in op.results]}")
        for result in op.results:
            number[result] = len(number)
    return ";".join(lines)


def describe(cell: Cell, name: str) -> CellKernel:
    """The kernel of a region, without variants yet."""
    matrices = [isinstance(v.type, Matrix) for v in cell.operands]
    zeros = zeros_of(cell.body, matrices, cell.outputs)
    made = CellKernel.new(
        sym=name,
        outputs=cell.outputs,
        variants=(),
        sparse_safe=zeros.safe,
        sparse_probe=zeros.probe,
        probe_needs=zeros.needs if any(zeros.needs) else (),
        joint=joint_zeros(cell.body, matrices, cell.outputs),
        outer=cell.outer,
        leads=() if cell.outer or cell.spreads else leads(cell),
        regions=[clone_region(cell.body, {})],
        loc=cell.loc,
    )
    assert isinstance(made, CellKernel)
    return made


def leads(cell: Cell) -> tuple[int, ...]:
    """For each input the mask of those that stand to the right of it: an operator has the shape of its left operand, to which a
    vector on the right is broadcast, never the other way round; the operands of `ifelse` have one shape. Empty when there is nothing to say."""
    first: dict[Value, int] = {}
    masks = [0] * len(cell.operands)
    for arg, operand in zip(cell.body.args, cell.operands, strict=True):
        if isinstance(operand.type, Matrix):
            first[arg] = arg.index
    for op in cell.body:
        inside = [first[v] for v in op.operands if v in first]
        if not inside or not op.results:
            continue
        first[op.result] = inside[0]
        for left in inside if op.name == "dml.ifelse" else inside[:1]:  # which broadcasts nothing
            for other in inside:
                if other != left:
                    masks[left] |= 1 << other
    return tuple(masks) if any(masks) else ()


class Zeros(NamedTuple):
    """What a region makes of zeros in its inputs, which are matrices first."""

    safe: int
    """Inputs that make every output zero where they are zero …"""
    probe: int
    """… and those where it takes the values of others to know what outputs are there. Aggregates may be anything, …"""
    needs: tuple[int, ...]
    """… which matrices it takes, for each input."""

    def may_drive(self, i: int, is_vector: Callable[[int], bool]) -> bool:
        """Whether the non-zeros of an input may be all that is visited, where matrices are vectors as it says."""
        needed = [k for k in range(len(self.needs)) if self.needs[i] >> k & 1]
        return bool(self.safe >> i & 1) or (bool(self.probe >> i & 1) and all(map(is_vector, needed)))


def zeros_of(
    body: Region, matrices: Sequence[bool], kinds: Sequence[str], asked: Sequence[int] | None = None
) -> Zeros:
    """What a region with outputs of these kinds makes of zeros, in all matrices or only in those `asked` about."""
    safe = probe = 0
    needs = [0] * len(matrices)
    for i in (i for i, m in enumerate(matrices) if m) if asked is None else asked:
        needed = _needed(body, matrices, kinds, 1 << i)
        if needed == 0:
            safe |= 1 << i
        elif needed is not None:
            probe |= 1 << i
            needs[i] = needed & ~PROBED
    return Zeros(safe, probe, tuple(needs))


def joint_zeros(
    body: Region, matrices: Sequence[bool], kinds: Sequence[str], asked: Sequence[int] | None = None
) -> tuple[tuple[int, int], ...]:
    """Sets of several inputs (as masks) of which it takes all to be zero to know what outputs are, and what that needs, as in
    `kernel.cell`. Of the inputs that are `asked` about, not more than `MAX_JOINT` are."""
    candidates = [i for i, m in enumerate(matrices) if m] if asked is None else list(asked)
    alone = [(1 << i, _needed(body, matrices, kinds, 1 << i)) for i in candidates]
    known = [(mask, needed & ~PROBED) for mask, needed in alone if needed is not None]
    several = [mask for mask, needed in alone if needed != 0][:MAX_JOINT]
    if len(several) < 2:
        return ()
    quotients = any(op.name.startswith("dml.") and op.fn in ("div", "intdiv", "mod") for op in body)
    if not quotients and _needed(body, matrices, kinds, sum(several)) is None:
        return ()  # more zeros make more of them, but 0 / 0
    found = []
    for count in range(2, len(several) + 1):
        for chosen in combinations(several, count):
            zeros = sum(chosen)
            if any(fewer & zeros == fewer and not needed & zeros for fewer, needed in known):
                continue
            needs = _needed(body, matrices, kinds, zeros)
            if needs is not None:
                known.append((zeros, needs & ~PROBED))
                found.append((zeros, needs))
    return tuple(found)


def _needed(body: Region, matrices: Sequence[bool], kinds: Sequence[str], zeros: int) -> int | None:
    """What it takes to know the outputs where the inputs `zeros` are zero: nothing, as they are zero; the matrices of a mask with
    `PROBED`, as they depend on these and on scalars; None if maps are not zero, or hardly ever."""
    inputs: list[Abstract] = [
        0.0 if zeros >> k & 1 else Unknown(1 << k if m else 0) for k, m in enumerate(matrices)
    ]
    made = outputs_at(body, inputs)
    if all(v == 0.0 for v in made):
        return 0
    needed = reduce(or_, (v.on for v in made if isinstance(v, Unknown)), 0)
    maps = [v for v, kind in zip(made, kinds, strict=True) if kind == "map"]
    if any(isinstance(v, float) and v != 0.0 for v in maps):
        return None
    if any(isinstance(v, Unknown) and v.on for v in maps) and not likely_zero(
        body, matrices, kinds, zeros, needed
    ):
        return None
    separate = needed & (needed - 1) and all(
        v == 0.0 or (isinstance(v, Unknown) and v.vanishes) for v in made
    )
    return needed | PROBED | (SEPARATE if separate else 0)


def likely_zero(
    body: Region, matrices: Sequence[bool], kinds: Sequence[str], zeros: int, needed: int
) -> bool:
    """Whether zeros in the inputs of a mask make zeros in maps for some ordinary value of the scalars and the `needed` vectors."""
    for value in (0.37, -0.37):
        inputs: list[Abstract] = [
            0.0 if zeros >> k & 1 else Unknown.CELL if m and not needed >> k & 1 else value
            for k, m in enumerate(matrices)
        ]
        made = outputs_at(body, inputs)
        if all(v == 0.0 for v, kind in zip(made, kinds, strict=True) if kind == "map"):
            return True
    return False


# -- the variants that can occur -------------------------------------------------------------------------------


def variants(cell: Cell, kernel: CellKernel) -> Iterator[int]:
    """The keys of all variants a launch of this region may ask for."""
    rows, cols = iteration_shape(cell)
    options = [_classes(v, i, cell.outer, rows, cols) for i, v in enumerate(cell.operands)]
    matrices = [i for i, v in enumerate(cell.operands) if isinstance(v.type, Matrix)]
    everything = sum(1 << i for i in matrices)
    if sum(len(o) > 1 for o in options) > MAX_UNDECIDED:
        yield everything
        options = [(VECTOR,) if VECTOR in o else o for o in options]
    shapes = [(v.type.rows, v.type.cols) if isinstance(v.type, Matrix) else None for v in cell.operands]
    every = [c for c in product(*options) if _agrees(shapes, options, c)]
    yield from map(_mask, every)
    zeros = zeros_of_cell(cell)
    drivers = _drivers(cell, may_be_sparse)
    for i in drivers:
        if zeros.may_drive(i, lambda k: is_vector_of(cell, k)):
            for classes in every:
                if classes[i] is VECTOR:
                    yield csr_form(i) << 16 | _mask(classes)


def _agrees(
    shapes: Sequence[tuple[Dim, Dim] | None], options: Sequence[tuple[bool, ...]], classes: Sequence[bool]
) -> bool:
    """Whether inputs of one shape are all read in the same way."""
    known: dict[tuple[Dim, Dim], bool] = {}
    return all(
        shape is None or None in shape or len(o) == 1 or known.setdefault(shape, c) is c
        for shape, o, c in zip(shapes, options, classes, strict=True)
    )


def may_make_sparse(cell: Cell, sparse: Callable[[Value], bool]) -> bool:
    """Whether a launch of this region may make sparse results, if these values may be sparse."""
    drivers = _drivers(cell, sparse)
    if not drivers:
        return False
    zeros = zeros_of_cell(cell)
    return any(zeros.may_drive(i, lambda k: is_vector_of(cell, k)) for i in drivers) or bool(
        joint_leaders(cell, drivers)
    )


def joint_leaders(cell: Cell, sparse: Sequence[int]) -> list[list[int]]:
    """Which of the inputs that may be sparse may be all that is visited, several together."""
    matrices = [isinstance(v.type, Matrix) for v in cell.operands]
    found = []
    for zeros, needed in joint_zeros(cell.body, matrices, cell.outputs, sparse):
        if all(is_vector_of(cell, k) for k in range(len(matrices)) if needed >> k & 1):
            found.append([i for i in sparse if zeros >> i & 1])
    return found


def is_vector_of(cell: Cell, i: int) -> bool:
    """Whether an input is known to be a vector that is read along the rows or columns of others."""
    return not _may_fill(cell.operands[i], *iteration_shape(cell))


def zeros_of_cell(cell: Cell) -> Zeros:
    """What the region of a cell makes of zeros."""
    return zeros_of(cell.body, [isinstance(v.type, Matrix) for v in cell.operands], cell.outputs)


def _drivers(cell: Cell, sparse: Callable[[Value], bool]) -> list[int]:
    """The inputs that may be sparse and have the full shape."""
    rows, cols = iteration_shape(cell)
    return [i for i, v in enumerate(cell.operands) if sparse(v) and _may_fill(v, rows, cols)]


def _mask(classes: Sequence[bool]) -> int:
    return sum(1 << i for i, c in enumerate(classes) if c is VECTOR)


def may_be_sparse(value: Value) -> bool:
    """Whether the value may be in CSR format; column vectors never are."""
    return isinstance(value.type, Matrix) and value.type.format != "dense" and value.type.cols != 1


def _may_fill(value: Value, rows: Dim, cols: Dim) -> bool:
    """Whether the value may have the full shape; vectors are not expected to, unless everything is one."""
    type = value.type
    assert isinstance(type, Matrix)
    return all(a == b or (a != 1 and not differ_dim(a, b)) for a, b in ((type.rows, rows), (type.cols, cols)))


def iteration_shape(cell: Op) -> tuple[Dim, Dim]:
    """The rows and columns a region runs over, as far as types say."""
    assert isinstance(cell, Cell)
    matrices = [v.type for v in cell.operands if isinstance(v.type, Matrix)]
    rows, cols = matrices[0].rows, matrices[0].cols
    if cell.outer:  # who has several of them; unknown sizes may be several
        rows = next((m.rows for m in matrices if m.rows != 1), 1)
        cols = next((m.cols for m in matrices if m.cols != 1), 1)
    for kind, result in zip(cell.outputs, cell.results, strict=True):
        if isinstance(result.type, Matrix):
            if kind == "map" or kind.startswith("row"):
                rows = result.type.rows
            if kind == "map" or kind.startswith("col"):
                cols = result.type.cols
    return rows, cols


def _classes(value: Value, index: int, outer: bool, rows: Dim, cols: Dim) -> tuple[bool, ...]:
    """How an input may be read: along columns (full shape, row vector), or one value a row (scalar, column vector).

    One that has the columns of the whole is read along them, even where it is a single cell for once: the run time repeats it.
    """
    type = value.type
    if not isinstance(type, Matrix):
        assert type is f64
        return (SPLAT,)
    if (index == 0 and not outer) or same_dim(type.cols, cols):
        return (VECTOR,)
    if isinstance(type.cols, int) and type.cols != 1:
        return (VECTOR,)
    if type.cols == 1 and isinstance(cols, int) and cols != 1:
        return (SPLAT,)
    return (VECTOR, SPLAT)
