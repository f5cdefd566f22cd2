"""The verifier: structure first, then what definitions declare, then what operations infer and check themselves.

Everything a pass can get wrong should show here, right after the pass: broken links and use lists, uses that are not
dominated by their definition, operands, attributes and regions that do not fit, result types that contradict inference.
"""

from __future__ import annotations

from typing import Any, Final

from sysmlc.ir.core import Op, Region, Value
from sysmlc.ir.define import Definition, definitions
from sysmlc.ir.nearest import nearest
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Note
from sysmlc.ir.symbols import symbol_table
from sysmlc.ir.types import Handle, Matrix, Scalar, Type, Vector, compatible

_TYPE_WORDS: Final = {
    Matrix: "a matrix",
    Scalar: "a scalar",
    Handle: "a list, frame or box",
    Vector: "a SIMD vector",
}


def verify(op: Op, *, shapes: bool = True) -> None:
    """Raise a Diagnostic when `op` (a module, a function or another isolated operation) is not valid.

    Without `shapes`, operands that inference rejects are let through: such a program is wrong, but the IR is not. A pass may
    come to know sizes that cannot fit (by inlining, say) in code that never runs; what does run fails there, with its place.
    """
    verifier = _Verifier(shapes)
    try:
        verifier.op(op)
    except RecursionError:
        raise op.error("regions are nested too deeply") from None
    if verifier.uses != verifier.operands:
        raise _stale_use(op)


class _Plan:
    """What to check of an operation class, prepared once."""

    __slots__ = (
        "attrs",
        "call",
        "checks",
        "count",
        "fields",
        "infers",
        "isolated",
        "names",
        "regions",
        "required",
        "symbols",
        "terminator",
        "types",
        "variadic",
    )  # fmt: skip

    def __init__(self, d: Definition) -> None:
        self.names = frozenset(d.cls.names)
        self.fields = d.operands
        self.variadic = d.variadic
        self.count = len(d.operands)
        typed = tuple((i, f.types) for i, f in enumerate(d.operands) if f.types)
        self.types: tuple[tuple[int, tuple[Any, ...]], ...] = () if d.variadic else typed
        self.attrs = {a.name: (a.types, a.element) for a in d.attrs}
        self.required = tuple(a.name for a in d.attrs if a.required)
        self.regions = d.regions
        self.infers = d.cls.infer is not Op.infer
        self.checks = d.cls.check is not Op.check
        self.isolated = "isolated" in d.cls.traits
        self.terminator = "terminator" in d.cls.traits
        self.symbols = "symbols" in d.cls.traits
        self.call = "call" in d.cls.traits


_plans: dict[type[Op], _Plan] = {}


def _plan(op: Op) -> _Plan:
    found = _plans.get(type(op))
    if found is None:
        definition = definitions.get(type(op))
        if definition is None:
            raise op.error("is not a defined operation")
        found = _plans[type(op)] = _Plan(definition)
    return found


class _Verifier:
    def __init__(self, shapes: bool) -> None:
        self.shapes = shapes
        self.visible: set[Value] = set()
        self.symbols: dict[str, Op] = {}
        self.operands = 0
        self.uses = 0

    def op(self, op: Op) -> None:
        plan = _plans.get(type(op)) or _plan(op)
        if op.name not in plan.names:
            raise op.error(f"is not a name of {type(op).__name__}")
        visible = self.visible
        operands = op.operands
        self.operands += len(operands)
        for i, value in enumerate(operands):
            if value not in visible:
                raise _not_visible(op, i)
            if (op, i) not in value.uses:
                raise op.error(f"operand {i} does not know about this use")
        if plan.variadic:
            _check_variadic(op, plan)
        else:
            if len(operands) != plan.count:
                raise _wrong_count(op, plan)
            for i, types in plan.types:
                if not isinstance(operands[i].type, types):
                    raise _wrong_type(op, plan.fields[i].name, operands[i].type, types)
        if op.attrs or plan.required:
            _check_attrs(op, plan)
        if op.regions or plan.regions:
            self.regions(op, plan)
        if plan.infers:
            _check_inferred(op, self.shapes)
        if plan.checks:
            _guarded(op, op.check)
        if plan.call:
            self.call(op)
        for i, result in enumerate(op.results):
            if result.owner is not op or result.index != i:
                raise op.error(f"result {i} does not belong to it")
            self.uses += len(result.uses)
            visible.add(result)

    def regions(self, op: Op, plan: _Plan) -> None:
        if len(op.regions) != len(plan.regions):
            raise op.error(
                f"must have {len(plan.regions)} regions ({', '.join(plan.regions)}), has {len(op.regions)}"
            )
        outer_visible, outer_symbols = self.visible, self.symbols
        if plan.isolated:
            self.visible = set()
        if plan.symbols:
            self.symbols = symbol_table(op)
        for region in op.regions:
            if region.parent is not op:
                raise op.error("a region does not know its operation")
            self.region(op, region, not plan.symbols)
        self.visible, self.symbols = outer_visible, outer_symbols

    def region(self, op: Op, region: Region, needs_terminator: bool) -> None:
        visible = self.visible
        for i, arg in enumerate(region.args):
            if arg.owner is not region or arg.index != i:
                raise op.error(f"region argument {i} does not belong to its region")
            self.uses += len(arg.uses)
            visible.add(arg)
        last = region.last
        if needs_terminator and last is None:
            raise op.error("a region is empty: it must end in core.return or core.yield")
        before: Op | None = None
        inner = region.first
        while inner is not None:
            if inner.parent is not region or inner.prev is not before:
                raise inner.error("is not linked into its region properly")
            self.op(inner)
            if "terminator" in inner.traits:
                if inner is not last or not needs_terminator:
                    raise inner.error("must be the last operation of a region")
            elif inner is last and needs_terminator:
                raise inner.error("is last in its region, which must end in core.return or core.yield")
            before, inner = inner, inner.next
        if before is not last:
            raise op.error("a region's last operation is not the last one linked")
        if op.parent is not None:  # what is defined in here cannot be seen from outside
            for arg in region.args:
                visible.discard(arg)
            for inner in region:
                visible.difference_update(inner.results)

    def call(self, op: Op) -> None:
        name = op.attrs["callee"]
        callee = self.symbols.get(name) if isinstance(name, str) else None
        if callee is None:
            raise op.error(f"there is no function '{name}'", nearest(str(name), self.symbols))
        body = callee.regions[0] if callee.regions else None
        if body is None or body.last is None:
            raise op.error(f"'{name}' is not a function")
        for what, given, wanted in (
            ("arguments", [v.type for v in op.operands], [a.type for a in body.args]),
            ("results", [r.type for r in op.results], [v.type for v in body.last.operands]),
        ):
            if len(given) != len(wanted) or not all(map(compatible, given, wanted)):
                note = Note(f"{name} has {what} ({', '.join(map(str, wanted))})", callee.loc)
                listed = ", ".join(map(str, given))
                raise Diagnostic(f"'{op.name}' {what} ({listed}) do not fit '{name}'", op.loc, notes=(note,))


