"""Random scripts of loops over cells, rows and columns: some can be vectorised, some must not, some fail."""

from __future__ import annotations

import random
from typing import Any

import numpy as np


class LoopWriter:
    """Writes a script with loops and makes its inputs: X, Y n×m, C m×m, v n×1, r 1×m, and a number k."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng
        n, m = rng.choice(((5, 3), (4, 4), (1, 3), (3, 1), (6, 2), (1, 1)))
        make = np.random.default_rng(rng.randrange(10**6))
        self.inputs: dict[str, Any] = {
            name: make.integers(-4, 5, shape).astype(float)
            for name, shape in {"X": (n, m), "Y": (n, m), "C": (m, m), "v": (n, 1), "r": (1, m)}.items()
        }
        if rng.random() < 0.2:
            self.inputs["X"][rng.randrange(n), rng.randrange(m)] = np.nan
        self.inputs["k"] = rng.randrange(0, 5)
        self.by_rows = True
        lines = [
            "R = X + 0",
            "D = Y * 2",
            "s = 1.5",
            "p = 1.0",
            "h = 0",
            "q = r",
            "c = v",
            "G = C",
            "A = r",
            "B = v",
            "last = 0.0",
        ]
        for _ in range(rng.randrange(1, 3)):
            self.by_rows = rng.random() < 0.7
            lines += self.loop()
        self.outputs = ["R", "D", "s", "p", "h", "q", "c", "G", "A", "B", "last"]
        self.approximate = set(self.outputs)
        self.text = "\n".join(lines) + "\n"

    def span(self, extent: str) -> str:
        """A range of indexes: mostly a whole dimension."""
        rng = self.rng
        return rng.choice(
            [f"1:{extent}"] * 6
            + [f"2:{extent}", f"{extent}:1", f"1:({extent} - 1)", "1:k", "2:3", f"seq({extent}, 1, -1)", f"seq(1, {extent}, 2)", f"seq(1, {extent})", "1:0", "3:k"]
        )  # fmt: skip

    def loop(self) -> list[str]:
        rng = self.rng
        extent = "nrow(X)" if self.by_rows else "ncol(X)"
        lines = [f"for (i in {self.span(extent)}) {{"]
        for _ in range(rng.randrange(1, 4)):
            lines += self.branch() if rng.random() < 0.2 else self.statement()
        return [*lines, "}"] + (["last = last + i"] if rng.random() < 0.3 else [])

    def at(self) -> str:
        return self.rng.choice(["i"] * 5 + ["i - 1", "i + 1", "1", "k"])

    def line(self, name: str, at: str) -> str:
        """A row or a column of a matrix."""
        return f"{name}[{at}, ]" if self.by_rows else f"{name}[, {at}]"

    def vector(self, depth: int) -> str:
        """A row (or column) as long as those of X."""
        rng = self.rng
        kind = rng.randrange(3) if depth == 0 else rng.randrange(10)
        if kind < 2:
            return self.line(rng.choice("XYXYRD"), self.at())
        if kind == 2:
            return "r" if self.by_rows else "v"
        if kind == 3:
            return f"{rng.choice(('abs', 'tanh', 'sign'))}({self.vector(depth - 1)})"
        if kind == 4:
            return f"({self.vector(depth - 1)} {rng.choice('+-*')} {self.scalar(depth - 1)})"
        if kind == 5:
            return f"({self.scalar(depth - 1)} {rng.choice(('+', '-', '*', '>', '<='))} {self.vector(depth - 1)})"
        if kind == 6 and self.by_rows:
            return f"({self.vector(depth - 1)} %*% C)"
        if kind == 7:
            a, b, c = (self.vector(depth - 1) for _ in range(3))
            return f"ifelse({a} > {rng.choice(('0', b))}, {b}, {c})"
        if kind == 8:
            return f"t(t({self.vector(depth - 1)}))"
        return (
            f"({self.vector(depth - 1)} {rng.choice(('+', '-', '*', '>=', '=='))} {self.vector(depth - 1)})"
        )

    def scalar(self, depth: int) -> str:
        rng = self.rng
        kind = rng.randrange(6) if depth == 0 else rng.randrange(10)
        if kind < 2:
            return rng.choice(["i", "2.5", "k", "(i * 2)", "(i %% 2)", "nrow(X)", "ncol(R)"])
        if kind < 4:
            place = f"{self.at()}, 1" if self.by_rows else f"1, {self.at()}"
            return f"as.scalar({rng.choice('XYRD')}[{place}])"
        if kind < 6:
            return "as.scalar(v[i, 1])" if self.by_rows else "as.scalar(r[1, i])"
        if kind < 8:
            return f"{rng.choice(('sum', 'max', 'min', 'mean'))}({self.vector(depth - 1)})"
        return f"({self.scalar(depth - 1)} {rng.choice('+-*')} {self.scalar(depth - 1)})"

    def statement(self) -> list[str]:
        rng = self.rng
        kind = rng.randrange(12)
        target = rng.choice("RD")
        if kind < 3:
            return [f"  {self.line(target, self.at())} = {self.vector(2)}"]
        if kind == 3:
            place = f"{self.at()}, 1" if self.by_rows else f"1, {self.at()}"
            return [f"  {target}[{place}] = {self.scalar(2)}"]
        if kind == 4:
            return [f"  s = s {rng.choice('+-')} {self.scalar(2)}"]
        if kind == 5:
            return [f"  p = {rng.choice(('min', 'max'))}(p, {self.scalar(2)})"]
        if kind == 6:
            name = "q" if self.by_rows else "c"
            return [f"  {name} = {name} {rng.choice('+-')} {self.vector(1)}"]
        if kind == 7:
            a, b = self.vector(1), self.vector(1)
            return [f"  G = G + t({a}) %*% {b}"] if self.by_rows else [f"  s = s + as.scalar(t({a}) %*% {b})"]
        if kind == 8:
            return [f"  last = {self.scalar(2)}"]
        if kind == 9:
            return ["  h = h + " + rng.choice(("1", "i", "k"))]
        if kind == 10 and rng.random() < 0.6:
            name, fn = ("A", "rbind") if self.by_rows else ("B", "cbind")
            parts = rng.choice((f"{name}, {self.vector(1)}", f"{self.vector(1)}, {name}"))
            return [f"  {name} = {fn}({parts})"]
        return self.nest(target)

    def branch(self) -> list[str]:
        """Statements that run in some rounds only; often both sides change the same."""
        rng = self.rng
        if rng.random() < 0.3:
            return self.near()
        if rng.random() < 0.4:
            return self.race()
        if rng.random() < 0.2:
            name, fn = ("A", "rbind") if self.by_rows else ("B", "cbind")
            return [
                f"  if ({self.scalar(1)} > {rng.choice(('0', 'k'))}) {{ {name} = {fn}({name}, {self.vector(1)}) }}"
            ]
        if rng.random() < 0.2:
            found = self.scalar(1)
            return [f"  if ({rng.choice((f'{found} > p', f'p >= {found}', f'{found} < p'))}) p = {found}"]
        test = f"{self.scalar(1)} {rng.choice(('>', '<=', '=='))} {rng.choice(('0', 'i', self.scalar(0)))}"
        first = self.statement()
        other = [line.replace("X", "Y") for line in first] if rng.random() < 0.5 else self.statement()
        lines = [f"  if ({test}) {{", *first, "  }"]
        return [*lines[:-1], "  } else {", *other, "  }"] if rng.random() < 0.5 else lines

    def near(self) -> list[str]:
        """What needs a row before or after, where there is one; or what stops somewhere."""
        rng = self.rng
        extent = "nrow(X)" if self.by_rows else "ncol(X)"
        test, at = rng.choice(
            (
                ("i > 1", "i - 1"),
                ("i != 1", "i - 1"),
                ("2 <= i", "i - 1"),
                (f"i < {extent}", "i + 1"),
                (f"i > 1 & i < {extent}", "i + 1"),
                ("i <= k", "i"),
                (f"i + k <= {extent}", "i + k"),
                (f"k < i & i == {extent}", "i"),
            )
        )
        row, place = self.line("X", at), self.line("R", "i")
        lines = [f"  if ({test}) {{ {place} = {row} * 2 - {self.line('Y', 'i')} }}"]
        if rng.random() < 0.4:
            lines[0] += (
                f" else {{ {rng.choice((f'{place} = {self.vector(1)}', f's = s + {self.scalar(1)}'))} }}"
            )
        return lines

    def nest(self, target: str) -> list[str]:
        rng = self.rng
        extent = "ncol(X)" if self.by_rows else "nrow(X)"
        place = "[i, j]" if self.by_rows else "[j, i]"
        if rng.random() < 0.35:
            return self.triangle(target)
        if rng.random() < 0.3:
            left, right = (f"as.scalar({n}{place})" for n in "XY")
            body = f"s = s + {left} * {right}"
        elif rng.random() < 0.3 and self.by_rows:
            return [
                f"  for (j in 1:{extent}) {{",
                f"    for (l in 1:{extent}) {{",
                f"      {target}[i, j] = as.scalar({target}[i, j]) + as.scalar(X[i, l]) * as.scalar(C[l, j])",
                "    }",
                "  }",
            ]
        else:
            cell = rng.choice(
                (f"{target}{place}", f"X{place} + j", f"Y{place} * i", f"abs(X{place}) - Y{place}")
            )
            body = f"{target}{place} = {cell} * {rng.choice(('2', 'k', 'i', 'j', f'X{place}'))}"
        if rng.random() < 0.4:
            test = rng.choice(("i <= j", "i == j", "j != k", f"as.scalar(X{place}) > 0"))
            body = f"if ({test}) {{ {body} }}"
            body += rng.choice(
                ("", f" else {{ {target}{place} = 0 }}", f" else {{ s = s - as.scalar(Y{place}) }}")
            )
        return [f"  for (j in {self.span(extent)}) {{", f"    {body}", "  }"]

    def race(self) -> list[str]:
        """What is kept of the best round, or of the last one of some."""
        rng = self.rng
        found, kept = (
            self.scalar(1),
            rng.choice(("i", "2 * i - k", f"as.scalar(X[{'i, 1' if self.by_rows else '1, i'}])", "k")),
        )
        test = rng.choice(
            ("{0} > p", "{0} >= p", "p > {0}", "{0} <= p", "i > 1 & {0} > p", "{0} < p & {0} > -3")
        )
        if rng.random() < 0.3:
            return [f"  if ({found} > {rng.choice(('0', 'k'))}) last = {kept} * 1.5"]
        return [f"  f = {found} * 1.0", f"  if ({test.format('f')}) {{ p = f; last = {kept} * 1.0 }}"]

    def triangle(self, target: str) -> list[str]:
        """A loop that the one around it decides the rounds of."""
        rng = self.rng
        extent = rng.choice(("ncol(X)", "nrow(X)", "3"))
        low, high = rng.choice(
            (("i", extent), ("1", "i"), ("(i + 1)", extent), ("1", "(i - 1)"), (extent, "i"))
        )
        matrix, other = rng.choice("RDG"), rng.choice("XYRDG")
        bodies = [
            f"{matrix}[i, j] = {other}[i, j]",
            f"{matrix}[j, i] = {other}[i, j] + {rng.choice('ijk')}",
            f"{matrix}[i, j] = {other}[j, i] * 2\n    {matrix}[j, i] = as.scalar({other}[i, j]) - j",
            f"s = s + as.scalar({other}[{rng.choice(('i, j', 'j, i', '1, j', 'j, 1'))}])",
            "h = h + 1",
            f"if (as.scalar({other}[i, j]) > as.scalar(X[j, 1])) {{ h = h + j }}",
            f"f = as.scalar({other}[i, j]) * 1.0\n    if (f > p) {{ p = f; last = i * 10.0 + j; s = as.scalar(X[1, j]) * 1.0 }}",
            f"if (as.scalar({other}[i, 1]) > 0) {{ {matrix}[i, j] = j - 1 }}",
        ]
        body = rng.choice(bodies)
        return [f"  for (j in {low}:{high}) {{", f"    {body}", "  }"]
