"""Function calls: bodies of small and of once-called functions replace the calls; others are specialised.

A function that stays and is called with different facts (shapes, constants) is cloned, once for each signature, so that
its clones can be compiled for what they get. Functions that nobody calls go. Recursive functions are left alone. Operations
keep the place in the source they came from.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from sysmlc.ir.core import Op, Region, Value, clone, clone_region
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.shapes import constant
from sysmlc.ir.passes import Pass, register_pass
from sysmlc.ir.symbols import symbol_table
from sysmlc.ir.types import Dim, Matrix, Type, matrix, meet

_ENTRY = "main"


@register_pass
@dataclass(frozen=True)
class Inline(Pass):
    """Inline small and once-called functions; clone others by the facts of their arguments."""

    name = "inline"
    small: int = 40
    """Functions of at most this many operations are inlined everywhere."""
    growth: int = 20000
    """No more inlining of functions called several times once a function has this many operations."""
    clones: int = 4
    """At most this many versions of a function."""

    def run(self, module: Module) -> None:
        table = symbol_table(module)
        calls = {name: _callees(func) for name, func in table.items()}
        roots = [_ENTRY] if _ENTRY in table else list(table)
        order, recursive = _bottom_up(calls, roots)
        self._remove_unused(module, set(order))
        count = Counter(callee for name in order for callee in calls[name])
        sizes: dict[str, int] = {}
        for name in order:
            size = sum(1 for r in table[name].regions for _ in r.walk())
            for call in list(_calls(table[name])):
                callee = str(call.attrs["callee"])
                if callee in recursive or callee == name or callee not in table:
                    continue
                small = sizes[callee] <= self.small
                if count[callee] == 1 or (small and size + sizes[callee] <= self.growth):
                    size += sizes[callee]
                    for inner in _inline(call, table[callee]):
                        if count[callee] > 1:
                            count[str(inner.attrs["callee"])] += 1
                    self.count("calls inlined")
            sizes[name] = size
        self._remove_unused(module, _reachable(table, roots))
        self._specialise(module, recursive, roots)

    def _remove_unused(self, module: Module, used: set[str]) -> None:
        for func in module.body:
            if func.name == "core.func" and func.attrs["sym"] not in used:
                func.erase()
                self.count("functions removed")

    def _specialise(self, module: Module, recursive: set[str], roots: list[str]) -> None:
        """Clone functions from callers to callees, so that facts travel down the calls."""
        table = symbol_table(module)
        work, done = list(roots), set(roots)
        versions: dict[str, dict[object, str]] = {}
        while work:
            for call in list(_calls(table[work.pop(0)])):
                callee = str(call.attrs["callee"])
                if callee not in recursive:
                    known = versions.setdefault(callee, {})
                    signature = tuple(_fact(v) for v in call.operands)
                    if signature not in known and len(known) < self.clones:
                        known[signature] = callee if not known else _fresh(f"{callee}_{len(known)}", table)
                        if known[signature] != callee:
                            table[known[signature]] = _clone_function(table[callee], known[signature])
                            self.count("functions specialised")
                    callee = known.get(signature, callee)
                    call.attrs["callee"] = callee
                if callee not in done:
                    done.add(callee)
                    work.append(callee)


def _calls(func: Op) -> list[Op]:
    return [op for r in func.regions for op in r.walk() if op.name == "core.call"]


def _callees(func: Op) -> list[str]:
    return [str(op.attrs["callee"]) for op in _calls(func)]


def _reachable(table: dict[str, Op], roots: list[str]) -> set[str]:
    found: set[str] = set()
    work = list(roots)
    while work:
        name = work.pop()
        if name not in found and name in table:
            found.add(name)
            work += _callees(table[name])
    return found


def _bottom_up(calls: dict[str, list[str]], roots: list[str]) -> tuple[list[str], set[str]]:
    """Functions reached from the roots, callees before callers, and those that may call themselves."""
    order: list[str] = []
    state: dict[str, int] = {}
    recursive: set[str] = set()
    for root in roots:
        if root in state:
            continue
        state[root] = 1
        path = [root]
        stack = [iter(dict.fromkeys(calls[root]))]
        while stack:
            callee = next(stack[-1], None)
            if callee is None:
                stack.pop()
                done = path.pop()
                state[done] = 2
                order.append(done)
            elif state.get(callee) == 1:
                recursive.update(path[path.index(callee) :])
            elif callee not in state and callee in calls:
                state[callee] = 1
                path.append(callee)
                stack.append(iter(dict.fromkeys(calls[callee])))
    return order, recursive


def _fact(value: Value) -> object:
    """What specialisation looks at: known sizes, emptiness, and constants that decide (not data)."""
    type = value.type
    if isinstance(type, Matrix):
        vector = tuple(d if isinstance(d, int) else None for d in (type.rows, type.cols))
        return type.elem, vector, type.nnz == 0
    known = constant(value)
    return type, known if isinstance(known, (bool, int, str)) else None, isinstance(known, bool)


def _fresh(name: str, table: dict[str, Op]) -> str:
    while name in table:
        name += "_"
    return name


def _clone_function(func: Op, name: str) -> Op:
    made = clone(func, {})
    made.attrs["sym"] = name
    for region in made.regions:
        for op in region.walk():
            _forget_names(op)
    assert func.parent is not None
    return func.parent.insert_after(func, made)


def _inline(call: Op, func: Op) -> list[Op]:
    """Put the body of `func` where `call` is; gives the calls that came with it."""
    region = call.parent
    assert region is not None
    mapping: dict[Value, Value] = {}
    body: Region = clone_region(func.regions[0], mapping)
    for arg, value in zip(body.args, call.operands, strict=True):
        arg.replace_by(value)
    last = body.terminator
    results = list(last.operands)
    last.detach().drop_uses()
    found: list[Op] = []
    for op in body:
        region.insert_before(call, op.detach())
        for inner in op.walk():
            _forget_names(inner)
            if inner.name == "core.call":
                found.append(inner)
    for old, new in zip(call.results, results, strict=True):
        # Types that are given (of loops, say) are compared with others and must stay as they are.
        if new.region is region and new.op is not None and type(new.op).infer is not Op.infer:
            new.type = meet(new.type, old.type)
    call.replace_by(results)
    return found


def _forget_names(op: Op) -> None:
    """Named sizes inside a copied body are sizes of their own: the copy must not share the names."""
    for result in op.results:
        result.type = _unnamed(result.type)
    for region in op.regions:
        for arg in region.args:
            arg.type = _unnamed(arg.type)


def _unnamed(type: Type) -> Type:
    if not isinstance(type, Matrix) or not (isinstance(type.rows, str) or isinstance(type.cols, str)):
        return type
    return matrix(_number(type.rows), _number(type.cols), type.elem, type.nnz, type.format)


def _number(dim: Dim) -> Dim:
    return dim if isinstance(dim, int) else None
