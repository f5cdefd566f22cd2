"""Random DML scripts that are meant to run: the writer knows the type, the shape and the size of everything it writes.

Values are either exact (whole numbers small enough that no order of evaluation rounds) or approximate. Only exact values
decide anything (conditions, indices, prints), so scripts do the same however they are compiled, and results compare.
"""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy import sparse

Shape = tuple[int, int]
MOST = 26
"""Bits that values may have before a remainder makes them small again."""
EXACT_BINARY = (
    "+",
    "-",
    "*",
    "+",
    "-",
    "*",
    "min",
    "max",
    "<",
    "<=",
    ">",
    ">=",
    "==",
    "!=",
    "&",
    "|",
    "%%",
    "%/%",
)
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


class Writer:
    """Writes one script and makes its inputs."""

    def __init__(self, rng: random.Random, statements: int = 12) -> None:
        self.rng = rng
        self.count = 0
        self.inputs: dict[str, Any] = {}
        self.functions: list[Function] = []
        self.env: dict[str, Variable] = {}
        self.loops = 0
        self.fixed: set[str] = set()  # loop counters
        dims = [d for d in (1, 2, 3, 4, 6, 9) if rng.random() < 0.6] or [3]
        self.dims = dims[:3] + ([40] if rng.random() < 0.2 else [])
        lines = [line for _ in range(rng.randrange(3)) for line in self.function()]
        for i in range(rng.randrange(1, 4)):
            self.matrix_input(f"X{i}")
        for name, kind, value in (("n", "int", rng.randrange(5)), ("s", "double", float(rng.randrange(-4, 5))),
                                  ("b", "boolean", rng.random() < 0.5), ("w", "string", rng.choice(("", "a b", "é\"\\")))):  # fmt: skip
            self.inputs[name] = value
            self.env[name] = Variable(name, kind)
        for _ in range(statements):
            lines += self.statement(2)
        self.outputs = [v.name for v in self.env.values() if v.name not in self.fixed]
        self.approximate = {v.name for v in self.env.values() if not v.exact}
        self.text = "\n".join(lines) + "\n"

    def matrix_input(self, name: str) -> None:
        rng = self.rng
        shape = self.shape()
        density = rng.choice((0.0, 0.1, 0.3, 1.0, 1.0))
        cells = [
            float(rng.randrange(-5, 6)) if rng.random() < density else 0.0 for _ in range(shape[0] * shape[1])
        ]
        value: Any = np.array(cells, float).reshape(shape)
        self.inputs[name] = sparse.csr_matrix(value) if rng.random() < 0.5 else value
        self.env[name] = Variable(name, "matrix", shape)

    def shape(self) -> Shape:
        return self.rng.choice(self.dims), self.rng.choice(self.dims)

    def fresh(self, prefix: str) -> str:
        self.count += 1
        return f"{prefix}{self.count}"

    def known(self, kind: str, exact: bool = True) -> list[Variable]:
        return [v for v in self.env.values() if v.kind == kind and (v.exact or not exact)]

    # -- scalars -----------------------------------------------------------------------------------------------------

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

    # -- matrices ----------------------------------------------------------------------------------------------------

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

    def some_matrix(self, depth: int, exact: bool = True) -> tuple[Expr, Shape]:
        shape = self.shape()
        return self.matrix(shape, depth, exact), shape

    def matrix(self, shape: Shape, depth: int, exact: bool = True) -> Expr:
        """An expression of this shape, exact if need be."""
        rng = self.rng
        here = [v for v in self.known("matrix", exact) if v.shape == shape]
        if depth <= 0 or rng.random() < 0.15:
            if here and rng.random() < 0.85:
                v = rng.choice(here)
                return Expr(v.name, v.bits, v.exact)
            return self.leaf(shape)
        makers = [
            self.cellwise,
            self.cellwise,
            self.cellwise,
            self.unary,
            self.transposed,
            self.product,
            self.part,
            self.joined,
            self.special,
        ]
        return self.small(rng.choice(makers)(shape, depth - 1, exact))

    def leaf(self, shape: Shape) -> Expr:
        rng = self.rng
        rows, cols = self.size(shape[0]), self.size(shape[1])
        if shape[1] == 1 and rng.random() < 0.3:
            return Expr(f"seq(1, {rows})", shape[0].bit_length() + 1)
        if rng.random() < 0.2:
            return Expr(
                f"round(rand(rows={rows}, cols={cols}, min=-3, max=3, sparsity={rng.choice((1, 0.3))}, seed={rng.randrange(9)}))",
                3,
            )
        value = self.double(0) if rng.random() < 0.3 else Expr(str(rng.choice((0, 0, 1, 2, -3))), 3)
        return Expr(f"matrix({value.text}, rows={rows}, cols={cols})", value.bits)

    def cellwise(self, shape: Shape, depth: int, exact: bool) -> Expr:
        rng = self.rng
        op = rng.choice(EXACT_BINARY)
        a = self.matrix(shape, depth, exact)
        kind = rng.randrange(6)
        if kind == 0:
            b = self.double(1, exact)
            if op not in ("%%", "%/%") and rng.random() < 0.5:
                a, b = b, a
        elif kind == 1:
            b = self.matrix((shape[0], 1), depth - 1, exact)
        elif kind == 2:
            b = self.matrix((1, shape[1]), depth - 1, exact)
        else:
            b = self.matrix(shape, depth, exact)
        if kind == 3 and a.exact and b.exact:
            c = self.matrix(shape, depth - 1, exact)
            if c.exact:
                return Expr(f"ifelse({c.text} > 0, {a.text}, {b.text})", max(a.bits, b.bits))
        return self.combined(op, a, b)

    def unary(self, shape: Shape, depth: int, exact: bool) -> Expr:
        rng = self.rng
        if not exact and rng.random() < 0.5:
            a = self.matrix(shape, depth, False)
            fn = rng.choice((*APPROXIMATE, "exp", "sqrt", "log"))
            inner = {"exp": f"-abs({a.text})", "sqrt": f"abs({a.text})", "log": f"abs({a.text}) + 1"}.get(
                fn, a.text
            )
            return Expr(f"{fn}({inner})", a.bits if fn == "sqrt" else 6, False)
        a = self.matrix(shape, depth, True)
        fn = rng.choice(EXACT_UNARY)
        return Expr(
            f"(-{a.text})" if fn == "-" else f"(!{a.text})" if fn == "!" else f"{fn}({a.text})", a.bits
        )

    def transposed(self, shape: Shape, depth: int, exact: bool) -> Expr:
        a = self.matrix(shape[::-1], depth, exact)
        return Expr(f"t({a.text})", a.bits, a.exact)

    def product(self, shape: Shape, depth: int, exact: bool) -> Expr:
        inner = self.rng.choice(self.dims)
        a, b = self.matrix((shape[0], inner), depth, exact), self.matrix((inner, shape[1]), depth, exact)
        a, b = (self.tiny(e) if e.bits > 12 else e for e in (a, b))
        return Expr(f"({a.text} %*% {b.text})", a.bits + b.bits + inner.bit_length(), a.exact and b.exact)

    def part(self, shape: Shape, depth: int, exact: bool) -> Expr:
        """A range of a bigger matrix."""
        rng = self.rng
        bigger = [v for v in self.known("matrix", exact) if v.shape[0] >= shape[0] and v.shape[1] >= shape[1]]
        if not bigger:
            return self.leaf(shape)
        v = rng.choice(bigger)
        ranges = [self.range(d, of) for d, of in zip(shape, v.shape, strict=True)]
        return Expr(f"{v.name}[{ranges[0]}, {ranges[1]}]", v.bits, v.exact)

    def range(self, d: int, of: int) -> str:
        if d == of and self.rng.random() < 0.6:
            return ""
        if d == 1:
            return self.position(of)
        low = self.rng.randrange(1, of - d + 2)
        return f"{low}:{low + d - 1}"

    def joined(self, shape: Shape, depth: int, exact: bool) -> Expr:
        rows, cols = shape
        if rows > 1 and (cols == 1 or self.rng.random() < 0.5):
            k = self.rng.randrange(1, rows)
            a, b, fn = (
                self.matrix((k, cols), depth, exact),
                self.matrix((rows - k, cols), depth, exact),
                "rbind",
            )
        elif cols > 1:
            k = self.rng.randrange(1, cols)
            a, b, fn = (
                self.matrix((rows, k), depth, exact),
                self.matrix((rows, cols - k), depth, exact),
                "cbind",
            )
        else:
            return Expr(f"as.matrix({self.double(1).text})", MOST)
        return Expr(f"{fn}({a.text}, {b.text})", max(a.bits, b.bits), a.exact and b.exact)

    def special(self, shape: Shape, depth: int, exact: bool) -> Expr:
        """Aggregates to vectors and the operators that move cells."""
        rng = self.rng
        rows, cols = shape
        other = rng.choice(self.dims)
        if cols == 1 and rng.random() < 0.6:
            a = self.matrix((rows, other), depth, exact)
            fn = rng.choice(("rowSums", "rowSums", "rowMaxs", "rowMins"))
            return Expr(f"{fn}({a.text})", a.bits + other.bit_length(), a.exact)
        if rows == 1 and rng.random() < 0.6:
            a = self.matrix((other, cols), depth, exact)
            fn = rng.choice(("colSums", "colSums", "colMaxs", "colMins"))
            return Expr(f"{fn}({a.text})", a.bits + other.bit_length(), a.exact)
        kind = rng.randrange(7)
        if kind == 0:
            u, v = self.matrix((rows, 1), depth, exact), self.matrix((1, cols), depth, exact)
            exact = u.exact and v.exact
            return Expr(f'outer({u.text}, {v.text}, "{rng.choice("*+-")}")', u.bits + v.bits + 1, exact)
        if kind == 1:
            a = self.matrix((cols, rows), depth, exact)
            return Expr(f"matrix({a.text}, rows={self.size(rows)}, cols={self.size(cols)})", a.bits, a.exact)
        if kind == 2 and rows == cols:
            a = self.matrix((rows, 1), depth, exact)
            return Expr(f"diag({a.text})", a.bits, a.exact)
        if kind == 3:
            a = self.matrix(shape, depth, True)
            return Expr(
                f"replace(target={a.text}, pattern={rng.choice((0, 1))}, replacement=5)", max(a.bits, 3)
            )
        if kind == 4:
            a = self.matrix(shape, depth, True)
            return Expr(
                f"order(target={a.text}, by={rng.randrange(1, cols + 1)}, decreasing={rng.choice(('TRUE', 'FALSE'))})",
                a.bits,
            )
        a = self.matrix(shape, depth, exact)
        fn = rng.choice(("cumsum", "rev", "cumsum"))
        return Expr(f"{fn}({a.text})", a.bits + rows.bit_length(), a.exact)

    # -- statements --------------------------------------------------------------------------------------------------

    def statement(self, depth: int) -> list[str]:
        rng = self.rng
        kind = rng.randrange(20)
        if depth > 0 and kind < 6:
            return rng.choice(
                (self.branch, self.branch, self.counted, self.counted, self.conditional, self.parallel)
            )(depth - 1)
        if kind < 8:
            return self.update()
        if kind == 8:
            return [f"print({self.string(2).text})"]
        if kind == 9:
            return self.list_()
        if kind <= 11 and self.functions:
            return self.call()
        if kind == 12:
            condition = self.boolean(1).text
            return [
                f'if ({condition} & n > 90) stop("never")'
                if rng.random() < 0.9
                else f"assert({condition} | n < 90)"
            ]
        return self.assign()

    def assign(self) -> list[str]:
        rng = self.rng
        kind = rng.choice(("matrix", "matrix", "matrix", "matrix", "double", "int", "boolean", "string"))
        exact = rng.random() < 0.7
        shape = (0, 0)
        if kind == "matrix":
            shape = self.shape()
            e = self.matrix(shape, 3, exact)
        elif kind == "double":
            e = self.double(3, exact)
        else:
            e = {"int": self.int_, "boolean": self.boolean, "string": self.string}[kind](3)
        name = self.target(kind, shape, e)
        if self.loops and kind != "string":
            e = self.tiny(e) if kind in ("matrix", "double", "int") else e
        elif kind == "string" and name in self.env:
            e = Expr(f'"{rng.choice("uvw")}" + n')  # strings that feed on themselves would explode
        self.define(Variable(name, kind, shape, e.exact, e.bits))
        return [f"{name} {rng.choice(('=', '=', '<-'))} {e.text}"]

    def target(self, kind: str, shape: Shape, e: Expr) -> str:
        """A variable that may take this value: a new one, or one with no other shape, type or exactness."""
        old = [
            v
            for v in self.known(kind, False)
            if v.shape == shape and v.exact == e.exact and v.name not in self.fixed
        ]
        if old and self.rng.random() < (0.8 if self.loops else 0.5):
            return self.rng.choice(old).name
        return self.fresh({"matrix": "M", "string": "t", "list": "L"}.get(kind, "v"))

    def define(self, v: Variable) -> None:
        old = self.env.get(v.name)
        if old is not None and self.loops:
            v.bits = max(v.bits, old.bits)
        self.env[v.name] = v

    def update(self) -> list[str]:
        """`X[…] = …`, of a copy every now and then."""
        rng = self.rng
        candidates = self.known("matrix", False)
        if not candidates:
            return self.assign()
        v = rng.choice(candidates)
        lines = []
        if rng.random() < 0.3:
            keep = self.fresh("M")
            lines.append(f"{keep} = {v.name}")
            self.env[keep] = Variable(keep, "matrix", v.shape, v.exact, v.bits)
        rows, cols = (rng.randrange(1, d + 1) if rng.random() < 0.5 else rng.choice((1, d)) for d in v.shape)
        at = [self.range(d, of) for d, of in zip((rows, cols), v.shape, strict=True)]
        if (rows, cols) == (1, 1) and "" not in at and rng.random() < 0.6:
            e = self.double(2, v.exact)
        else:
            e = self.matrix((rows, cols), 2, v.exact)
        if e.bits > 4 or not e.exact:
            e = self.tiny(e)
        lines.append(f"{v.name}[{at[0]}, {at[1]}] = {e.text}")
        self.env[v.name] = Variable(v.name, "matrix", v.shape, v.exact and e.exact, max(v.bits, 4))
        return lines

    def list_(self) -> list[str]:
        rng = self.rng
        lists = self.known("list")
        if lists and rng.random() < 0.5:
            v = rng.choice(lists)
            e, _ = self.some_matrix(1)
            if rng.random() < 0.5:
                return [f"{v.name}[{rng.randrange(1, 3)}] = {e.text}"]
            name = self.fresh("M")
            self.env[name] = Variable(name, "matrix", (1, 1), False, 12)
            return [f"{name} = as.matrix(sum(as.matrix({v.name}[{rng.randrange(1, 3)}])) / 1000)"]
        a, b = (self.some_matrix(1)[0] for _ in range(2))
        name = self.fresh("L")
        self.define(Variable(name, "list"))
        return [
            f"{name} = list({a.text}, {b.text})"
            if rng.random() < 0.5
            else f"{name} = list(a={a.text}, b={b.text})"
        ]

    def body(self, depth: int) -> tuple[list[str], dict[str, Variable]]:
        """Statements in a scope; what they define is only certain inside."""
        outer = dict(self.env)
        lines = [line for _ in range(self.rng.randrange(1, 4)) for line in self.statement(depth)]
        inner, self.env = self.env, outer
        return ["  " + line for line in lines], inner

    def join(self, *scopes: dict[str, Variable]) -> None:
        """After branches: known is what all of them know."""
        for name, v in list(self.env.items()):
            versions = [scope[name] for scope in scopes]
            v = Variable(name, v.kind, v.shape, all(x.exact for x in versions), max(x.bits for x in versions))
            self.env[name] = v

    def branch(self, depth: int) -> list[str]:
        condition = self.boolean(2).text
        then, one = self.body(depth)
        if self.rng.random() < 0.3:
            self.join(self.env, one)
            return [f"if ({condition}) {{", *then, "}"]
        other, two = self.body(depth)
        self.join(one, two)
        return [f"if ({condition}) {{", *then, "} else {", *other, "}"]

    def loop(self, depth: int, counter: str = "") -> list[str]:
        """The body of a loop: only exactness that holds from the start holds throughout."""
        for v in list(self.env.values()):
            if v.kind in ("matrix", "double") and v.name not in self.inputs and self.rng.random() < 0.3:
                self.env[v.name] = Variable(v.name, v.kind, v.shape, False, v.bits)
        before = {v.name: v.exact for v in self.env.values()}
        self.loops += 1
        fixed = set(self.fixed)
        if counter:
            self.env[counter] = Variable(counter, "int", bits=4)
            self.fixed.add(counter)
        lines, inner = self.body(depth)
        self.fixed = fixed
        self.loops -= 1
        self.env.pop(counter, None)
        for name, exact in before.items():
            if exact and not inner[name].exact:
                raise Retry
            self.env[name] = inner[name]
        return lines

    def counted(self, depth: int) -> list[str]:
        rng = self.rng
        i = self.fresh("i")
        d = rng.choice(self.dims[:3])
        heads = (
            f"1:{self.size(d)}",
            f"{self.size(d)}:1",
            f"seq(1, {self.size(d)}, 2)",
            "seq(1, n)",
            f"1:{rng.randrange(1, 4)}",
        )
        lines = self.loop(depth, i)
        rows = [v for v in self.known("matrix") if v.shape[0] >= max(d, 5) and v.bits >= 4]
        if rows and rng.random() < 0.5:
            v = rng.choice(rows)
            lines.append(f"  {v.name}[{i}, ] = {v.name}[{i}, ] * 2 %% 7")
        return [f"for ({i} in {rng.choice(heads)}) {{", *lines, "}"]

    def conditional(self, depth: int) -> list[str]:
        k = self.fresh("k")
        self.env[k] = Variable(k, "int")
        self.fixed.add(k)
        condition = self.boolean(1).text
        lines = self.loop(depth)
        return [
            f"{k} = 0",
            f"while ({k} < {self.rng.randrange(1, 4)} & ({condition} | {k} < 1)) {{",
            f"  {k} = {k} + 1",
            *lines,
            "}",
        ]

    def parallel(self, depth: int) -> list[str]:
        v = self.rng.choice(self.known("matrix", False) or [None])  # type: ignore[list-item]
        if v is None:
            return self.assign()
        i, made = self.fresh("i"), self.fresh("M")
        self.env[made] = Variable(made, "matrix", v.shape, v.exact, v.bits + 1)
        return [
            f"{made} = matrix(0, rows=nrow({v.name}), cols=ncol({v.name}))",
            f"parfor ({i} in 1:nrow({v.name})) {{",
            f"  {made}[{i}, ] = {v.name}[{i}, ] + {v.name}[{i}, {self.position(v.shape[1])}]",
            "}",
        ]

    # -- functions -----------------------------------------------------------------------------------------------------

    def function(self) -> list[str]:
        """A function of matrices and scalars, with its own variables."""
        rng = self.rng
        outer, self.env = self.env, {}
        name = self.fresh("f")
        params = []
        for _ in range(rng.randrange(1, 4)):
            kind = rng.choice(("matrix", "matrix", "double", "int", "boolean"))
            params.append(Variable(self.fresh("p"), kind, self.shape() if kind == "matrix" else (0, 0)))
        self.env = {v.name: v for v in params}
        self.env["n"] = Variable("n", "int")
        lines = ["  n = 3"]
        for _ in range(rng.randrange(1, 4)):
            lines += ["  " + line for line in self.statement(1)]
        results = []
        for _ in range(rng.randrange(1, 3)):
            made = self.fresh("r")
            if rng.random() < 0.7:
                shape = self.shape()
                e = self.tiny(self.matrix(shape, 2, True))
                results.append(Variable(made, "matrix", shape))
            else:
                e = self.tiny(self.double(2))
                results.append(Variable(made, "double"))
            lines.append(f"  {made} = {e.text}")
        self.env = outer
        types = {"matrix": "matrix[double]", "boolean": "boolean", "double": "double", "int": "int"}
        defaults = {p.name: {"double": "1.5 * 2", "int": "2", "boolean": "TRUE"}[p.kind] for p in params[1:]
                    if p.kind != "matrix" and rng.random() < 0.4}  # fmt: skip
        head = ", ".join(
            f"{types[p.kind]} {p.name}" + (f" = {defaults[p.name]}" if p.name in defaults else "")
            for p in params
        )
        tail = ", ".join(f"{types[r.kind]} {r.name}" for r in results)
        self.functions.append(Function(name, params, results, defaults))
        return [f"{name} = function({head}) return ({tail}) {{", *lines, "}"]

    def call(self) -> list[str]:
        rng = self.rng
        f = rng.choice(self.functions)
        named = rng.random() < 0.5
        args = []
        for p in f.params:
            if named and p.name in f.defaults and rng.random() < 0.6:
                continue
            if p.kind == "matrix":
                e = self.matrix(p.shape, 1)
            else:
                e = {"double": self.double, "int": self.int_, "boolean": self.boolean}[p.kind](1)
            if e.bits > 4 and p.kind != "boolean":
                e = self.tiny(e)
            args.append((f"{p.name}=" if named else "") + e.text)
        targets = []
        for r in f.results:
            name = self.target(r.kind, r.shape, Expr("", 4))
            name = self.fresh("v") if name in targets else name
            targets.append(name)
            self.define(Variable(name, r.kind, r.shape))
        left = targets[0] if len(targets) == 1 and rng.random() < 0.7 else f"[{', '.join(targets)}]"
        return [f"{left} = {f.name}({', '.join(args)})"]


class Retry(Exception):
    """A loop made an exact variable approximate: the script would mean something else from the second round on."""


def write(rng: random.Random, statements: int = 12) -> Writer:
    """A script; those that cannot be finished are begun again."""
    while True:
        try:
            return Writer(rng, statements)
        except Retry:
            continue
