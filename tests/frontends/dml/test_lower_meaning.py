"""Random scripts of branches, loops and half-defined variables: lowered and evaluated, against walking the tree."""

from __future__ import annotations

import random
from collections.abc import Iterator

import pytest

from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.frontends.dml.parser import parse
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source
from sysmlc.ir.verify import verify

NAMES = "abcde"


class Script:
    """A random script; every loop ends."""

    def __init__(self, seed: int) -> None:
        self.random = random.Random(seed)
        self.counters = 0

    def text(self) -> str:
        defined = self.random.sample(NAMES, self.random.choice([2, 3, 4, 4, 5]))
        lines = [f"{name} = {self.number()}" for name in defined]
        lines += self.block(3)
        lines += [f'if (exists("{name}")) print("{name}=" + {name})' for name in NAMES]
        return "\n".join(lines) + "\n"

    def number(self) -> str:
        return self.random.choice(["0", "1", "2", "3", "0.5", "-1"])

    def operand(self) -> str:
        return self.random.choice([*NAMES, self.number(), self.number()])

    def expression(self) -> str:
        form = self.random.choice(["{}", "{} + {}", "{} - {}", "{} * {}", "min({}, {})"])
        return form.format(*(self.operand() for _ in range(form.count("{}"))))

    def condition(self) -> str:
        return f"{self.operand()} {self.random.choice(['<', '>', '==', '>='])} {self.operand()}"

    def block(self, depth: int) -> list[str]:
        lines: list[str] = []
        for _ in range(self.random.randint(1, 4)):
            lines += self.statement(depth)
        return lines

    def statement(self, depth: int) -> list[str]:
        kind = self.random.choice(
            ["assign"] * 4 + ["print", "add"] + (["if", "if", "for", "while", "stop"] if depth else [])
        )
        name = self.random.choice(NAMES)
        inner = (
            ["  " + line for line in self.block(depth - 1)]
            if depth and kind not in ("assign", "print", "add")
            else []
        )
        if kind == "assign":
            return [f"{name} = {self.expression()}"]
        if kind == "add":
            return [f"{name} += {self.number()}"]
        if kind == "print":
            return [f'print("{name}:" + {name})']
        if kind == "stop":
            return [f"if ({self.condition()}) {{", *inner, '  stop("enough")', "}"]
        if kind == "if":
            other = (
                ["} else {", *("  " + line for line in self.block(depth - 1))]
                if self.random.random() < 0.6
                else []
            )
            return [f"if ({self.condition()}) {{", *inner, *other, "}"]
        if kind == "for":
            low, high = self.random.randint(-1, 3), self.random.randint(-1, 3)
            span = f"{low}:{high}" if self.random.random() < 0.7 else f"seq({low}, {high}, 1)"
            return [f"for ({name} in {span}) {{", *inner, "}"]
        self.counters += 1
        count = f"n{self.counters}"
        limit = self.random.randint(0, 3)
        head = f"while ({count} < {limit} & {self.condition()}) {{"
        return [f"{count} = 0", head, f"  {count} = {count} + 1", *inner, "}"]


class Ended(Exception):
    """The script stopped: by stop(), or for a variable that is not defined."""


class Walker:
    """Runs a script by walking its tree, with dynamic types and one dictionary of variables."""

    def __init__(self) -> None:
        self.vars: dict[str, float | bool | str] = {}
        self.printed: list[str] = []
        self.steps = 0

    def block(self, body: tuple[ast.Statement, ...]) -> None:
        for statement in body:
            self.steps += 1
            if self.steps > 3000:
                raise TimeoutError
            self.statement(statement)

    def statement(self, node: ast.Statement) -> None:
        match node:
            case ast.Assign(target=target, value=value, accumulate=accumulate):
                old = self.value(target) if accumulate else 0.0
                new = self.value(value)  # type: ignore[arg-type]
                self.vars[target.name] = old + new if accumulate else new  # type: ignore[operator]
            case ast.If(cond=cond, body=body, orelse=orelse):
                self.block(body if self.value(cond) else orelse)
            case ast.While(cond=cond, body=body):
                while self.value(cond):
                    self.block(body)
            case ast.For(var=var, range=span, body=body):
                for i in self.rounds(span):
                    self.vars[var.name] = float(i)
                    self.block(body)
            case ast.CallStatement(call=call):
                text = self.value(call.args[0].value)
                if call.name == "stop":
                    raise Ended
                self.printed.append(str(text))

    def rounds(self, span: ast.SeqRange) -> Iterator[int]:
        low, high = int(float(self.value(span.start))), int(float(self.value(span.stop)))
        if span.by is None and low > high:
            return iter(range(low, high - 1, -1))
        return iter(range(low, high + 1))

    def value(self, node: ast.Expr) -> float | bool | str:
        match node:
            case ast.IntLit(value=value) | ast.DoubleLit(value=value):
                return float(value)
            case ast.StringLit(value=text):
                return text
            case ast.Name(name=name):
                if name not in self.vars:
                    raise Ended
                return self.vars[name]
            case ast.Unary(operand=operand):
                return -float(self.value(operand))
            case ast.Call(name="exists", args=args):
                return args[0].value.value in self.vars  # type: ignore[union-attr]
            case ast.Call(name="min", args=args):
                return min(float(self.value(arg.value)) for arg in args)
            case ast.Binary(op=op, left=left, right=right):
                a, b = self.value(left), self.value(right)
                if isinstance(a, str):
                    return f"{a}{float(b) + 0.0}"  # + 0.0: integers have no -0
                results = {
                    "+": a + b,
                    "-": a - b,
                    "*": a * b,
                    "<": a < b,
                    ">": a > b,
                    "==": a == b,
                    ">=": a >= b,
                }  # type: ignore[operator]
                return bool(a) and bool(b) if op == "&" else results[op]
        raise AssertionError(node)


def walked(text: str) -> tuple[list[str], bool] | None:
    walker = Walker()
    try:
        walker.block(parse(Source("random.dml", text)).body)
    except Ended:
        return walker.printed, True
    except TimeoutError:
        return None
    return walker.printed, False


def evaluated(text: str) -> tuple[list[str], bool] | None:
    try:
        module = compile_source(Source("random.dml", text))
    except (Diagnostic, DiagnosticGroup) as error:
        if "is not defined" not in str(error):
            raise
        return None
    verify(module)
    printed: list[str] = []
    try:
        evaluate(module, output=printed.append)
        ended = False
    except Diagnostic:
        ended = True
    # The static type of a variable may be double where the tree walker has an integer.
    shown = [f"{t[:2]}{float(t[2:]) + 0.0}" for line in printed for t in line.splitlines()]
    return shown, ended


@pytest.mark.parametrize("batch", range(20))
def test_random_scripts(batch: int) -> None:
    compared = 0
    for seed in range(batch * 40, batch * 40 + 40):
        text = Script(seed).text()
        found = evaluated(text)
        expected = walked(text) if found is not None else None
        if expected is not None:
            compared += 1
            assert found == expected, text
    assert compared >= 5
