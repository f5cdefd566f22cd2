"""The rule oracle: runs both sides of a rewrite rule on small matrices of many shapes and compares the results.

A rule is tried with all sizes known, with sizes known by name only, and with sizes unknown; with constants and with inputs
for its scalars; with empty and with all-zero matrices. Whenever it applies, what it builds must verify, have the shape and
the values of what it replaced, and must not fail where that did not.
"""

from __future__ import annotations

import random
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.algebra import Apply, Expr, Number, Variable
from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.dialects.core import Constant, Func, Module, Return
from sysmlc.ir.dialects.dml_scalar import Input, Output
from sysmlc.ir.printer import to_text
from sysmlc.ir.rewrite import rewrite
from sysmlc.ir.rules import TableRule, resolve
from sysmlc.ir.source import UNKNOWN, Diagnostic
from sysmlc.ir.types import Type, f64, i1, i64, matrix
from sysmlc.ir.verify import verify

SIZES = (0, 1, 1, 2, 3, 4)
SCALARS = (0, 1, -1, 2, 3, 0.0, 1.0, -1.0, 2.0, 0.5, -2.5, True, False)
CELLS = (0.0, 0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 4.0)
SPECIAL = (np.nan, np.inf, -np.inf)
MODES = ("known", "named", "unknown")


@dataclass(frozen=True)
class Case:
    """Values for the variables of a rule, and how much of them the compiler knows."""

    mode: str
    values: Mapping[str, Any]
    constants: frozenset[str]

    def type_of(self, name: str) -> Type:
        value = self.values[name]
        if not isinstance(value, np.ndarray):
            return i1 if isinstance(value, bool) else i64 if isinstance(value, int) else f64
        if self.mode == "unknown":
            return matrix()
        rows, cols = value.shape
        nnz = int(np.count_nonzero(value))
        if self.mode == "named":
            return matrix(f"n{rows}" if rows > 1 else rows, f"n{cols}" if cols > 1 else cols, nnz=nnz)
        return matrix(rows, cols, nnz=nnz)


class WrongRule(AssertionError):
    """A rule does not preserve what it rewrites."""


def variables(e: Expr) -> list[str]:
    """The variables of an expression."""
    if isinstance(e, Variable):
        return [e.name]
    return list(dict.fromkeys(v for a in e.args for v in variables(a))) if isinstance(e, Apply) else []


def cases(rule: TableRule, count: int, special: bool) -> Iterator[Case]:
    """Deterministically random cases for a rule."""
    rng = random.Random(zlib.crc32(rule.name.encode()))
    names = variables(rule.left)
    for i in range(count):
        sizes = [rng.choice(SIZES) for _ in range(rng.choice((1, 2, 2, 3)))]
        cells = CELLS + SPECIAL if special and rng.random() < 0.3 else CELLS
        values: dict[str, Any] = {}
        for name in names:
            if name[0].isupper():
                shape = _shape(rng, sizes, [v.shape for v in values.values() if isinstance(v, np.ndarray)])
                zero = rng.random() < 0.2
                flat = [0.0 if zero else rng.choice(cells) for _ in range(shape[0] * shape[1])]
                values[name] = np.array(flat, float).reshape(shape)
            else:
                values[name] = rng.choice(SCALARS)
        constants = frozenset(n for n in names if not n[0].isupper() and rng.random() < 0.6)
        yield Case(MODES[i % len(MODES)], values, constants)


def _shape(rng: random.Random, sizes: list[int], others: list[tuple[int, ...]]) -> tuple[int, int]:
    """A shape that often fits one of the others: equal, a vector to broadcast, transposed, or to multiply with."""
    if not others or rng.random() < 0.3:
        return rng.choice(sizes), rng.choice(sizes)
    rows, cols = rng.choice(others)
    return rng.choice(
        [(rows, cols), (rows, cols), (1, cols), (rows, 1), (cols, rows), (cols, rng.choice(sizes)), (1, 1)]
    )


def build(rule: TableRule, case: Case) -> Module:
    """A module that computes the left side of a rule. Raises Diagnostic when the shapes of the case do not fit."""
    body, holder = Region(), Region()
    holder.append(Func.new(sym="main", regions=[body]))
    module = Module.new(regions=[holder])
    b = Builder(body)
    env: dict[str, Value] = {}
    for name in variables(rule.left):
        if name in case.constants:
            env[name] = b(Constant, value=case.values[name])
        else:
            env[name] = b(Input, name_=name, types=[case.type_of(name)])
    b.op(Output, _emit(b, rule, rule.left, env), name_="result")
    b.op(Return, [])
    return module


def _emit(b: Builder, rule: TableRule, e: Expr, env: dict[str, Value]) -> Value:
    if isinstance(e, Variable):
        return env[e.name]
    if isinstance(e, Number):
        return b(Constant, value=e.value)
    name, attrs = resolve(e, rule.vocabulary, UNKNOWN)
    args = [_emit(b, rule, a, env) for a in e.args]
    cls = registry[name]
    first: tuple[Any, ...] = (name.partition(".")[2],) if len(cls.names) > 1 else ()
    operands = [args] if definitions[cls].variadic else args
    return b(cls, *first, *operands, **attrs)


def run(module: Module, case: Case) -> Any:
    """The result of a module, or None when it fails."""
    try:
        with np.errstate(all="ignore"):
            return evaluate(module, inputs=case.values, output=lambda line: None)["result"]
    except Diagnostic:
        return None


def check(rule: TableRule, *, count: int = 150, special: bool = False) -> int:
    """Try a rule; gives how often it applied. Raises WrongRule with the case when it is wrong."""
    applied = 0
    for case in cases(rule, count, special):
        try:
            module = build(rule, case)
        except Diagnostic:
            continue
        before = to_text(module)
        expected = run(module, case)
        hits: list[str] = []
        try:
            rewrite(module, [rule], count=hits.append, fold=False, limit=50)
        except AssertionError as error:
            raise WrongRule(f"{rule.loc}: {error}") from None
        if not hits:
            continue
        verify(module)
        if expected is None:  # the program was wrong; nothing is promised
            continue
        applied += 1
        found = run(module, case)
        if not _equal(expected, found):
            values = "".join(f"\n{k} =\n{v}" for k, v in case.values.items())
            raise WrongRule(
                f"{rule.loc}: {rule.name}\nwith {values}\nis\n{expected}\nbut becomes\n{found}\n"
                f"before:\n{before}after:\n{to_text(module)}"
            )
    return applied


def _equal(a: Any, b: Any) -> bool:
    if isinstance(a, str) or isinstance(b, str) or b is None:
        return bool(a == b)
    if np.shape(a) != np.shape(b):
        return False
    return bool(np.allclose(np.asarray(a, float), np.asarray(b, float), rtol=1e-9, atol=1e-9, equal_nan=True))
