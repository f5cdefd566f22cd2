"""Executes rules: random operands of all shapes, the rule applied, both forms evaluated by the reference evaluator."""

from __future__ import annotations

import random
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.algebra import Apply, Expr, Number, Variable
from sysmlc.ir.core import Builder, Op, Region, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.dialects.core import Constant, Func, Module, Return
from sysmlc.ir.dialects.dml_matrix import Fill, Replace
from sysmlc.ir.dialects.dml_scalar import Input, Output
from sysmlc.ir.parser import parse
from sysmlc.ir.printer import to_text
from sysmlc.ir.rewrite import Rule, RuleSet, rewrite
from sysmlc.ir.rules import TableRule, resolve
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import f64, i1, i64, matrix
from sysmlc.ir.verify import verify

SIZES = (0, 1, 1, 1, 2, 2, 3, 3, 4)
CELLS = (0.0, 0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 1e3, 7.0)
CONSTANTS: tuple[Any, ...] = (1, 2, 3, 0, -1, 1.0, 2.0, 0.5, -1.5, 0.0, -1.0, 3.0, 4.0, True, False)
"""Values of scalar variables, as constants and as inputs."""
NAMED: dict[str, tuple[Any, ...]] = {
    "s": (1.0, 0.5), "d": (7, 42), "l": (1.0,), "byrow": (True, False), "diag": (True, False),
}  # fmt: skip
"""Values of variables that operations take in one type only; r, c, n, m, i, j are sizes and indexes."""
_SIZED = frozenset({"dml.fill", "dml.reshape", "dml.rand", "dml.get_cell"})


@dataclass
class Trial:
    """One application of a rule."""

    before: str
    after: str
    inputs: dict[str, Any]
    expected: Any
    actual: Any

    def __str__(self) -> str:
        return (
            f"{self.before}\nbecame\n{self.after}\nfor {self.inputs}\n{self.expected}\nis not\n{self.actual}"
        )


class _Maker:
    """Builds the left side of a rule with random operands."""

    def __init__(self, rule: TableRule, rng: random.Random, odd: bool) -> None:
        self.rule = rule
        self.rng = rng
        self.odd = odd
        self.region = Region()
        self.b = Builder(self.region)
        self.values: dict[str, Value] = {}
        self.inputs: dict[str, Any] = {}
        self.known = rng.random() < 0.7
        self.pool = [*rng.sample(SIZES, 2), 1]

    def make(self) -> Op:
        result = self.expression(self.rule.left)
        self.b.op(Output, result, name_="r")
        self.b.op(Return, [])
        module_body = Region()
        module_body.append(Func.new(sym="main", regions=[self.region]))
        return Module.new(regions=[module_body])

    def expression(self, e: Expr) -> Value:
        if isinstance(e, Number):
            return self.number(e.value)
        if isinstance(e, Variable):
            if e.name not in self.values:
                self.values[e.name] = self.matrix(e.name) if e.name[0].isupper() else self.scalar(e.name)
            return self.values[e.name]
        assert isinstance(e, Apply)
        name, attrs = resolve(e, self.rule.vocabulary, None)
        sized = name in _SIZED
        args = [self.number(a.value, sized) if isinstance(a, Number) else self.expression(a) for a in e.args]
        cls = registry[name]
        first = (name.partition(".")[2],) if len(cls.names) > 1 else ()
        if definitions[cls].variadic:
            return self.b(cls, *first, args, **attrs)
        if (
            name == "dml.fill" and args[0].type is not f64
        ):  # numbers of a table match any type; operations do not take any
            args[0] = self.number(float(self.literal(args[0])))
        return self.b(cls, *first, *args, **attrs)

    @staticmethod
    def literal(value: Value) -> float:
        assert value.op is not None
        return float(value.op.attrs.get("value", 1.0))  # type: ignore[arg-type]

    def number(self, value: Any, exact: bool = False) -> Value:
        if isinstance(value, int) and not isinstance(value, bool) and not exact and self.rng.random() < 0.5:
            value = float(value)
        return self.b(Constant, value=value)

    def scalar(self, name: str) -> Value:
        if name in ("r", "c", "n", "m", "i", "j"):
            return self.b(Constant, value=self.rng.choice(self.pool))
        if name in NAMED:
            return self.b(Constant, value=self.rng.choice(NAMED[name]))
        value = self.rng.choice(CONSTANTS)
        if self.rng.random() < 0.6:
            return self.b(Constant, value=value)
        self.inputs[name] = value
        type = i1 if isinstance(value, bool) else i64 if isinstance(value, int) else f64
        return self.b(Input, name_=name, types=[type])

    def matrix(self, name: str) -> Value:
        rows, cols = self.rng.choice(self.pool), self.rng.choice(self.pool)
        if self.rng.random() < 0.2:
            zero = self.b(Constant, value=0.0)
            return self.b(Fill, zero, self.b(Constant, value=rows), self.b(Constant, value=cols))
        cells = np.array([self.rng.choice(CELLS) for _ in range(rows * cols)]).reshape(rows, cols)
        if self.odd and cells.size:
            cells.flat[self.rng.randrange(cells.size)] = np.nan
        self.inputs[name] = cells
        given = self.b(Input, name_=name, types=[matrix(rows, cols) if self.known else matrix()])
        if self.known:
            return given
        never = self.b(
            Constant, value=123456.0
        )  # an operation whose type is inferred, so that it can be improved
        return self.b(Replace, given, never, never)


def trials(rule: TableRule, *, tries: int, enough: int, seed: int = 0) -> Iterator[Trial]:
    """Applications of a rule to random operands, with the values of both forms."""
    rng = random.Random(f"{rule.name}{seed}")
    found = 0
    sparse = "sparse" in rule.group
    for attempt in range(tries):
        try:
            module = _Maker(rule, rng, odd=attempt % 3 == 0 and not sparse)
            made = module.make()
            verify(made)
        except (Diagnostic, AssertionError):
            continue  # operands that do not fit
        trial = apply(made, [rule], module.inputs)
        if trial is not None:
            yield trial
            found += 1
            if found == enough:
                return


def apply(module: Op, rules: list[Rule] | RuleSet, inputs: dict[str, Any]) -> Trial | None:
    """Rewrite a module and evaluate it before and after; None when nothing applies or it fails anyway."""
    before = to_text(module)
    hits: list[str] = []
    rewrite(module, rules, fold=False, count=hits.append)
    if not hits:
        return None
    verify(module)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            expected = evaluate(parse(before), inputs)["r"]
        except Diagnostic:
            return None
        actual = evaluate(module, inputs)["r"]
    return Trial(before, to_text(module), inputs, expected, actual)


def agree(trial: Trial, regrouped: bool = False) -> bool:
    """Equal up to reassociation, NaN where NaN was; what is not finite only has to stay so where terms are regrouped."""
    a, b = np.asarray(trial.expected, float), np.asarray(trial.actual, float)
    if regrouped:
        empty = any(isinstance(v, np.ndarray) and v.size == 0 for v in trial.inputs.values())
        if a.shape == b.shape and empty and not np.isfinite(b).all():
            return True  # a sum over nothing leaves a NaN out, or does not
        a, b = np.where(np.isfinite(a), a, np.nan), np.where(np.isfinite(b), b, np.nan)
    return a.shape == b.shape and np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)
