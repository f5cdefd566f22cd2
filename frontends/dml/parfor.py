"""Static checks of `parfor`: its parameters, and that no round of the loop needs what another one writes.

Cells are told apart by linear subscripts: `X[2*i+1, j]` in one round and in another never meet when some dimension
keeps them apart (tests after Banerjee and the greatest common divisor). What is not linear is taken to meet.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from math import gcd
from typing import Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.flow import Flow
from sysmlc.frontends.dml.frame import Frame, Variable, literal
from sysmlc.frontends.dml.types import Literal
from sysmlc.ir.dialects.shapes import constant_int
from sysmlc.ir.source import Diagnostic, Note
from sysmlc.ir.types import Matrix

_HINT: Final = "parfor (…, check=0) turns this check off"


def parameters(frame: Frame, node: ast.ParFor) -> str:
    """The parameters as `name=value,…`; `check` has complained about wrong ones."""
    options: dict[str, Literal] = {}
    for param in node.params:
        value = param.value
        known: Literal | None = value.name if isinstance(value, ast.Name) else literal(value)
        if isinstance(value, ast.ArgRef):
            known = frame.session.argument(value.name)
        if known is None:
            raise Diagnostic(f"the parameter '{param.name}' must be a literal or a $ argument", param.loc)
        options[param.name or ""] = int(known) if isinstance(known, bool) else known
    return ",".join(f"{name}={value}" for name, value in options.items())


# ---- accesses


@dataclass(frozen=True, slots=True)
class Linear:
    """`constant + Σ coefficient · variable`."""

    constant: int = 0
    terms: Mapping[str, int] = field(default_factory=dict)

    def plus(self, other: Linear, factor: int = 1) -> Linear:
        terms = dict(self.terms)
        for name, coefficient in other.terms.items():
            terms[name] = terms.get(name, 0) + factor * coefficient
        return Linear(self.constant + factor * other.constant, {n: c for n, c in terms.items() if c})


@dataclass(frozen=True, slots=True)
class Access:
    """A part of a variable that is read or written; None as a bound or dimension: not known."""

    name: str
    node: ast.Node
    write: bool
    dims: tuple[tuple[Linear | None, Linear | None] | None, tuple[Linear | None, Linear | None] | None]
    inner: Mapping[str, tuple[int, int] | None]
    """The variables of loops around the access, inside the parfor, with their bounds where these are known."""


class _Accesses:
    """Collects the accesses of a parfor body."""

    def __init__(self, node: ast.ParFor, flow: Flow, env: Mapping[str, Variable]) -> None:
        self.env = env
        self.flow = flow
        self.var = node.var.name
        self.assigned = flow.effects[node].assigned
        self.linear: dict[str, Linear | None] = {node.var.name: Linear(0, {node.var.name: 1})}
        self.inner: dict[str, tuple[int, int] | None] = {}
        self.found: list[Access] = []
        self.sums: list[ast.Assign] = []
        self.block(node.body)

    def block(self, body: tuple[ast.Statement, ...]) -> None:
        for statement in body:
            match statement:
                case ast.Assign(target=target, value=value, accumulate=accumulate):
                    self.reads(value)
                    if accumulate:
                        self.sums.append(statement)
                    known = target.name in self.linear or accumulate or isinstance(value, ast.IfDef)
                    self.linear[target.name] = None if known else self.form(value)  # type: ignore[arg-type]
                case ast.IndexedAssign(target=target, value=value):
                    self.reads(value)
                    self.subscripts(target)
                    self.access(target, write=True)
                    if statement.accumulate:
                        self.access(target, write=False)
                case ast.MultiAssign(targets=targets, call=call):
                    self.reads(call)
                    for one in targets:
                        if isinstance(one, ast.Index):
                            self.subscripts(one)
                            self.access(one, write=True)
                        else:
                            self.linear[one.name] = None
                case ast.CallStatement(call=call):
                    self.reads(call)
                case ast.If(cond=cond, body=then, orelse=orelse):
                    self.reads(cond)
                    self.branch(then)
                    self.branch(orelse)
                case ast.While(cond=cond, body=inner):
                    self.forget(statement)
                    self.reads(cond)
                    self.branch(inner)
                case ast.For():
                    self.loop(statement)
                case _:
                    pass

    def branch(self, body: tuple[ast.Statement, ...]) -> None:
        before = set(self.linear)
        known = dict(self.linear)
        self.block(body)
        for name, form in self.linear.items():
            if name not in before or form is not known[name]:
                self.linear[name] = None

    def forget(self, loop: ast.While | ast.For) -> None:
        """Variables that change from round to round of an inner loop are not known in it."""
        for name in self.flow.effects[loop].assigned:
            self.linear[name] = None

    def loop(self, node: ast.For) -> None:
        for bound in (node.range.start, node.range.stop, node.range.by):
            if bound is not None:
                self.reads(bound)
        first, last = self.form(node.range.start), self.form(node.range.stop)
        bounds = None
        if first is not None and last is not None and not first.terms and not last.terms:
            bounds = min(first.constant, last.constant), max(first.constant, last.constant)
        name = node.var.name
        self.forget(node)
        if name == self.var or name in self.inner:
            self.branch(node.body)  # the loop takes another one's variable
            return
        self.linear[name], self.inner[name] = Linear(0, {name: 1}), bounds
        self.branch(node.body)
        del self.inner[name]
        self.linear[name] = None

    def reads(self, root: ast.Node) -> None:
        for node in _reading_nodes(root):
            if isinstance(node, ast.Index):
                self.access(node, write=False)
            elif isinstance(node, ast.Name):
                self.found.append(Access(node.name, node, False, (None, None), {}))

    def subscripts(self, target: ast.Index) -> None:
        for part in (target.rows, target.cols):
            if part is not None:
                self.reads(part)

    def access(self, node: ast.Index, *, write: bool) -> None:
        dims = (self.bounds(node.rows), self.bounds(node.cols))
        self.found.append(Access(node.base.name, node, write, dims, dict(self.inner)))

    def bounds(self, part: ast.Expr | ast.Range | None) -> tuple[Linear | None, Linear | None] | None:
        if part is None:
            return None
        if isinstance(part, ast.Range):
            return self.form(part.lower), self.form(part.upper)
        at = self.form(part)
        return at, at

    def form(self, node: ast.Expr) -> Linear | None:
        """The expression as a linear function, None when it is not one."""
        known = literal(node)
        if known is not None:
            return Linear(known) if isinstance(known, int) and not isinstance(known, bool) else None
        if isinstance(node, ast.Name):
            if node.name in self.linear:
                return self.linear[node.name]
            variable = self.env.get(node.name)
            value = (
                constant_int(variable.value) if variable is not None and variable.value is not None else None
            )
            if node.name in self.assigned:
                return None
            return Linear(value) if value is not None else Linear(0, {node.name: 1})
        if isinstance(node, ast.Unary) and node.op in "+-":
            inner = self.form(node.operand)
            return None if inner is None else Linear().plus(inner, 1 if node.op == "+" else -1)
        if isinstance(node, ast.Binary):
            left, right = self.form(node.left), self.form(node.right)
            if left is not None and right is not None:
                if node.op in "+-":
                    return left.plus(right, 1 if node.op == "+" else -1)
                if node.op == "*" and not left.terms:
                    return Linear().plus(right, left.constant)
                if node.op == "*" and not right.terms:
                    return Linear().plus(left, right.constant)
        return None


def _reading_nodes(root: ast.Node) -> Iterator[ast.Node]:
    """The variables and indexed variables whose cells `root` reads; sizes are no cells."""
    stack = [root]
    while stack:
        node = stack.pop()
        if isinstance(node, ast.Call) and node.name in ("nrow", "ncol", "length") and node.namespace is None:
            stack.extend(arg.value for arg in node.args if not isinstance(arg.value, ast.Name))
            continue
        if isinstance(node, ast.Index):
            yield node
            stack.extend(part for part in (node.rows, node.cols) if part is not None)
            continue
        if isinstance(node, ast.Name):
            yield node
            continue
        stack.extend(reversed(ast.children(node)))


# ---- dependencies


def check_dependencies(node: ast.ParFor, flow: Flow, env: Mapping[str, Variable]) -> list[Diagnostic]:
    """An error for each variable through which the rounds of the loop depend on each other."""
    effect, after = flow.effects[node], flow.after[node]
    accesses = _Accesses(node, flow, env)
    errors: dict[str, Diagnostic] = {}
    sums = {one.target.name for one in accesses.sums if _is_matrix(env, one.target.name)}
    for name, at in effect.assigned.items():
        if name == node.var.name:
            continue
        reads = [a for a in accesses.found if a.name == name and not a.write]
        if name in effect.replaced:
            if name in sums and not reads and _only_sums(node, name):
                continue
            if name in effect.reads:
                first = reads[0].node if reads else at
                errors[name] = _dependency(name, at, first, "is read here, from the round before")
            elif name in env and name in after:
                errors[name] = _dependency(name, at, None, "")
            continue
        writes = [a for a in accesses.found if a.name == name and a.write]
        count = _rounds(accesses, node)
        for write in writes:
            hit = next((a for a in writes + reads if _may_meet(write, a, node.var.name, count)), None)
            if hit is not None:
                what = (
                    "may be written here by another round"
                    if hit.write
                    else "may be read here by another round"
                )
                errors[name] = _dependency(name, write.node, hit.node, what)
                break
    return list(errors.values())


def _dependency(name: str, at: ast.Node, other: ast.Node | None, what: str) -> Diagnostic:
    notes = (Note(f"'{name}' {what}", other.loc),) if other is not None else ()
    text = f"the rounds of this parfor depend on each other through '{name}'"
    if other is None:
        text = f"every round of this parfor assigns '{name}', which is used after it"
    return Diagnostic(text, at.loc, notes=notes, hint=_HINT)


def _is_matrix(env: Mapping[str, Variable], name: str) -> bool:
    variable = env.get(name)
    return variable is not None and variable.value is not None and isinstance(variable.value.type, Matrix)


def _only_sums(node: ast.ParFor, name: str) -> bool:
    """Whether every assignment of the variable in the body is `+=`."""
    for inner in ast.walk(node):
        if isinstance(inner, ast.Assign) and inner.target.name == name and not inner.accumulate:
            return False
        if isinstance(inner, ast.MultiAssign | ast.IndexedAssign):
            targets = inner.targets if isinstance(inner, ast.MultiAssign) else (inner.target,)
            if any((t.base if isinstance(t, ast.Index) else t).name == name for t in targets):
                return False
    return True


def _rounds(accesses: _Accesses, node: ast.ParFor) -> int | None:
    """The largest distance of two values of the loop variable, where the bounds are known."""
    bounds = [literal(bound) for bound in (node.range.start, node.range.stop)]
    if all(isinstance(b, int) for b in bounds):
        return abs(int(bounds[1] or 0) - int(bounds[0] or 0))
    return None


def _may_meet(a: Access, b: Access, var: str, distance: int | None) -> bool:
    """Whether two accesses can touch one cell in different rounds."""
    return all(
        x is None or y is None or _overlap(x, y, a, b, var, distance)
        for x, y in zip(a.dims, b.dims, strict=True)
    )


def _overlap(
    x: tuple[Linear | None, Linear | None],
    y: tuple[Linear | None, Linear | None],
    a: Access,
    b: Access,
    var: str,
    distance: int | None,
) -> bool:
    """Whether the indexes of two accesses along one dimension can be equal in different rounds."""
    (low_a, high_a), (low_b, high_b) = x, y
    if low_a is None or high_a is None or low_b is None or high_b is None:
        return True
    if low_a is high_a and low_b is high_b:
        # No common divisor of the coefficients divides the distance: never equal.
        own_a = {n: c for n, c in low_a.terms.items() if n == var or n in a.inner}
        own_b = {n: c for n, c in low_b.terms.items() if n == var or n in b.inner}
        rest_a = {n: c for n, c in low_a.terms.items() if n not in own_a}
        rest_b = {n: c for n, c in low_b.terms.items() if n not in own_b}
        divisor = gcd(*own_a.values(), *own_b.values())
        apart = low_b.constant - low_a.constant
        if rest_a == rest_b and (apart % divisor != 0 if divisor else apart != 0):
            return False
    range_a, range_b = _interval(low_a, high_a, a, var), _interval(low_b, high_b, b, var)
    if range_a is None or range_b is None or range_a[:2] != range_b[:2]:
        return True
    step = range_a[0]
    # step · t must lie between these for some t ≠ 0, the distance of two rounds.
    least, most = range_b[2] - range_a[3], range_b[3] - range_a[2]
    if step == 0:
        return least <= 0 <= most
    low, high = sorted((least / step, most / step))
    limit = distance if distance is not None else float("inf")
    return (high >= 1 and low <= limit and _has_integer(max(low, 1), min(high, limit))) or (
        low <= -1 and high >= -limit and _has_integer(max(low, -limit), min(high, -1))
    )


def _has_integer(low: float, high: float) -> bool:
    return low <= high and (high == float("inf") or int(high // 1) >= low)


def _interval(
    low: Linear, high: Linear, access: Access, var: str
) -> tuple[int, Mapping[str, int], int, int] | None:
    """Indexes as `step · var + rest + [first, last]`, with inner loops taken over all of their rounds."""
    if low.terms.get(var, 0) != high.terms.get(var, 0):
        return None
    ends: list[int] = []
    rests: list[dict[str, int]] = []
    for bound, pick in ((low, min), (high, max)):
        at = bound.constant
        rest: dict[str, int] = {}
        for name, coefficient in bound.terms.items():
            if name in access.inner:
                span = access.inner[name]
                if span is None:
                    return None
                at += pick(coefficient * span[0], coefficient * span[1])
            elif name != var:
                rest[name] = coefficient
        ends.append(at)
        rests.append(rest)
    if rests[0] != rests[1]:
        return None
    return low.terms.get(var, 0), rests[0], ends[0], ends[1]
