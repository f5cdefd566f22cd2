"""Matrix expressions of a given shape."""

from __future__ import annotations

from tests.language.random_programs.scalars import (
    APPROXIMATE,
    EXACT_BINARY,
    EXACT_UNARY,
    MOST,
    Expr,
    Scalars,
    Shape,
)


class Matrices(Scalars):
    """Writes matrix expressions."""

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
            fn = rng.choice(("rowSums", "rowSums", "rowMaxs", "rowMins", "rowIndexMax", "rowIndexMin"))
            a = self.matrix((rows, other), depth, exact or fn.startswith("rowIndex"))
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
