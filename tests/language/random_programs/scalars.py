"""What scripts are made of: variables, pieces of script, and scalar expressions."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

Shape = tuple[int, int]
MOST = 26
"""Bits that values may have before a remainder makes them small again."""
EXACT_BINARY = (
    "+", "-", "*", "+", "-", "*", "min", "max", "<", "<=", ">", ">=", "==", "!=", "&", "|", "%%", "%/%",
)  # fmt: skip
EXACT_UNARY = ("abs", "sign", "round", "floor", "ceil", "-", "!")
APPROXIMATE = ("tanh", "sigmoid", "sin", "cos", "atan")


@dataclass
class Variable:
    """What the writer knows of a variable: `kind` is matrix, double, int, boolean, string or list."""

    name: str
    kind: str
    shape: Shape = (0, 0)
    exact: bool = True
    bits: int = 4


@dataclass
class Function:
    """A function that scripts may call."""

    name: str
    params: list[Variable]
    results: list[Variable]
    defaults: dict[str, str] = field(default_factory=dict)


@dataclass
class Expr:
    """A piece of script and a bound of what it computes."""

    text: str
    bits: int = 4
    exact: bool = True


class Scalars:
    """Writes scalar expressions over the variables it knows."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        self.count = 0
        self.inputs: dict[str, Any] = {}
        self.functions: list[Function] = []
        self.env: dict[str, Variable] = {}
        self.loops = 0
        self.fixed: set[str] = set()  # loop counters
        self.dims = [3]

    def some_matrix(self, depth: int, exact: bool = True) -> tuple[Expr, Shape]:
        """A matrix expression of some shape."""
        raise NotImplementedError

    def shape(self) -> Shape:
        return self.rng.choice(self.dims), self.rng.choice(self.dims)

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def known(self, kind: str, exact: bool = True) -> list[Variable]:
        return [v for v in self.env.values() if v.kind == kind and (v.exact or not exact)]

    def size(self, d: int) -> str:
        """A size as a number, or as that of a matrix."""
        found = [f"nrow({v.name})" for v in self.known("matrix", False) if v.shape[0] == d]
        found += [f"ncol({v.name})" for v in self.known("matrix", False) if v.shape[1] == d]
        return self.rng.choice(found) if found and self.rng.random() < 0.6 else str(d)

    def position(self, d: int) -> str:
        """A valid index into a dimension."""
        rng = self.rng
        if rng.random() < 0.3:
            ints = self.known("int")
            if ints:
                return f"1 + abs({rng.choice(ints).name}) %% {self.size(d)}"
        if rng.random() < 0.2:
            return self.size(d)
        return str(rng.randrange(1, d + 1))

    def int_(self, depth: int) -> Expr:
        rng = self.rng
        ints = self.known("int")
        kind = rng.randrange(7) if depth > 0 else rng.randrange(3)
        if kind == 0 and ints:
            v = rng.choice(ints)
            return Expr(v.name, v.bits)
        if kind <= 1:
            return Expr(str(rng.randrange(7)), 3)
        matrices = self.known("matrix", False)
        if kind == 2 and matrices:
            return Expr(f"{rng.choice(('nrow', 'ncol', 'length'))}({rng.choice(matrices).name})", 12)
        if kind == 3:
            return Expr(f"as.integer({self.double(depth - 1).text})", MOST)
        if kind == 4:
            lists = self.known("list")
            if lists:
                return Expr(f"length({rng.choice(lists).name})", 4)
        a, b = self.int_(depth - 1), self.int_(depth - 1)
        op = rng.choice(("+", "-", "*", "%%", "%/%", "min", "max"))
        if op in ("%%", "%/%"):
            return self.small(Expr(f"({a.text} {op} (abs({b.text}) + 1))", a.bits + 1))
        if op in ("min", "max"):
            return self.small(Expr(f"{op}({a.text}, {b.text})", max(a.bits, b.bits)))
        return self.small(
            Expr(f"({a.text} {op} {b.text})", a.bits + b.bits if op == "*" else max(a.bits, b.bits) + 1)
        )

    def double(self, depth: int, exact: bool = True) -> Expr:
        rng = self.rng
        kind = rng.randrange(8) if depth > 0 else rng.randrange(3)
        if kind == 0:
            v = rng.choice(self.known("double", exact) or [None])  # type: ignore[list-item]
            if v is not None:
                return Expr(v.name, v.bits, v.exact)
        if kind <= 1:
            return Expr(f"{rng.randrange(-4, 5)}.0", 3)
        matrices = self.known("matrix", exact)
        if kind <= 3 and matrices:
            v = rng.choice(matrices)
            return Expr(
                f"as.scalar({v.name}[{self.position(v.shape[0])}, {self.position(v.shape[1])}])",
                v.bits,
                v.exact,
            )
        if kind <= 5 and matrices:
            e, (rows, cols) = self.some_matrix(depth - 1, exact)
            fn = rng.choice(("sum", "sum", "min", "max", *(() if exact else ("mean", "sd", "var"))))
            return self.small(
                Expr(
                    f"{fn}({e.text})",
                    e.bits + (rows * cols).bit_length(),
                    e.exact and fn not in ("mean", "sd", "var"),
                )
            )
        if kind == 6:
            return Expr(f"as.double({self.int_(depth - 1).text})", MOST)
        a, b = self.double(depth - 1, exact), self.double(depth - 1, exact)
        op = rng.choice(("+", "-", "*", "min", "max", "%%", "%/%"))
        return self.small(self.combined(op, a, b))

    def boolean(self, depth: int) -> Expr:
        rng = self.rng
        kind = rng.randrange(5)
        booleans = self.known("boolean")
        if (kind == 0 or depth <= 0) and booleans:
            return Expr(rng.choice(booleans).name)
        if kind == 1:
            return Expr(rng.choice(("TRUE", "FALSE")))
        if kind == 2 and depth > 0:
            return Expr(f"({self.boolean(depth - 1).text} {rng.choice('&|')} {self.boolean(depth - 1).text})")
        if kind == 3 and depth > 0:
            return Expr(f"(!{self.boolean(depth - 1).text})")
        op = rng.choice(("<", "<=", ">", ">=", "==", "!="))
        sides = rng.choice((self.int_, self.double, self.string))
        return Expr(f"({sides(depth - 1).text} {op} {sides(depth - 1).text})")

    def string(self, depth: int) -> Expr:
        rng = self.rng
        strings = self.known("string")
        kind = rng.randrange(6)
        if kind == 0 and strings:
            return Expr(rng.choice(strings).name)
        if kind == 1 or depth <= 0:
            return Expr(rng.choice(('""', '"x"', '"it\'s\\t"', "'größe'")))
        if kind == 2:
            e, _ = self.some_matrix(depth - 1)
            return Expr(f"toString({e.text}, rows=3, cols=3)")
        part = rng.choice((self.int_, self.double, self.boolean, self.string))(depth - 1)
        return Expr(f'("{rng.choice("pqr")}" + {part.text})')

    def small(self, e: Expr) -> Expr:
        """The expression, or its remainder where it may have become big."""
        if e.bits <= MOST:
            return e
        return self.tiny(e)

    def tiny(self, e: Expr) -> Expr:
        """A value that is surely small."""
        return Expr(f"({e.text} %% 13)", 4, True) if e.exact else Expr(f"tanh({e.text})", 1, False)

    def combined(self, op: str, a: Expr, b: Expr) -> Expr:
        """A binary operator; those that depend on every bit get exact operands."""
        exact = a.exact and b.exact
        if op in ("min", "max"):
            return Expr(f"{op}({a.text}, {b.text})", max(a.bits, b.bits), exact)
        if op in ("%%", "%/%"):
            if not exact:
                return Expr(f"({a.text} / (abs({b.text}) + 1))", a.bits, False)
            return Expr(f"({a.text} {op} {self.rng.choice((2, 3, 7, -3))})", a.bits + 1)
        if op in ("+", "-"):
            return Expr(f"({a.text} {op} {b.text})", max(a.bits, b.bits) + 1, exact)
        if op == "*" or not exact:
            return Expr(f"({a.text} * {b.text})", a.bits + b.bits, exact)
        return Expr(f"({a.text} {op} {b.text})", 1)
