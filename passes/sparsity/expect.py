"""Expected non-zeros of the values of a program, found on demand from the operations that make them."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.dialects.shapes import constant, constant_int
from sysmlc.ir.types import Dim, Matrix
from sysmlc.passes.sparsity.cells import Fact, body, cellwise
from sysmlc.passes.sparsity.sketch import Sketch

TYPICAL: Final = 1000
"""What a size is taken to be that is not known: shares of non-zeros depend little on it."""
_ROUNDS: Final = 4
"""A matrix that still fills up after so many rounds of a loop counts as full."""
_STEADY: Final = 1.05
"""What grows by less in a round is taken to stay as it is."""
_DEEPEST: Final = 200
"""Longer ways to what a value is made of are not followed."""


def _size(dim: Dim) -> int:
    return dim if isinstance(dim, int) else TYPICAL


class Expectations:
    """Sketches of values, each found once. Valid as long as what makes the values does not change."""

    def __init__(self) -> None:
        self._known: dict[Value, Sketch] = {}
        self._supposed: dict[tuple[Value, float], Expectations] = {}
        self._depth = 0

    def supposing(self, value: Value, share: float) -> Expectations:
        """What else is to be expected if a matrix has this share of non-zeros; every question is answered once."""
        found = self._supposed.get((value, share))
        if found is None:
            type = value.type
            assert isinstance(type, Matrix)
            rows, cols = _size(type.rows), _size(type.cols)
            found = self._supposed[value, share] = Expectations()
            found._known[value] = Sketch.spread(rows, cols, share * rows * cols)
        return found

    def density(self, value: Value) -> float:
        """The expected share of non-zeros; 1 where nothing is known."""
        return self.sketch(value).density if isinstance(value.type, Matrix) else 1.0

    def sketch(self, value: Value) -> Sketch:
        """The sketch of a matrix, never above the bound its type gives."""
        found = self._known.get(value)
        if found is not None:
            return found
        made = self._known[value] = _all_of(value)  # what a cycle finds
        loop = _carrier(value)
        if self._depth < _DEEPEST:
            self._depth += 1
            if loop is not None:
                made = self._carried(loop)[value]
            elif value.op is not None:
                made = self._made(value.op, value, made.rows, made.cols).limited()
            self._depth -= 1
        self._known[value] = made = _bounded(made, value)
        return made

    def _carried(self, loop: Op) -> dict[Value, Sketch]:
        """What a loop carries: what it starts with, and what rounds make of that, until no round adds anything.

        Each trial has expectations of its own for what is inside, since they follow from what is assumed.
        """
        sources: dict[Value, list[Value]] = {}
        for source, target in loop.flow():
            if isinstance(target.type, Matrix):
                sources.setdefault(target, []).append(source)
        known = {v: s for v, s in self._known.items() if v not in sources and not _is_within(v, loop)}
        assumed = {t: _all_of(t) for t in sources}
        for target, values in sources.items():
            starts = [v for v in values if not _is_within(v, loop)]
            begun = [self.sketch(v) for v in starts] or [assumed[v] for v in values if v in sources]
            assumed[target] = min(begun, key=_density, default=assumed[target])
        for number in range(_ROUNDS + 1):
            open = [t for t in sources if assumed[t].density < 1.0]  # what is full cannot grow
            if not open:
                break
            trial = Expectations()
            trial._depth = self._depth
            trial._known = {**known, **assumed}
            found = {t: max([trial.sketch(v) for v in sources[t]], key=_density) for t in open}
            grown = [t for t in open if found[t].density > assumed[t].density * _STEADY]
            if not grown:
                self._known.update(trial._known)  # what follows from the truth is true
                break
            assumed.update({t: found[t] if number < _ROUNDS else _all_of(t) for t in grown})
        self._known.update({t: _bounded(s, t) for t, s in assumed.items()})
        return assumed

    def fact(self, value: Value) -> Fact:
        """The sketch of a matrix, or the number a scalar is, when it is known."""
        if isinstance(value.type, Matrix):
            return self.sketch(value)
        known = constant(value)
        return float(known) if isinstance(known, (int, float)) else None

    def _made(self, op: Op, value: Value, rows: int, cols: int) -> Sketch:
        if "cellwise" in op.traits and op.dialect == "dml":
            return cellwise(op.fn, [self.fact(v) for v in op.operands], rows, cols)
        maker = _MAKERS.get(op.name)
        made = None if maker is None else maker(self, op, value, rows, cols)
        return Sketch.spread(rows, cols, rows * cols) if made is None else made


def _carrier(value: Value) -> Op | None:
    """The loop that carries a value from round to round, or leaves it behind."""
    op = value.owner if isinstance(value.owner, Op) else value.owner.parent
    return op if op is not None and op.name in ("scf.for", "scf.while", "scf.parfor") else None


def _is_within(value: Value, loop: Op) -> bool:
    region = value.region
    while region is not None and region.parent is not None:
        if region.parent is loop:
            return True
        region = region.parent.parent
    return False


def _density(sketch: Sketch) -> float:
    return sketch.density


def _all_of(value: Value) -> Sketch:
    type = value.type
    assert isinstance(type, Matrix)
    rows, cols = _size(type.rows), _size(type.cols)
    return Sketch.spread(rows, cols, rows * cols)


def _bounded(made: Sketch, value: Value) -> Sketch:
    """A sketch in the sizes of a value, and not above the bound of its type."""
    type = value.type
    assert isinstance(type, Matrix)
    rows, cols = _size(type.rows), _size(type.cols)
    if (made.rows, made.cols) != (rows, cols):  # sizes are not known
        made = Sketch.spread(rows, cols, made.density * rows * cols, made.most_in_row)
    if type.nnz is None or made.nnz <= type.nnz:
        return made
    if made.density == 1:
        return Sketch.spread(rows, cols, float(type.nnz), made.most_in_row)
    return made.scaled_to(type.nnz)


def is_open(value: Value, expected: Expectations) -> bool:
    """Whether a matrix comes from outside, and nothing is known of its non-zeros. What a loop carries is made in there."""
    type = value.type
    assert isinstance(type, Matrix)
    if value.op is None:
        outside = _carrier(value) is None
    else:
        outside = value.op.name in ("dml.read_matrix", "dml.input", "core.call")
    unknown = type.nnz is None and type.format != "dense" and 1 not in (type.rows, type.cols)
    return outside and unknown and expected.density(value) == 1.0


Maker = Callable[[Expectations, Op, Value, int, int], Sketch | None]


def _same(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    return e.sketch(op.operands[0])


def _rand(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    share = constant(op.operands[4])
    if not isinstance(share, (int, float)):
        return None
    return Sketch.spread(rows, cols, rows * cols * min(1.0, max(0.0, float(share))))


def _fill(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    return Sketch.spread(rows, cols, 0.0, 0.0) if constant(op.operands[0]) == 0 else None


def _text(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    known = constant(op.operands[0])
    words = known.split() if isinstance(known, str) else []
    if len(words) != rows * cols or not any(w.strip("+-0.") == "" for w in words):
        return None
    import numpy as np

    return Sketch.of(np.array([w.strip("+-0.") != "" for w in words]).reshape(rows, cols))


def _input(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    most, filled = op.attrs.get("most_in_row", -1), op.attrs.get("filled", 1.0)
    assert isinstance(most, int)
    assert isinstance(filled, float)
    if most >= 0:
        return Sketch.spread(rows, cols, min(rows * most, rows * cols), float(most))
    return Sketch.spread(rows, cols, rows * cols * filled)


def _t(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    return e.sketch(op.operands[0]).t()


def _rev(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    x = e.sketch(op.operands[0])
    if isinstance(x.by_row, float):
        return x
    return Sketch(x.rows, x.cols, x.by_row[::-1], x.by_col, x.most_in_row, x.most_in_col)


def _diag(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    return e.sketch(op.operands[0]).diag()


def _index(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    x = e.sketch(op.operands[0])
    rl, ru, cl, cu = (constant_int(v) for v in op.operands[1:])
    if rl is None or ru is None or not 1 <= rl <= ru <= x.rows:
        x = Sketch.spread(rows, x.cols, x.density * rows * x.cols, x.most_in_row)
        rl, ru = 1, rows
    if cl is None or cu is None or not 1 <= cl <= cu <= x.cols:
        x = Sketch.spread(x.rows, cols, x.density * x.rows * cols, x.most_in_row)
        cl, cu = 1, cols
    return x.part((rl - 1, ru), (cl - 1, cu))


def _update(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    x = e.sketch(op.operands[0])
    added = e.sketch(op.operands[1]).nnz if op.name == "dml.left_index" else 1.0
    return Sketch.spread(rows, cols, min(rows * cols, x.nnz + added))


def _stack(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    first, *rest = (e.sketch(v) for v in op.operands)
    for x in rest:
        if op.name == "dml.rbind":
            first = first.rbind(x if x.cols == first.cols else x.stretched(x.rows, first.cols))
        else:
            first = first.cbind(x if x.rows == first.rows else x.stretched(first.rows, x.cols))
    return first


def _reshape(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    x = e.sketch(op.operands[0])
    if x.rows * x.cols != rows * cols:
        return Sketch.spread(rows, cols, x.density * rows * cols)
    return x.t().reshape(cols, rows).t() if constant(op.operands[3]) is False else x.reshape(rows, cols)


def _matmul(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    left, *rights = op.operands
    a, b = e.sketch(left), e.sketch(rights[value.index] if rights else left)
    turned = "l" if op.name == "dml.tsmm" else str(op.attrs.get("transpose", ""))
    a, b = a.t() if "l" in turned else a, b.t() if "r" in turned else b
    if a.cols != b.rows:
        return None
    return a.matmul(b)


def _table(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    n, maker = e.sketch(op.operands[0]).rows, op.operands[0].op
    nnz = min(float(n), float(rows * cols))
    return Sketch.spread(rows, cols, nnz, 1.0 if maker is not None and maker.name == "dml.seq" else float(n))


def _aggregate(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    if op.fn not in ("sum", "sumsq", "mean"):
        return None
    x = e.sketch(op.operands[0])
    return x.row_totals() if op.attrs.get("dir") == "row" else x.t().row_totals().t()


def _triangle(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    x = e.sketch(op.operands[0])
    return x.scaled_to(x.nnz / 2)


def _replace(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    return None if constant(op.operands[1]) in (0, None) else e.sketch(op.operands[0])


def _branch(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    ends = [e.sketch(r.terminator.operands[value.index]) for r in op.regions]
    return max(ends, key=lambda s: s.density)


def _cell(e: Expectations, op: Op, value: Value, rows: int, cols: int) -> Sketch | None:
    outputs = op.attrs["outputs"]
    assert isinstance(outputs, tuple)
    kind = str(outputs[value.index])
    facts = [e.fact(v) for v in op.operands]
    shapes = [(f.rows, f.cols) for f in facts if isinstance(f, Sketch)]
    shape = max(r for r, _ in shapes), max(c for _, c in shapes)
    made = body(op.regions[0], facts, *shape)[value.index]
    if kind == "map":
        return made if isinstance(made, Sketch) else None
    if kind in ("row:sum", "col:sum") and isinstance(made, Sketch):
        return made.row_totals() if kind == "row:sum" else made.t().row_totals().t()
    return None


_MAKERS: Final[dict[str, Maker]] = {
    "dml.rand": _rand, "dml.fill": _fill, "dml.matrix_of_text": _text, "dml.input": _input, "dml.t": _t,
    "dml.rev": _rev, "dml.roll": _same, "dml.diag": _diag, "dml.index": _index, "dml.left_index": _update,
    "dml.set_cell": _update, "dml.cbind": _stack, "dml.rbind": _stack, "dml.reshape": _reshape,
    "dml.matmul": _matmul, "dml.matmul_shared": _matmul, "dml.tsmm": _matmul, "dml.table": _table, "dml.lower_tri": _triangle,
    "dml.upper_tri": _triangle, "dml.replace": _replace, "scf.if": _branch, "fused.cell": _cell,
    "fused.convert": _same,
    **{f"dml.{fn}": _aggregate for fn in ("sum", "sumsq", "mean")},
}  # fmt: skip
