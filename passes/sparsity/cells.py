"""What cellwise operations make of sketches: on whole matrices, and in the bodies of fused regions."""

from __future__ import annotations

from sysmlc.ir.core import Op, Region, Value
from sysmlc.passes.sparsity.sketch import Sketch

Fact = Sketch | float | None
"""A matrix, a scalar that is known, or one that is not."""
KEEPS_ZERO = frozenset({
    "abs", "neg", "sqrt", "sin", "tan", "asin", "atan", "sinh", "tanh", "round", "floor", "ceil", "sign",
    "isna", "isnan", "isinf", "cast",
})  # fmt: skip
_MEETS = frozenset({"mul", "and", "bitand"})
_UNITES = frozenset({"add", "sub", "min", "max", "ne", "or", "xor", "bitor", "bitxor"})
_KEEPS_FIRST = frozenset({"div", "intdiv", "mod", "shiftl", "shiftr"})


def cellwise(fn: str, args: list[Fact], rows: int, cols: int) -> Sketch:
    """The sketch of a cellwise operation on matrices and scalars, for a result of this shape."""
    full = Sketch.spread(rows, cols, rows * cols)
    shaped = [_fitted(a, rows, cols) for a in args]
    first = shaped[0]
    if fn == "not":
        return _complement(first) if isinstance(first, Sketch) else full
    if len(shaped) == 1:
        return first if fn in KEEPS_ZERO and isinstance(first, Sketch) else full
    if fn == "ifelse":
        return _choice(shaped, full)
    second = shaped[1]
    if isinstance(first, Sketch) and isinstance(second, Sketch):
        if fn in _MEETS:
            return first.mul(second)
        if fn in _UNITES:
            return first.add(second)
        if fn == "eq":
            return _complement(first.add(second))
        return first if fn in _KEEPS_FIRST or fn == "pow" else full
    if isinstance(first, Sketch):
        assert not isinstance(second, Sketch)
        return _with_scalar(fn, first, second, full)
    return second if fn in _MEETS and isinstance(second, Sketch) else full


def _with_scalar(fn: str, x: Sketch, c: float | None, full: Sketch) -> Sketch:
    if fn in _MEETS:
        return x if c != 0 else x.scaled_to(0.0)
    if fn in _KEEPS_FIRST or (fn == "pow" and c is not None and c > 0):
        return x
    if c is None:
        return full
    if fn == "eq":
        return _complement(x) if c == 0 else x
    keeps = (
        (c == 0 and fn in ("add", "sub", "min", "max", "ne", "gt", "lt", "or", "xor"))
        or (c > 0 and fn in ("gt", "ge", "min"))
        or (c < 0 and fn in ("lt", "le", "max"))
    )
    return x if keeps else full


def _choice(args: list[Fact], full: Sketch) -> Sketch:
    condition, yes, no = args
    if not isinstance(condition, Sketch):
        return full
    parts = [a if isinstance(a, Sketch) else a == 0 for a in (yes, no)]
    if parts[1] is True:  # zeros where the condition is false
        return condition.mul(parts[0]) if isinstance(parts[0], Sketch) else condition
    if isinstance(parts[0], Sketch) and isinstance(parts[1], Sketch):
        return parts[0].add(parts[1])
    return parts[1] if parts[0] is True and isinstance(parts[1], Sketch) else full


def _complement(x: Sketch) -> Sketch:
    return Sketch.spread(x.rows, x.cols, x.rows * x.cols - x.nnz)


def _fitted(fact: Fact, rows: int, cols: int) -> Fact:
    if isinstance(fact, Sketch) and (fact.rows, fact.cols) != (rows, cols):
        return fact.stretched(rows, cols)
    return fact


def body(region: Region, inputs: list[Fact], rows: int, cols: int) -> list[Fact]:
    """What a region of cellwise operations yields when its arguments are these."""
    known = inside(region, inputs, rows, cols)
    return [known[v] for v in region.terminator.operands]


def inside(region: Region, inputs: list[Fact], rows: int, cols: int) -> dict[Value, Fact]:
    """What every value of a region of cellwise operations is when its arguments are these."""
    known: dict[Value, Fact] = dict(zip(region.args, inputs, strict=True))
    for op in region:
        if op.results:
            known[op.results[0]] = _inner(op, [known[v] for v in op.operands], rows, cols)
    return known


def _inner(op: Op, args: list[Fact], rows: int, cols: int) -> Fact:
    if op.name == "core.constant":
        value = op.attrs["value"]
        return float(value) if isinstance(value, (int, float)) else None
    if not any(isinstance(a, Sketch) for a in args):
        return args[0] if op.fn == "cast" else None
    return cellwise(op.fn, args, rows, cols)
