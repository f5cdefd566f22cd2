"""The rewrite driver: applies rules anywhere they match until none does, folds, and removes what is no longer used.

    @rule(Transpose)
    def double_transpose(op: Transpose, b: Builder) -> Replacement:
        # t(t(X)) = X
        inner = op.operand.op
        return inner.operands[0] if isinstance(inner, Transpose) else None

A rule gets an operation and a builder that inserts before it, and gives what replaces the results (a value, or one value
for each result), `CHANGED` when it changed the operation in place, or None when it does not apply. A rule that builds
operations before it gives up leaves no trace: what nobody uses is removed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final, TypeAlias

from sysmlc.ir.core import Builder, Op, Value
from sysmlc.ir.define import registry
from sysmlc.ir.explain import current_recording
from sysmlc.ir.source import UNKNOWN, Diagnostic, Location
from sysmlc.ir.types import Type, compatible, meet, refines

Replacement: TypeAlias = "Value | Sequence[Value] | Changed | None"


class Changed:
    """The type of `CHANGED`."""


CHANGED: Final = Changed()


class Rule:
    """A rewrite rule: which operations it looks at and what it does.

    `depth` is how far up a change can enable it; `needs` names operations that must be among those of the operands.
    """

    __slots__ = ("apply", "depth", "group", "loc", "name", "needs", "roots")

    def __init__(
        self,
        name: str,
        roots: tuple[str, ...],
        apply: Callable[[Any, Builder], Replacement],
        *,
        depth: int = 2,
        needs: frozenset[str] = frozenset(),
        group: str = "",
        loc: Location = UNKNOWN,
    ) -> None:
        self.needs = needs
        self.name = name
        self.roots = roots
        self.apply = apply
        self.depth = depth
        self.group = group
        self.loc = loc

    def __repr__(self) -> str:
        return f"<rule {self.name}>"


def rule(
    *which: type[Op] | str, depth: int = 2, group: str = ""
) -> Callable[[Callable[[Any, Builder], Replacement]], Rule]:
    """Decorator: a function as a rule about operations of the given classes (only those called as given, if names follow)."""
    classes = [c for c in which if not isinstance(c, str)]
    fns = {fn for fn in which if isinstance(fn, str)}

    def decorate(function: Callable[[Any, Builder], Replacement]) -> Rule:
        known = [(c, name) for c in classes for name in c.names]
        roots = tuple(name for c, name in known if not fns or name.removeprefix(f"{c.dialect}.") in fns)
        unknown = fns - {root.partition(".")[2] for root in roots}
        assert not unknown, f"{function.__name__}: no operation is called {', '.join(unknown)}"
        return Rule(function.__name__.replace("_", " "), roots, function, depth=depth, group=group)

    return decorate


class RuleSet:
    """Rules by the name of the operation they start at; those given first are tried first."""

    def __init__(self, rules: Iterable[Rule] = ()) -> None:
        self.rules = list(rules)
        self.by_root: dict[str, list[Rule]] = {}
        for one in self.rules:
            for root in one.roots:
                self.by_root.setdefault(root, []).append(one)
        self.depth = max((r.depth for r in self.rules), default=1)


def rewrite(
    root: Op,
    rules: RuleSet | Iterable[Rule] = (),
    *,
    fold: bool = True,
    count: Callable[[str], object] | None = None,
    limit: int | None = None,
) -> bool:
    """Rewrite everything inside `root` to a fixpoint; whether anything changed.

    `count` is told the name of each rule applied. More than `limit` applications mean that the rules do not converge:
    an AssertionError names the ones that go round in circles.
    """
    driver = _Driver(root, rules if isinstance(rules, RuleSet) else RuleSet(rules), fold, limit)
    driver.count = count
    driver.run()
    return driver.changed


def is_removable(op: Op) -> bool:
    """Whether the operation has no effect besides its results."""
    return "pure" in op.traits or "random" in op.traits


class _Recorder(Builder):
    """A builder that remembers what it inserted."""

    __slots__ = ("made",)

    def __init__(self, anchor: Op) -> None:
        assert anchor.parent is not None
        super().__init__(anchor.parent, anchor, anchor.loc)
        self.made: list[Op] = []

    def insert(self, op: Op) -> Op:
        self.made.append(op)
        return super().insert(op)


class _Driver:
    def __init__(self, root: Op, rules: RuleSet, fold: bool, limit: int | None) -> None:
        self.by_root = rules.by_root
        self.depth = rules.depth
        self.fold = fold
        self.count: Callable[[str], object] | None = None
        self.work = [op for region in root.regions for op in region.walk()]
        self.limit = 1000 + 20 * len(self.work) if limit is None else limit
        self.work.reverse()
        self.queued = set(self.work)
        self.applied = 0
        self.recent: list[str] = []
        self.changed = False

    def run(self) -> None:
        work, queued, by_root = self.work, self.queued, self.by_root
        while work:
            op = work.pop()
            if op not in queued:
                continue
            queued.discard(op)
            if not any(r.uses for r in op.results) and op.results and is_removable(op):
                self.erase(op)
                continue
            if self.fold and type(op).fold is not Op.fold and self.folded(op):
                continue
            rules = by_root.get(op.name)
            if rules is not None:
                operands = {source.name for v in op.operands if (source := v.op) is not None}
                for one in rules:
                    if one.needs <= operands and self.apply(one, op):
                        break

    def push(self, op: Op) -> None:
        if op not in self.queued:
            self.queued.add(op)
            self.work.append(op)

    def erase(self, op: Op) -> None:
        """Remove an operation, and what only it has used: rules that ask for the only user must not see it any more."""
        self.changed = True
        stack = [op]
        while stack:
            dead = stack.pop()
            gone = dict.fromkeys(dead.walk())
            sources = dict.fromkeys(v.op for inner in gone for v in inner.operands)
            self.queued.difference_update(gone)
            dead.erase()
            for source in sources:
                if source is None or source in gone or source.parent is None:
                    continue
                if source.results and not any(r.uses for r in source.results) and is_removable(source):
                    stack.append(source)
                else:
                    self.push(source)

    def folded(self, op: Op) -> bool:
        found = op.fold()
        if found is None:
            return False
        b = _Recorder(op)
        values: list[Value] = []
        for old, new in zip(op.results, found, strict=True):
            if not isinstance(new, Value):
                new = b(registry["core.constant"], value=new, types=[old.type])
            values.append(new)
        return self.replace(op, values, b.made)

    def apply(self, one: Rule, op: Op) -> bool:
        b = _Recorder(op)
        try:
            found = one.apply(op, b)
        except Diagnostic:  # shapes that do not fit: the program is wrong, and will say so where it runs
            found = None
        if found is None:
            for made in reversed(b.made):
                self.discard(made)
            return False
        recording = current_recording()
        values = [] if isinstance(found, Changed) else [found] if isinstance(found, Value) else found
        step = None if recording is None else recording[0](one.name, op, values)
        if isinstance(found, Changed):
            self.changed = True
            self.requeue([op, *b.made])
        elif not self.replace(op, values, b.made):
            return False
        if recording is not None:
            recording[1].append(step)
        self.note(one.name)
        return True

    def replace(self, op: Op, values: Sequence[Value], made: list[Op]) -> bool:
        types = [_replacement_type(old, new, made) for old, new in zip(op.results, values, strict=True)]
        if None in types:
            for one in reversed(made):
                self.discard(one)
            return False
        users = [u for r in op.results for u in r.users()]
        for old, new, type in zip(op.results, values, types, strict=True):
            assert type is not None
            new.type = type
            old.replace_by(new)
        self.requeue(users, self.depth - 1)
        self.erase(op)
        self.requeue(made)
        return True

    def discard(self, op: Op) -> None:
        """Remove an operation that a rule built in vain (others it moved, which are in use, stay)."""
        if is_removable(op) and not any(r.uses for r in op.results):
            op.erase()

    def requeue(self, ops: Iterable[Op], levels: int = 1) -> None:
        """Look at these again, and at their users up to the depth of the deepest rule. First come, first looked at."""
        for op in reversed(list(ops)):
            self.push(op)
            if levels > 1:
                self.requeue([u for r in op.results for u in r.users()], levels - 1)

    def note(self, name: str) -> None:
        if self.count is not None:
            self.count(name)
        self.applied += 1
        if self.applied > self.limit - 100:
            self.recent.append(name)
        if self.applied > self.limit:
            names = ", ".join(f"'{n}' {k} times" for n, k in Counter(self.recent).most_common(4))
            raise AssertionError(
                f"the rules do not converge: {self.limit} applications; of the last {len(self.recent)}: {names}"
            )


def _replacement_type(old: Value, new: Value, made: list[Op]) -> Type | None:
    """The type `new` has once it also stands for `old`; None when it cannot.

    Facts about `old` also hold for `new`, but may be known only where `old` is computed (in one branch, say). And types
    that are given rather than inferred must stay as they are, since others are compared with them.
    """
    here = new.op in made or new.region is old.region
    if here and new.op is not None and type(new.op).infer is not Op.infer and compatible(new.type, old.type):
        return meet(new.type, old.type)
    return new.type if refines(new.type, old.type) else None
