"""Index arithmetic: sums of whole multiples of values and sizes, and what is known of their order."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Binary
from sysmlc.ir.dialects.dml_matrix import NCol, NRow
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.types import Dim, Matrix, i64

Atom = Value | str
"""An i64 value, or the name of a size."""

_SIZED = {"dml.fill": (1, 2), "dml.reshape": (1, 2), "dml.rand": (0, 1)}
"""Operands that are the rows and columns of a result."""


@dataclass(frozen=True)
class Affine:
    """`const` and a sum of whole multiples of atoms."""

    const: int = 0
    terms: Mapping[Atom, int] = field(default_factory=dict)

    def __add__(self, other: Affine | int) -> Affine:
        if isinstance(other, int):
            return Affine(self.const + other, self.terms)
        terms = dict(self.terms)
        for atom, factor in other.terms.items():
            terms[atom] = terms.get(atom, 0) + factor
        return Affine(self.const + other.const, {a: k for a, k in terms.items() if k})

    def __sub__(self, other: Affine | int) -> Affine:
        return self + (-other if isinstance(other, int) else other.times(-1))

    def times(self, factor: int) -> Affine:
        return Affine(self.const * factor, {a: k * factor for a, k in self.terms.items() if factor})

    def factor(self, atom: Atom) -> int:
        return self.terms.get(atom, 0)

    def put(self, atom: Atom, value: Affine) -> Affine:
        """With `value` for `atom`."""
        factor = self.factor(atom)
        return Affine(self.const, {a: k for a, k in self.terms.items() if a is not atom}) + value.times(
            factor
        )

    def known(self) -> int | None:
        return None if self.terms else self.const


def at_most(small: Affine, large: Affine) -> bool | None:
    """Whether `small <= large`, None when that is not known. Named sizes are not negative."""
    gap = large - small
    if not gap.terms:
        return gap.const >= 0
    if all(isinstance(a, str) for a in gap.terms):
        if gap.const >= 0 and all(k > 0 for k in gap.terms.values()):
            return True
        if gap.const < 0 and all(k < 0 for k in gap.terms.values()):
            return False
    return None


class Integers:
    """The i64 values of a function as affine forms."""

    def __init__(self) -> None:
        self.forms: dict[Value, Affine] = {}
        self.sources: dict[str, list[tuple[Value, bool]]] = {}
        """For names of sizes, matrices that have them: as their rows (else columns)."""
        self.counted: dict[Value, Affine] = {}
        """The rows of sequences that stand for a counter."""
        self.whole: set[Value] = set()
        """Numbers that are whole, made to be cast to integers."""

    def of(self, value: Value) -> Affine:
        found = self.forms.get(value)
        if found is None:
            found = self.forms[value] = self._form(value)
        return found

    def _form(self, value: Value) -> Affine:
        known = constant_int(value)
        if known is not None:
            return Affine(known)
        op = value.op
        if op is not None and value.type is i64:
            if op.name in ("dml.nrow", "dml.ncol"):
                return self.size(op.operands[0], op.name == "dml.nrow")
            if op.name == "dml.neg":
                return self.of(op.operands[0]).times(-1)
            if op.name in ("dml.add", "dml.sub"):
                left, right = (self.of(v) for v in op.operands)
                return left + right if op.name == "dml.add" else left - right
            if op.name == "dml.mul":
                for one, other in (op.operands, op.operands[::-1]):
                    factor = self.of(one).known()
                    if factor is not None:
                        return self.of(other).times(factor)
        return Affine(0, {value: 1})

    def size(self, value: Value, rows: bool) -> Affine:
        """The rows or columns of a matrix."""
        op, type = value.op, value.type
        assert isinstance(type, Matrix)
        dim = type.rows if rows else type.cols
        if isinstance(dim, int):
            return Affine(dim)
        if op is not None and op.name == "dml.index":
            low, high = (self.of(v) for v in (op.operands[1:3] if rows else op.operands[3:5]))
            return high - low + 1
        if op is not None and op.name == "dml.t":
            return self.size(op.operands[0], not rows)
        if op is not None and op.name == "dml.outer":
            return self.size(op.operands[0 if rows else 1], rows)
        if op is not None and "cellwise" in op.traits:
            return self.size(next(v for v in op.operands if isinstance(v.type, Matrix)), rows)
        if rows and value in self.counted:
            return self.counted[value]
        if op is not None and op.name in _SIZED:
            return self.of(op.operands[_SIZED[op.name][0 if rows else 1]])
        return self.named(dim, value, rows)

    def named(self, dim: Dim, value: Value, rows: bool) -> Affine:
        """A dimension of `value` that is known at most by name."""
        name = dim if isinstance(dim, str) else f"{id(value)} {rows}"
        self.sources.setdefault(name, []).append((value, rows))
        return Affine(0, {name: 1})

    def emit(self, form: Affine, b: Builder, sees: Callable[[Value], bool]) -> Value | None:
        """The operations that compute `form` from values that `sees` accepts; None when it takes others."""
        result: Value | None = None
        for atom, factor in form.terms.items():
            if isinstance(atom, str):
                source = next((s for s in self.sources[atom] if sees(s[0])), None)
                if source is None:
                    return None
                term = b(NRow if source[1] else NCol, source[0])
            elif sees(atom):
                term = atom
            else:
                return None
            if result is not None and abs(factor) == 1:
                result = b(Binary, "add" if factor > 0 else "sub", result, term)
                continue
            scaled = term if factor == 1 else b(Binary, "mul", term, b(Constant, value=factor))
            result = scaled if result is None else b(Binary, "add", result, scaled)
        if result is None or form.const:
            const = b(Constant, value=abs(form.const) if result is not None else form.const)
            result = const if result is None else b(Binary, "add" if form.const > 0 else "sub", result, const)
        return result
