"""Grow groups of operations that one scan over the rows of a matrix can do.

From the scanned matrix on, an operation joins when it needs only the current row: of the matrix, of what members made of
it, and of other matrices with as many rows (or one); and sides that fit into the cache. Products with the transpose of a row
value, sums of columns and full aggregates close the scan: nothing that needs their result can join. What depends on sizes that
types do not tell becomes a condition to be checked at run time.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field
from heapq import heappop, heappush

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, IfElse, Unary
from sysmlc.ir.dialects.dml_create import Fill
from sysmlc.ir.dialects.dml_matrix import CBind, Index, MatMul
from sysmlc.ir.dialects.dml_stat import RowIndex
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.types import NUMBERS, Dim, Matrix, same_dim
from sysmlc.passes.estimate import SPARSE
from sysmlc.passes.rows.fits import Fit, Size, fits, product_factors
from sysmlc.passes.rows.order import Order, Tainted
from sysmlc.passes.sparsity import Expectations

MAX_NARROW = 32
"""Columns of a side: beyond that a product is better left to the library."""
MAX_SIDE = 1 << 18
"""Cells of a side that stay in the cache while rows pass by."""
MANY = 8
"""Columns of a side from which a product is mostly arithmetic, where the library is better unless the scan is what costs."""
LARGE = 1 << 15
"""Cells of a matrix whose scan costs something."""
ROW_REDUCTIONS = frozenset({"sum", "sumsq", "prod", "min_of", "max_of"})
FULL_REDUCTIONS = frozenset({"sum", "sumsq", "min_of", "max_of"})
COLUMN_REDUCTIONS = frozenset({"sum", "sumsq"})

Guard = tuple[str, Value]
"""A condition: `single` (one column), `cheap` (less than MANY columns, or a LARGE scan), `narrow` (at most MAX_NARROW columns), `small`
(at most MAX_SIDE cells), `rows` or `cols` (as many as the scanned matrix) of a value; with ` rows`, of a transposed value.
`some rows`: at least one. `thin n`: less than MANY columns, or the scanned matrix at most n."""


@dataclass
class RowGroup:
    """Operations that one scan over the rows of `main` does, in program order."""

    main: Value
    expected: Expectations
    single: bool = False
    """Whether sides of unknown width are taken to have one column."""
    members: dict[Op, None] = field(default_factory=dict)
    kind: dict[Value, str] = field(default_factory=dict)
    """Of row values: wide, narrow or single."""
    level: dict[Value, int] = field(default_factory=dict)
    """How many reductions over columns come before a row value."""
    sides: dict[Value, None] = field(default_factory=dict)
    lines: set[Value] = field(default_factory=set)
    """Matrices that are read along and may have one row only, the same for all: nothing is made of them alone."""
    guards: dict[Guard, None] = field(default_factory=dict)
    fits: dict[Fit, None] = field(default_factory=dict)
    per_op: dict[Op, tuple[list[Guard], list[Value], list[Value]]] = field(default_factory=dict)
    """What each member brought along: conditions, rows of other matrices, sides."""
    depends_on_single: bool = False
    """Whether there was a side of unknown width: where there was none, `single` changes nothing."""

    def closes(self, op: Op) -> bool:
        """Whether the result of a member is complete only after the last row."""
        return product_factors(op) is not None or (isinstance(op, Aggregate) and op.dir != "row")

    def reads_wide(self, op: Op) -> bool:
        factors = product_factors(op)
        operands = op.operands if factors is None else factors
        return any(self.kind.get(v) == "wide" for v in operands)

    @property
    def is_certain(self) -> bool:
        """Whether nothing has to be asked at run time."""
        return not self.guards and not self.fits

    @property
    def conditions(self) -> frozenset[object]:
        """What is asked at run time, told by sizes: the same sizes of other values are the same condition."""

        def sizes(value: Value) -> tuple[object, object]:
            type = value.type
            assert isinstance(type, Matrix)
            return (value if type.rows is None else type.rows), (value if type.cols is None else type.cols)

        asked = {(what, *sizes(value), *sizes(self.main)) for what, value in self.guards}
        return frozenset(asked) | {(*map(_told, (fit.one, fit.other)), fit.repeated) for fit in self.fits}

    @property
    def rank(self) -> tuple[int, int]:
        """What makes a group better than another one: more members, then more scans that become one."""
        return len(self.members), self.scans

    @property
    def scans(self) -> int:
        """How often wide values would be read without the group: by each product, and by each level of cellwise operations.

        A place of an extreme counts twice, because the library looks for it cell by cell.
        """
        products = sum(isinstance(op, MatMul) for op in self.members)
        levels = set()
        for op in self.members:
            if isinstance(op, MatMul) or not self.reads_wide(op):
                continue
            if isinstance(op, (Aggregate, RowIndex)) or self.is_output(op):
                levels.add(max(self.level.get(v, 0) for v in op.operands))
        fed = any(
            self.kind.get(v) == "wide" and v is not self.main
            for op in self.members
            if isinstance(op, MatMul)
            for v in product_factors(op) or op.operands[:1]
        )
        slow = any(isinstance(op, RowIndex) and self.reads_wide(op) for op in self.members)
        return products + len(levels) + fed + slow

    def is_output(self, op: Op) -> bool:
        return any(u not in self.members for r in op.results for u in r.users())

    def outputs(self) -> list[Value]:
        """Results of members that are needed outside of the group."""
        return [op.results[0] for op in self.members if self.is_output(op)]


def _told(size: Size) -> object:
    return (size.axis, size.value) if size.known is None else size.known


def grow(order: Order, main: Value, single: bool = False, without: Collection[Op] = ()) -> RowGroup:
    """The largest group of a region that scans `main`, without what gains nothing from it and some operations."""
    group = RowGroup(main, order.expected, single)
    group.kind[main] = "wide"
    group.level[main] = 0
    tainted = Tainted(group, order)
    waiting = sorted(set(order.users(main)))
    seen = set(waiting)
    while waiting:
        place = heappop(waiting)
        op = order.ops[place]
        joined = op not in without and _join(group, op, tainted)
        read: list[Value] = group.per_op[op][1] if joined else []
        if (joined and not group.closes(op)) or (op.name == "dml.t" and op.operands[0] is main):
            read = [*read, op.results[0]]
        for user in (user for value in read for user in order.users(value)):
            if user > place and user not in seen:
                seen.add(user)
                heappush(waiting, user)
    _prune(group)
    _absorb(group)
    return group


def _join(group: RowGroup, op: Op, tainted: Tainted) -> bool:
    # What meets the group in a line only, which may be one row for all, need not have its rows.
    meets = any(v in group.kind and v not in group.lines for v in op.operands)
    if op.dialect != "dml" or not (meets or product_factors(op)):
        return False
    attempt = _Attempt(group, tainted)
    made = attempt.kind_of(op)
    if made is None:
        return False
    group.members[op] = None
    group.per_op[op] = (attempt.guards, attempt.rows, attempt.sides)
    if not group.closes(op):
        result = op.results[0]
        reduces = isinstance(op, MatMul) or (
            isinstance(op, (Aggregate, RowIndex)) and group.kind[op.operand] != "single"
        )
        group.level[result] = max(group.level.get(v, 0) for v in op.operands) + reduces
        group.kind[result] = made
    group.lines |= attempt.lines
    for value in attempt.rows:
        group.kind.setdefault(value, attempt.kinds[value])
        group.level.setdefault(value, 0)
    return True


class _Attempt:
    """Whether one operation can join, and what it takes."""

    def __init__(self, group: RowGroup, tainted: Tainted) -> None:
        self.group, self.tainted = group, tainted
        self.guards: list[Guard] = []
        self.rows: list[Value] = []
        self.sides: list[Value] = []
        self.kinds: dict[Value, str] = {}
        self.lines: set[Value] = set()

    def kind_of(self, op: Op) -> str | None:
        """The kind of the result (`closing` when the scan has to end first); None: it cannot join."""
        if any(v in self.tainted for v in op.operands) or self.tainted.follows(op):
            return None
        factors = product_factors(op)
        matrices = [v for v in op.operands if isinstance(v.type, Matrix)]
        leading = factors or (matrices[:1] if isinstance(op, Binary) else matrices)
        if not all(self.has_rows(v) for v in leading if v in self.group.lines):
            return None
        if factors is not None:
            return self.product(op, *factors)
        if isinstance(op, MatMul):
            return self.matmul(op)
        if isinstance(op, Aggregate):
            return self.aggregate(op)
        if isinstance(op, (Unary, Binary, IfElse)):
            return self.cellwise(op)
        if isinstance(op, RowIndex):
            kind = self.group.kind[op.operand]
            return None if kind == "single" or (kind == "wide" and self.is_sparse()) else "single"
        if isinstance(op, CBind):
            return self.cbind(op)
        return self.columns(op) if isinstance(op, Index) else None

    def cbind(self, op: CBind) -> str | None:
        """Few columns side by side."""
        assert isinstance(op.result.type, Matrix)
        if op.result.type.cols == 1 or is_less(MAX_NARROW, op.result.type.cols):
            return None
        for value in op.values:
            kind, constant = self.group.kind.get(value), is_constant_column(value, self.group.main)
            if kind == "wide" or value in self.group.sides:
                return None
            if kind is None and not constant and not self.row_of(value, "narrow", left=True):
                return None
        return "narrow"

    def columns(self, op: Index) -> str | None:
        """Some columns of all rows: of values with few columns, and of matrices."""
        kind = self.group.kind[op.operand]
        made = taken_columns(op)
        if made is None or kind == "single":
            return None
        if kind == "wide" and (op.operand.op in self.group.members or self.is_sparse()):
            return None
        self.guards += rows_of_range(op, self.group.main)
        return "single" if made == 1 else "narrow"

    def aggregate(self, op: Aggregate) -> str | None:
        if op.dir == "row":
            return "single" if op.fn in ROW_REDUCTIONS else None
        allowed = FULL_REDUCTIONS if op.dir == "full" else COLUMN_REDUCTIONS
        return "closing" if op.fn in allowed else None

    def matmul(self, op: MatMul) -> str | None:
        left, side = op.lhs, op.rhs
        if op.transpose not in ("", "r") or self.group.kind.get(left) != "wide" or side in self.group.kind:
            return None
        assert isinstance(side.type, Matrix)
        columns: Dim = side.type.rows if op.transpose else side.type.cols
        self.group.depends_on_single |= not isinstance(columns, int)
        if self.group.single and not isinstance(columns, int):
            self.guards.append(("single rows" if op.transpose else "single", side))
            columns = 1
        elif columns != 1:
            if isinstance(columns, int) and columns > MAX_NARROW:
                return None
            few, large = is_less(columns, MANY), is_less(LARGE - 1, self.main_cells())
            if few is False and large is False:
                return None
            if not few and not large:
                self.guards.append(("cheap rows" if op.transpose else "cheap", side))
            rows, cols = side.type.rows, side.type.cols
            if isinstance(rows, int) and isinstance(cols, int):
                if rows * cols > MAX_SIDE:
                    return None
            else:
                self.guards.append(("small", side))
            if not isinstance(columns, int):
                self.guards.append(("narrow rows" if op.transpose else "narrow", side))
        self.sides.append(side)
        return "single" if columns == 1 else "narrow"

    def is_sparse(self) -> bool:
        """Whether the scan goes along non-zeros, which is worth more than to read other cells with it."""
        return self.group.expected.density(self.group.main) < SPARSE

    def main_cells(self) -> Dim:
        main = self.group.main.type
        assert isinstance(main, Matrix)
        return main.rows * main.cols if isinstance(main.rows, int) and isinstance(main.cols, int) else None

    def product(self, op: Op, a: Value, b: Value) -> str | None:
        if a is b or (a in self.tainted) or (b in self.tainted):
            return None
        kinds = [self.group.kind.get(v) for v in (a, b)]
        if kinds == ["wide", "wide"] or kinds == [None, None]:
            return None
        for value, kind in zip((a, b), kinds, strict=True):
            if kind is None and not self.row_of(value, "narrow", left=True):
                return None
        return "closing"

    def cellwise(self, op: Op) -> str | None:
        members = [self.group.kind[v] for v in op.operands if v in self.group.kind]
        if any(v.type not in NUMBERS for v in op.operands if not isinstance(v.type, Matrix)):
            return None
        kind = "wide" if "wide" in members else "narrow" if "narrow" in members else "single"
        if "wide" in members and "narrow" in members:
            return None
        widest = kind
        for i, value in enumerate(op.operands):
            if value in self.group.kind or not isinstance(value.type, Matrix):
                continue
            if value in self.group.sides:
                return None
            beside = kind if kind != "single" else "narrow"
            # The result has the shape of the left operand.
            if not self.row_of(value, beside, left=i == 0 or isinstance(op, IfElse)):
                return None
            if kind == "single":
                widest = "narrow" if self.kinds[value] == "narrow" or widest == "narrow" else widest
                if self.kinds[value] == "wide":
                    return None
        result = op.results[0].type
        if kind == "single" and isinstance(result, Matrix) and result.cols == 1:
            return "single"
        return widest

    def has_rows(self, value: Value) -> bool:
        """Whether a matrix has as many rows as the scanned one, or may have: then it becomes a condition. Row vectors hardly have."""
        type, main = value.type, self.group.main.type
        assert isinstance(type, Matrix)
        assert isinstance(main, Matrix)
        if same_dim(type.rows, main.rows):
            return True
        if 1 in (type.rows, main.rows) or (isinstance(type.rows, int) and isinstance(main.rows, int)):
            return False
        self.guards.append(("rows", value))
        return True

    def row_of(self, value: Value, beside: str, left: bool) -> bool:
        """Whether rows of another matrix can be read along."""
        type, main = value.type, self.group.main.type
        assert isinstance(type, Matrix)
        assert isinstance(main, Matrix)
        if left and not self.has_rows(value):
            return False
        if not left and not same_dim(type.rows, main.rows):
            self.lines.add(value)
        if type.cols == 1:
            self.kinds[value] = "single"
        elif beside == "wide":
            self.kinds[value] = "wide"
            if left and not same_dim(type.cols, main.cols):
                self.guards.append(("cols", value))
        else:
            if isinstance(type.cols, int) and type.cols > MAX_NARROW:
                return False
            self.kinds[value] = "narrow"
            if not isinstance(type.cols, int):
                self.guards.append(("narrow", value))
        self.rows.append(value)
        return True


def taken_columns(op: Index) -> int | None:
    """How many columns a range takes of all rows; None unless it is known that they are there, and few."""
    source, made = op.operand.type, op.result.type
    assert isinstance(source, Matrix)
    assert isinstance(made, Matrix)
    low, high = constant_int(op.cl), constant_int(op.cu)
    if constant_int(op.rl) != 1 or source.rows == 0 or not same_dim(source.rows, made.rows):
        return None
    if low is None or high is None or not isinstance(source.cols, int) or not 1 <= low <= high <= source.cols:
        return None
    return high - low + 1 if high - low < MAX_NARROW else None


def rows_of_range(op: Index, main: Value) -> list[Guard]:
    """The condition that there are rows to take columns of: a range of none is an error."""
    source = op.operand.type
    assert isinstance(source, Matrix)
    return [] if isinstance(source.rows, int) else [("some rows", main)]


def is_constant_column(value: Value, main: Value) -> bool:
    """Whether the value is a column with one number in all rows that `main` has."""
    op, type = value.op, value.type
    assert isinstance(type, Matrix)
    assert isinstance(main.type, Matrix)
    return isinstance(op, Fill) and type.cols == 1 and same_dim(type.rows, main.type.rows)


def is_less(a: Dim, b: Dim) -> bool | None:
    """Whether a size is less than another; None when that is not known."""
    return a < b if isinstance(a, int) and isinstance(b, int) else None


def _prune(group: RowGroup) -> None:
    """Leave out what other operators do as well: cellwise results that no member needs, unless they save a scan."""
    changed = True
    while changed:
        changed = False
        for op in reversed(list(group.members)):
            reduces = isinstance(op, (MatMul, Aggregate, RowIndex))
            if reduces or any(u in group.members for u in op.results[0].users()):
                continue
            result = op.results[0]
            kind, first = group.kind[result], group.level[result] == 0
            if kind == "single" or first:
                del group.members[op]
                changed = True
    read = {v for op in group.members for v in (product_factors(op) or op.operands)}
    for op, (guards, _, sides) in group.per_op.items():
        # A matrix that is read along needs its conditions also where the operation that brought it along was left out.
        group.guards.update((g, None) for g in guards if op in group.members or g[1] in read)
        if op in group.members:
            group.sides.update(dict.fromkeys(sides))
    if group.main not in read:
        group.members.clear()
    group.fits = dict.fromkeys(fits(group.members, group.guards))
    if any(fit.is_impossible for fit in group.fits):  # with sides of one column, say
        group.members.clear()


def _absorb(group: RowGroup) -> None:
    """Take ranges of columns of other matrices along, which would be copied only to be read here.

    Not those that are as wide as the scanned matrix: what is put together from columns is narrow.
    """
    main = group.main.type
    assert isinstance(main, Matrix)
    first: dict[Op, None] = {}
    here = {op.parent for op in group.members}
    for op in [value.op for member in group.members for value in member.operands]:
        if not isinstance(op, Index) or op in group.members or op in first or op.operand in group.sides:
            continue
        source = op.operand.type
        assert isinstance(source, Matrix)
        inside = op.parent in here and all(u in group.members for u in op.result.users())
        inside = inside and op.result not in group.sides and group.kind.get(op.result) != "wide"
        if inside and op.operand not in group.kind and taken_columns(op) and same_dim(source.rows, main.rows):
            first[op] = None
            group.per_op[op] = ([], [op.operand], [])
            group.guards.update(dict.fromkeys(rows_of_range(op, group.main)))
    group.members = {**first, **group.members}