def _not_visible(op: Op, index: int) -> Diagnostic:
    value = op.operands[index]
    what = f"operand {index}{f' (%{value.name})' if value.name else ''}"
    owner = value.op
    if owner is op:
        return op.error(f"{what} is its own result")
    if owner is not None and owner.parent is op.parent and op.parent is not None:
        why = "is used before it is defined"
    elif owner is not None and owner.parent is None:
        why = "comes from an operation that is in no region"
    else:
        why = "is defined in a region that cannot be seen from here"
    notes = () if owner is None else (Note("it is defined here", owner.loc),)
    return Diagnostic(f"'{op.name}' {what} {why}", op.loc, notes=notes)


def _stale_use(op: Op) -> Diagnostic:
    inside = set(op.walk())
    for inner in inside:
        for value in [*inner.results, *(a for r in inner.regions for a in r.args)]:
            for user, i in value.uses:
                if user not in inside or i >= len(user.operands) or user.operands[i] is not value:
                    return inner.error(f"a value lists a use by '{user.name}' that is not there")
    return op.error("use lists and operands differ")


def _wrong_count(op: Op, plan: _Plan) -> Diagnostic:
    names = ", ".join(f.name + ("…" if f.variadic else "") for f in plan.fields)
    least = "at least " if plan.variadic else ""
    wanted = plan.count - plan.variadic
    takes = (
        f"takes {least}{wanted} operand{'' if wanted == 1 else 's'} ({names})"
        if names
        else "takes no operands"
    )
    return op.error(f"{takes}, but has {len(op.operands)}")


def _wrong_type(op: Op, field: str, type: Type, types: tuple[Any, ...]) -> Diagnostic:
    wanted = " or ".join(_TYPE_WORDS.get(t, str(t)) for t in types)
    return op.error(f"operand '{field}' must be {wanted}, but is {type}")


def _check_variadic(op: Op, plan: _Plan) -> None:
    extra = len(op.operands) - plan.count
    if extra < -1:
        raise _wrong_count(op, plan)
    at = 0
    for field in plan.fields:
        following = at + (extra + 1 if field.variadic else 1)
        if field.types:
            for value in op.operands[at:following]:
                if not isinstance(value.type, field.types):
                    raise _wrong_type(op, field.name, value.type, field.types)
        at = following


def _check_attrs(op: Op, plan: _Plan) -> None:
    attrs = op.attrs
    for name in plan.required:
        if name not in attrs:
            raise op.error(f"needs the attribute '{name}'")
    for name, value in attrs.items():
        field = plan.attrs.get(name)
        if field is None:
            hint = f"it has {', '.join(plan.attrs)}" if plan.attrs else None
            raise op.error(f"has no attribute '{name}'", nearest(name, plan.attrs) or hint)
        types, element = field
        if types and type(value) not in types:
            wanted = " or ".join(t.__name__ for t in types)
            raise op.error(f"attribute '{name}' must be {wanted}, but is {type(value).__name__}")
        if element is not None and isinstance(value, tuple) and any(type(v) is not element for v in value):
            raise op.error(f"attribute '{name}' must be a tuple of {element.__name__}")


def _guarded(op: Op, step: Any) -> Any:
    """Run a method of an operation that may be malformed in ways the method does not expect."""
    try:
        return step()
    except (Diagnostic, DiagnosticGroup, RecursionError):
        raise
    except Exception as error:
        raise op.error(f"cannot be checked: {type(error).__name__}: {error}") from error


def _inferred_if_it_fits(op: Op) -> Any:
    try:
        return op.infer()
    except Diagnostic:
        return None


def _check_inferred(op: Op, shapes: bool) -> None:
    inferred = _guarded(op, op.infer if shapes else lambda: _inferred_if_it_fits(op))
    if inferred is None:
        return
    results = op.results
    if len(inferred) != len(results):
        raise op.error(f"has {len(inferred)} results, but {len(results)} are given")
    for result, type in zip(results, inferred, strict=True):
        if result.type is not type and not compatible(result.type, type):
            raise op.error(f"has a result of type {type}, but {result.type} is given")
