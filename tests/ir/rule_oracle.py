"""The rule oracle: runs both sides of a rewrite rule on small matrices of many shapes and compares the results.

A rule is tried with all sizes known, with sizes known by name only, and with sizes unknown; with constants and with inputs
for its scalars; with empty and with all-zero matrices, and with cells that are not finite. Whenever it applies, what it builds must verify, have the shape and
the values of what it replaced, and must not fail where that did not.
"""

from __future__ import annotations

import random
import re
import zlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.algebra import Apply, Expr, Number, Variable, variables
from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.dialects.core import Constant, Func, Module, Return
from sysmlc.ir.dialects.dml_scalar import Input, Output
from sysmlc.ir.facts import Facts, assumed, observed
from sysmlc.ir.printer import to_text
from sysmlc.ir.rewrite import rewrite
from sysmlc.ir.rules import TableRule, resolve
from sysmlc.ir.source import UNKNOWN, Diagnostic
from sysmlc.ir.types import Type, f64, i1, i64, matrix
from sysmlc.ir.verify import verify

SIZES = (0, 1, 1, 2, 3, 4)
SCALARS = (0, 1, -1, 2, 3, 0.0, 1.0, -1.0, 2.0, 0.5, -2.5, True, False)
CELLS = (0.0, 0.0, 1.0, -1.0, 2.0, 0.5, -3.25, 4.0)
Shape = tuple[int, ...]
_FACTS = re.compile(r"\b(low|high|no_nan|whole|symmetric|ascending|one_in_row)\(")
MODES = ("known", "named", "unknown")

INTEGERS = (1, 1, 1, 2, 2, 3, 4, 0)
_BITS = dict.fromkeys(("dml.bitand", "dml.bitor", "dml.bitxor", "dml.shiftl", "dml.shiftr"), "ii")
_KINDS: dict[str, str] = {
    "dml.fill": "fii", "dml.index": ".iiii", "dml.left_index": "..iiii", "dml.get_cell": ".ii", "dml.set_cell": ".fii",
    "dml.reshape": ".iib", "dml.roll": ".i", "dml.table": "...ii", "dml.rand": "iifff.if", "dml.sample": "iibi",
    "dml.order": "..bb", "dml.lower_tri": ".bb", "dml.upper_tri": ".bb", "dml.remove_empty": "...b", "dml.seq": "fff",
    "dml.replace": ".ff", "dml.as_matrix": "f", **_BITS,
}  # fmt: skip
"""Operands that must be of one scalar type: i64, f64 (f) or i1 (b). Their operations do not check what front ends ensure."""


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


def kinds(rule: TableRule, e: Expr) -> dict[str, str]:
    """The scalar variables of an expression whose type their place determines."""
    found: dict[str, str] = {}
    if isinstance(e, Apply):
        places = _KINDS.get(resolve(e, rule.vocabulary, UNKNOWN)[0], "")
        for arg, kind in zip(e.args, places.ljust(len(e.args), ".")[: len(e.args)], strict=True):
            if isinstance(arg, Variable) and kind != ".":
                found[arg.name] = kind
            found |= kinds(rule, arg)
    return found


def _scalar(rng: random.Random, kind: str | None, others: list[Shape]) -> Any:
    if kind == "i":
        sizes = [d for shape in others for d in shape]
        return rng.choice(sizes) if sizes and rng.random() < 0.6 else rng.choice(INTEGERS)
    if kind == "b":
        return rng.random() < 0.5
    return float(rng.choice(SCALARS)) if kind == "f" else rng.choice(SCALARS)


def cases(rule: TableRule, count: int, special: tuple[float, ...] = ()) -> Iterator[Case]:
    """Deterministically random cases for a rule; cells of some are also `special` ones."""
    rng = random.Random(zlib.crc32(rule.name.encode()))
    names, scalar_kinds = variables(rule.left), kinds(rule, rule.left)
    asks_for_facts = _FACTS.search(rule.name) is not None
    for i in range(count):
        sizes = [rng.choice(SIZES[asks_for_facts and i % 3 > 0 :]) for _ in range(rng.choice((1, 2, 2, 3)))]
        cells = CELLS + special if special and i % 3 == 0 else CELLS
        values: dict[str, Any] = {}
        for name in names:
            shapes = [v.shape for v in values.values() if isinstance(v, np.ndarray)]
            if name[0].isupper():
                given = [v for n, v in values.items() if scalar_kinds.get(n) == "i"]
                shape = _shape(rng, [*sizes, *given], shapes)
                zero = rng.random() < 0.2
                flat = [0.0 if zero else rng.choice(cells) for _ in range(shape[0] * shape[1])]
                values[name] = np.array(flat, float).reshape(shape)
                if asks_for_facts and rng.random() < 0.7:
                    values[name] = _patterned(rng, values[name], rule.name)
            else:
                values[name] = _scalar(rng, scalar_kinds.get(name), shapes)
                if (
                    special
                    and isinstance(values[name], float)
                    and rng.random() < 0.05
                    and "regroup" not in rule.group
                ):
                    values[name] = rng.choice((np.inf, -np.inf))
                if asks_for_facts and rng.random() < 0.1:
                    values[name] = np.nan
        constants = frozenset(n for n in names if not n[0].isupper() and rng.random() < 0.6)
        yield Case(MODES[i % len(MODES)], values, constants)


