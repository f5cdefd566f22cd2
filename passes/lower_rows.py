"""Lower `fused.row` to launches of row kernels.

Each region becomes a `kernel.row` of the module, named after its content; of types it keeps only what is known to have one
column. Types say which variants can occur: which inputs have several columns, and whether the scanned matrix may be sparse.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from itertools import product

from sysmlc.ir.core import Builder, Op, Region, Value, clone_region
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.fused import Row
from sysmlc.ir.dialects.kernel import RowKernel
from sysmlc.ir.dialects.rt import Launch
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.types import Dim, Matrix, matrix, same_dim
from sysmlc.passes.cell_places import PLACES
from sysmlc.passes.lower_cells import MAX_INPUTS, MAX_OUTPUTS, body_text, may_be_sparse
from sysmlc.passes.rows.lengths import (
    REDUCTIONS,
    WIDE,
    Lengths,
    is_assembly,
    is_matmul,
    is_product,
    is_reduction,
    mask,
)
from sysmlc.passes.rows.plan import Plan
from sysmlc.passes.sparse_safety import Abstract, Unknown, evaluate_at

FORM_CSR = 1 << 16
MAX_ASSEMBLED = 15
"""Values that are put together from columns: with the inputs, as many as a mask of 31 bits tells apart."""


@register_pass
class LowerRows(Pass):
    """Lower fused.row regions to kernels and launches."""

    name = "lower-rows"

    def run(self, module: Module) -> None:
        there = {op.sym: op for op in module.body if isinstance(op, RowKernel)}
        for row, kernel in row_kernels(module, there):
            if kernel.sym not in there:
                there[kernel.sym] = kernel
                module.body.append(kernel)
                self.count("kernels made")
            types = [r.type for r in row.results]
            launch = Builder.before(row).op(
                Launch, row.operands, kernel=kernel.sym, template="row", types=types
            )
            for old, new in zip(row.results, launch.results, strict=True):
                new.name = old.name
            row.replace_by(launch.results)
            self.count("launches")


def row_kernels(module: Module, there: Mapping[str, RowKernel] | None = None) -> list[tuple[Row, RowKernel]]:
    """The regions of a module, each with its kernel: one for all that are the same, with the variants of all of them."""
    kernels = dict(there or {})
    found = []
    for func in module.body:
        for row in func.walk() if func.name == "core.func" else ():
            if not isinstance(row, Row):
                continue
            if len(row.operands) > MAX_INPUTS or len(row.results) > MAX_OUTPUTS:
                raise row.error(f"has more than {MAX_INPUTS} inputs or {MAX_OUTPUTS} results")
            made = describe(row)
            if sum(map(is_assembly, made.body)) > MAX_ASSEMBLED:
                raise row.error(f"puts columns together more than {MAX_ASSEMBLED} times")
            kernel = kernels.setdefault(made.sym, made)
            kernel.attrs["variants"] = tuple(sorted({*kernel.variants, *variants(row, kernel)}))
            found.append((row, kernel))
    return found


def describe(row: Row) -> RowKernel:
    """The kernel of a region, without variants yet."""
    body = clone_region(row.body, {})
    for arg, role in zip(body.args, row.roles, strict=True):
        if isinstance(arg.type, Matrix):
            several = role == "row" and arg.index == 0
            arg.type = matrix(
                1 if role == "row" or arg.type.rows == 1 else None,
                1 if arg.type.cols == 1 and not several else None,
                arg.type.elem,
            )
    for op in body:
        for result, type in zip(op.results, op.infer(), strict=True):
            result.type = type
    text = f"{row.roles},{row.outputs},{[a.type.text for a in body.args]};{body_text(body)}"
    verbs = [op.fn for op in body if op.name.startswith("dml.")][:3]
    name = "_".join(["row", *verbs, hashlib.sha256(text.encode()).hexdigest()[:10]])
    made = RowKernel.new(
        sym=name,
        outputs=row.outputs,
        variants=(),
        sparse_safe=int(is_sparse_safe(body, row.roles, row.outputs)),
        roles=row.roles,
        regions=[body],
        loc=row.loc,
    )
    assert isinstance(made, RowKernel)
    return made


def is_sparse_safe(body: Region, roles: tuple[str, ...], outputs: tuple[str, ...]) -> bool:
    """Whether all that is done with wide values only needs the non-zeros of the scanned row."""
    plan = Plan(body, roles, outputs, (1 << len(roles)) - 1)
    known: dict[Value, Abstract] = {
        a: 0.0 if i == 0 else Unknown.SCALAR if r == "scalar" else Unknown.CELL
        for i, (a, r) in enumerate(zip(body.args, roles, strict=True))
    }
    for op in plan.ops:
        value = op.results[0]
        if is_matmul(op) or is_reduction(op):
            if plan.kind[op.operands[0]] == "wide" and (
                known[op.operands[0]] != 0.0 or REDUCTIONS.get(op.fn) in PLACES
            ):
                return False
            known[value] = Unknown.CELL
        elif is_assembly(op):
            if any(plan.kind[v] == "wide" for v in op.operands):
                return False
            known[value] = Unknown.CELL
        elif op.name == "dml.fill":
            known[value] = known[op.operands[0]]
        else:
            known[value] = evaluate_at(op, [known[v] for v in op.operands])
    for output in plan.outputs:
        if any(plan.kind[v] == "wide" and known[v] != 0.0 for v in output.values):
            return False
        if output.kind == "map" and plan.kind[output.values[0]] == "wide":
            return False
    return True


def variants(row: Row, kernel: RowKernel) -> Iterator[int]:
    """The keys of all variants a launch of this region may ask for.

    An input that may have one column or several counts as one with several where that changes nothing: the loops do not take
    longer if it has one after all, and where it is repeated along others, the run time writes it out. Along a wide row that
    would be expensive.
    """
    wide = row.operands[0].type
    assert isinstance(wide, Matrix)
    lengths = Lengths(kernel.body, kernel.roles)
    long = lengths.classes().get(WIDE, ())
    options = [_options(row, i) for i in range(len(row.operands))]
    known = [o == (True,) for o in options] + [True] * len(lengths.assembled)
    undecided = [i for i, o in enumerate(options) if len(o) > 1]
    for i in undecided:
        if (
            same_dim(_columns(row, i), wide.cols)
            if i in long
            else _may_repeat(row, kernel, lengths, known, i)
        ):
            options[i] = (True,)
    sparse = kernel.sparse_safe and may_be_sparse(row.operands[0])
    for several in product(*options):
        if _agrees(row, options, several):
            key = sum(1 << i for i, s in enumerate(several) if s)
            yield key
            if sparse:
                yield FORM_CSR | key


def _may_repeat(row: Row, kernel: RowKernel, lengths: Lengths, known: Sequence[bool], i: int) -> bool:
    """Whether nothing can tell if the input has one column that is repeated along the others of its class, or several.

    What is summed up or handed out tells, when the length of the class comes from elsewhere: `t(X) %*% Y` next to
    `P * Y` has one column if Y has, however many P has.
    """
    home = lengths.class_of_input(i)
    for value in _consumed(kernel):
        sources = lengths.sources[value]
        if i not in sources or any(known[k] for k in sources):
            continue
        names = {_columns(row, k) for k in sources} - {None}
        for other in lengths.classes()[home]:
            if other in sources or (other < lengths.inputs and row.roles[other] == "scalar"):
                continue
            if other >= lengths.inputs or _columns(row, other) not in names:
                return False
    return True


def _consumed(kernel: RowKernel) -> Iterator[Value]:
    """What leaves a region, is added up in it or put together from columns."""
    for op in kernel.body:
        if op.name == "core.yield" or is_reduction(op) or is_product(op) or is_assembly(op):
            yield from op.operands
        elif is_matmul(op):
            yield op.operands[0]


def _options(row: Row, i: int) -> tuple[bool, ...]:
    """Whether an input may have several columns (a side: several columns of the product), and whether it may have one."""
    if row.roles[i] == "scalar":
        return (False,)
    if i == 0:
        return (True,)
    size = _columns(row, i)
    if isinstance(size, int):
        return (size != 1,)
    return (False, True)


def _columns(row: Row, i: int) -> Dim:
    """The columns of an input (of a side: of the product)."""
    type = row.operands[i].type
    assert isinstance(type, Matrix)
    return type.rows if row.roles[i] == "side" and _is_transposed(row.body.args[i]) else type.cols


def _agrees(row: Row, options: Sequence[tuple[bool, ...]], several: Sequence[bool]) -> bool:
    """Whether inputs whose columns have the same name all have one column or all have several."""
    known: dict[Dim, bool] = {}
    return all(
        known.setdefault(_columns(row, i), several[i]) == several[i]
        for i, o in enumerate(options)
        if len(o) > 1 and _columns(row, i) is not None
    )


def _is_transposed(side: Value) -> bool:
    return any("r" in str(op.attrs.get("transpose", "")) for op in side.users())


def _taken(op: Op) -> int:
    """How many columns a range takes."""
    type = op.results[0].type
    assert isinstance(type, Matrix)
    assert isinstance(type.cols, int)
    return type.cols


def kernel_plan(kernel: RowKernel) -> list[int]:
    """What the run time needs to know beyond the outputs: roles and lengths, as numbers.

    For each input its role (0 row, 1 side, 2 side used transposed, 3 scalar) and the class of its length (-1: one column); the
    number of values that are put together from columns, which count as further inputs, and for each its class, its columns
    but for pieces, and the number of pieces with the class-giving inputs of each (a bit mask); the number of slots of scratch
    memory and the class of each; for each output the class-giving inputs of its columns (of both factors of a product, as
    bit masks), and whether it is computed in the wide loop (a bit for each factor of a product).
    """
    from sysmlc.passes.rows.plan import slots

    plan = Plan(kernel.body, kernel.roles, kernel.outputs, (1 << len(kernel.roles)) - 1)
    numbers: list[int] = []
    has_length = {i for members in plan.lengths.classes().values() for i in members}
    for i, role in enumerate(kernel.roles):
        number = {"row": 0, "side": 2 if plan.lengths.side_is_transposed[i] else 1, "scalar": 3}[role]
        numbers += [number, plan.lengths.class_of_input(i) if i in has_length else -1]
    numbers.append(len(plan.lengths.assembled))
    for n, op in enumerate(plan.lengths.assembled):
        pieces = op.operands if op.name == "dml.cbind" else []
        numbers += [
            plan.lengths.class_of_input(len(kernel.roles) + n),
            0 if pieces else _taken(op),
            len(pieces),
        ]
        numbers += [mask(plan.lengths.sources[v]) for v in pieces]
    memory = slots(plan)
    numbers.append(len(memory))
    numbers += [-1 if length is None else length for _, length in memory]
    for output in plan.outputs:
        masks = [mask(plan.lengths.sources[v]) for v in output.values]
        wide = sum(1 << n for n, v in enumerate(output.values) if plan.kind[v] == "wide")
        numbers += [masks[0], masks[1] if len(masks) > 1 else 0, wide]
    return numbers


__all__ = ["LowerRows", "describe", "is_product", "kernel_plan", "variants"]
