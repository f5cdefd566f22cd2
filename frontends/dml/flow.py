"""Which variables a piece of a script reads and assigns, and which are still wanted after it.

Lowering turns variables into values: a branch or loop must hand out exactly those that are assigned inside and
read later, and a loop must take in those that are read before they are assigned. Both follow from two walks over
the tree: summaries from the inside out, then what is wanted from the end to the start.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

from sysmlc.frontends.dml import ast


@dataclass(slots=True)
class Effect:
    """What a statement or block does to the variables."""

    reads: set[str] = field(default_factory=set)
    """Read on some path before they are assigned."""
    kills: set[str] = field(default_factory=set)
    """Assigned on every path."""
    assigned: dict[str, ast.Node] = field(default_factory=dict)
    """Assigned on some path, in order of first assignment, with the place of that."""
    replaced: set[str] = field(default_factory=set)
    """Assigned as a whole on some path, not only cell by cell."""

    def read(self, names: Iterable[str]) -> None:
        kills = self.kills
        self.reads.update(name for name in names if name not in kills)

    def assign(self, name: str, at: ast.Node) -> None:
        self.kills.add(name)
        self.replaced.add(name)
        self.assigned.setdefault(name, at)

    def absorb(self, other: Effect) -> None:
        """Take in everything but the kills of a part."""
        self.reads |= other.reads - self.kills
        self.replaced |= other.replaced
        for name, at in other.assigned.items():
            self.assigned.setdefault(name, at)


class Flow:
    """The effects of the branches and loops of one function body, and what is wanted after each."""

    def __init__(self, body: tuple[ast.Statement, ...], wanted: Iterable[str]) -> None:
        self.effects: dict[ast.Node, Effect] = {}
        """For an `If` the effect of the whole statement; for a loop, of one round (its condition included)."""
        self.after: dict[ast.Node, set[str]] = {}
        self._uses: dict[ast.Node, set[str]] = {}
        self.body = self._block(body)
        self._wanted(body, set(wanted))

    # ---- from the inside out

    def _block(self, body: tuple[ast.Statement, ...]) -> Effect:
        effect = Effect()
        for statement in body:
            kind = type(statement)
            if kind is ast.Assign:
                uses = reads_of(statement.value)  # type: ignore[union-attr]
                target: ast.Name = statement.target  # type: ignore[union-attr,assignment]
                if statement.accumulate:  # type: ignore[union-attr]
                    uses.add(target.name)
                self._uses[statement] = uses
                effect.read(uses)
                effect.assign(target.name, target)
            else:
                self._other(statement, effect)
        return effect

    def _other(self, statement: ast.Statement, effect: Effect) -> None:
        match statement:
            case ast.If(cond=cond, body=body, orelse=orelse):
                whole = self.effects[statement] = Effect(reads_of(cond))
                then, other = self._block(body), self._block(orelse)
                whole.absorb(then)
                whole.absorb(other)
                whole.kills = then.kills & other.kills
                effect.absorb(whole)
                effect.kills |= whole.kills
            case ast.While(cond=cond, body=body):
                once = self.effects[statement] = Effect(reads_of(cond))
                inner = self._block(body)
                once.absorb(inner)
                once.kills = inner.kills
                effect.absorb(once)
            case ast.For():
                self._for(statement, effect)
            case ast.IndexedAssign(target=target, value=value):
                uses = reads_of(value) | reads_of(target)
                self._uses[statement] = uses
                effect.read(uses)
                effect.assigned.setdefault(target.base.name, target)
                effect.kills.add(target.base.name)
            case ast.MultiAssign(targets=targets, call=call):
                uses = reads_of(call)
                for one in targets:
                    if isinstance(one, ast.Index):
                        uses |= reads_of(one)
                self._uses[statement] = uses
                effect.read(uses)
                for one in targets:
                    if isinstance(one, ast.Index):
                        effect.assigned.setdefault(one.base.name, one)
                    else:
                        effect.assign(one.name, one)
            case ast.CallStatement(call=call):
                uses = self._uses[statement] = reads_of(call)
                effect.read(uses)

    def _for(self, statement: ast.For, effect: Effect) -> None:
        bounds = self._uses[statement] = set()
        for bound in (statement.range.start, statement.range.stop, statement.range.by):
            if bound is not None:
                bounds |= reads_of(bound)
        for param in statement.params:
            bounds |= reads_of(param.value)
        effect.read(bounds)
        once = Effect()
        once.assign(statement.var.name, statement.var)
        inner = self._block(statement.body)
        once.absorb(inner)
        once.kills |= inner.kills
        self.effects[statement] = once
        effect.absorb(once)
        if statement.range.by is None:
            effect.kills |= once.kills

    # ---- from the end to the start

    def _wanted(self, body: tuple[ast.Statement, ...], wanted: set[str]) -> set[str]:
        if not any(isinstance(s, ast.If | ast.While | ast.For) for s in body):
            return wanted  # nothing to note down; the caller works with the block's effect
        for statement in reversed(body):
            match statement:
                case ast.Assign(target=target):
                    wanted.discard(target.name)
                    wanted |= self._uses[statement]
                case ast.MultiAssign(targets=targets):
                    wanted -= {one.name for one in targets if isinstance(one, ast.Name)}
                    wanted |= self._uses[statement]
                case ast.IndexedAssign() | ast.CallStatement():
                    wanted |= self._uses[statement]
                case ast.If(body=then, orelse=orelse):
                    self.after[statement] = set(wanted)
                    self._wanted(then, set(wanted))
                    self._wanted(orelse, set(wanted))
                    effect = self.effects[statement]
                    wanted -= effect.kills
                    wanted |= effect.reads
                case ast.While() | ast.For():
                    self.after[statement] = set(wanted)
                    effect = self.effects[statement]
                    self._wanted(statement.body, wanted | effect.reads)
                    if isinstance(statement, ast.For):
                        if statement.range.by is None:
                            wanted -= effect.kills
                        wanted |= self._uses[statement]
                    wanted |= effect.reads
                case _:
                    pass
        return wanted


def reads_of(root: ast.Node) -> set[str]:
    """The variables that evaluating `root` reads; for the target of an indexed assignment, its base too."""
    found: set[str] = set()
    stack: list[ast.Node] = [root]
    while stack:
        match stack.pop():
            case ast.Name(name=name):
                found.add(name)
            case ast.Binary(left=left, right=right):
                stack.append(left)
                stack.append(right)
            case ast.Call(name=name, args=args):
                for arg in args:
                    stack.append(arg.value)
                    if name == "exists" and isinstance(arg.value, ast.StringLit):
                        found.add(arg.value.value)
            case ast.Index(base=base, rows=rows, cols=cols):
                found.add(base.name)
                if rows is not None:
                    stack.append(rows)
                if cols is not None:
                    stack.append(cols)
            case ast.Range(lower=lower, upper=upper):
                stack.append(lower)
                stack.append(upper)
            case ast.Unary(operand=operand):
                stack.append(operand)
            case ast.IfDef(default=default):
                stack.append(default)
            case ast.ListLit(items=items):
                stack.extend(items)
            case _:
                pass
    return found