def _patterned(rng: random.Random, x: Any, asked: str) -> Any:
    """A matrix with one of the patterns that rules ask for, mostly with one that this one does."""
    patterns = ("positive", "binary", "whole", "symmetric", "ascending", "one in row", "small")
    named = [p for p in patterns if p.replace(" ", "_") in asked]
    kind = rng.choice(named if named and rng.random() < 0.6 else patterns)
    if kind in ("positive", "small"):
        return (
            np.abs(x) + rng.choice((0, 0.5, 1)) if kind == "positive" else np.minimum(x, rng.choice((0, -1)))
        )
    if kind in ("binary", "whole"):
        return np.where(x > 0, 1.0, 0.0) if kind == "binary" else np.floor(x)
    if kind == "one in row":
        kept = np.abs(x) if rng.random() < 0.4 else x
        return np.where(np.arange(x.shape[1]) == rng.randrange(max(x.shape[1], 1)), kept, 0.0)
    if kind == "ascending":
        return np.sort(x[:, :1], axis=0)
    n = min(x.shape)
    return x[:n, :n] + x[:n, :n].T


def _shape(rng: random.Random, sizes: list[int], others: list[Shape]) -> Shape:
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
    env: dict[Expr, Value] = {}
    for name in variables(rule.left):
        if name in case.constants:
            env[Variable(name)] = b(Constant, value=case.values[name])
        else:
            env[Variable(name)] = b(Input, name_=name, types=[case.type_of(name)])
    b.op(Output, _emit(b, rule, rule.left, env), name_="result")
    b.op(Return, [])
    return module


def _emit(b: Builder, rule: TableRule, e: Expr, env: dict[Expr, Value]) -> Value:
    """The value of an expression; equal applications are computed once."""
    if e in env:
        return env[e]
    if isinstance(e, Number):
        return b(Constant, value=e.value)
    assert isinstance(e, Apply)
    name, attrs = resolve(e, rule.vocabulary, UNKNOWN)
    args = [_emit(b, rule, a, env) for a in e.args]
    cls = registry[name]
    first: tuple[Any, ...] = (name.partition(".")[2],) if len(cls.names) > 1 else ()
    operands = [args] if definitions[cls].variadic else args
    env[e] = b(cls, *first, *operands, **attrs)
    return env[e]


def inputs_of(module: Module, case: Case) -> dict[Value, Facts]:
    """What is known of the inputs of a module: all that is true."""
    return {
        op.result: observed(case.values[str(op.attrs["name_"])])
        for op in module.walk()
        if op.name == "dml.input" and not isinstance(case.values[str(op.attrs["name_"])], bool)
    }


def run(module: Module, case: Case) -> Any:
    """The result of a module, or None when it fails."""
    try:
        with np.errstate(all="ignore"):
            return evaluate(module, inputs=case.values, output=lambda line: None)["result"]
    except (
        Diagnostic,
        TypeError,
        ValueError,
        IndexError,
    ):  # the evaluator does not check all that front ends ensure
        return None


def check(rule: TableRule, *, count: int = 150, special: tuple[float, ...] = (np.nan,)) -> int:
    """Try a rule; gives how often it applied. Raises WrongRule with the case when it is wrong.

    A rule that seldom applies gets ten times as many cases. Cells may be `special`: by default NaN, which stays NaN. In groups
    named "regroup" infinity is as good as NaN, and a sum over nothing may have one. Cells are finite for those named "sparse",
    which leave zeros out of products, and "pivots", whose operations choose their steps by comparing cells.
    """
    applied = 0
    regroups, finite = "regroup" in rule.group, re.search("sparse|pivots", rule.group)
    for i, case in enumerate(cases(rule, 10 * count, special if finite is None else ())):
        if i >= count and applied >= 5:
            break
        try:
            module = build(rule, case)
        except Diagnostic:
            continue
        before = to_text(module)
        expected = run(module, case)
        hits: list[str] = []
        try:
            with assumed(inputs_of(module, case)):
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
        empty = any(isinstance(v, np.ndarray) and not v.size for v in case.values.values())
        if not _equal(expected, found, regroups, empty):
            values = "".join(f"\n{k} =\n{v}" for k, v in case.values.items())
            raise WrongRule(
                f"{rule.loc}: {rule.name}\nwith {values}\nis\n{expected}\nbut becomes\n{found}\n"
                f"before:\n{before}after:\n{to_text(module)}"
            )
    return applied


def _equal(a: Any, b: Any, regrouped: bool, over_nothing: bool) -> bool:
    """Equal up to reassociation, NaN where NaN was."""
    if b is None:
        return False
    if isinstance(a, str) or isinstance(b, str):
        return bool(a == b)
    if np.shape(a) != np.shape(b):
        return False
    x, y = np.asarray(a, float), np.asarray(b, float)
    if regrouped:
        if over_nothing and not np.isfinite(y).all():
            return True
        x, y = np.where(np.isfinite(x), x, np.nan), np.where(np.isfinite(y), y, np.nan)
    return bool(np.allclose(x, y, rtol=1e-9, atol=1e-9, equal_nan=True))
