"""Statements: assignments, updates of parts, branches, loops and functions."""

from __future__ import annotations

from tests.language.random_programs.matrices import Matrices
from tests.language.random_programs.scalars import Expr, Function, Shape, Variable


class Retry(Exception):
    """A loop made an exact variable approximate: the script would mean something else from the second round on."""


class Statements(Matrices):
    """Writes statements."""

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
        return self.scores() if kind == 13 else self.assign()

    def scores(self) -> list[str]:
        """Scores of classes and what becomes of them row by row: what one scan of a matrix does."""
        rng = self.rng
        rows, cols, classes = rng.choice(self.dims), rng.choice(self.dims), rng.randrange(1, 5)
        X, B, c = (self.tiny(self.matrix(s, 1)).text for s in ((rows, cols), (cols, classes), (rows, 1)))
        x, s, m, g, p = (self.fresh("M") for _ in range(5))
        low = rng.randrange(1, classes + 2)
        high = rng.randrange(low, classes + 2)
        fn, span = rng.choice(("rowIndexMax", "rowIndexMin")), str(low) if low == high else f"{low}:{high}"
        made = {
            x: (X, (rows, cols), 4),
            s: (f"cbind({x} %*% {B}, {c})", (rows, classes + 1), 8 + cols.bit_length()),
            m: (f"{s} - rowMaxs({s})", (rows, classes + 1), 9 + cols.bit_length()),
            p: (f"{fn}({rng.choice((s, m, x))})", (rows, 1), 4),
            g: (f"t({x}) %*% ({m}[, {span}] - {p})", (cols, high - low + 1), 14 + cols.bit_length() + rows.bit_length()),
        }  # fmt: skip
        for name, (_, shape, bits) in made.items():
            self.define(Variable(name, "matrix", shape, True, bits))
        return [f"{name} = {text}" for name, (text, _, _) in made.items()]

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
