"""What rewriting did, for people: which rule changed which expression into which, and where in the source.

with recording() as steps:
    PassManager(passes).run(module)
for step in steps:
    print(step)
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from typing import Any, Final

from sysmlc.ir.core import Op, Value
from sysmlc.ir.source import Location
from sysmlc.ir.types import Matrix

_OPERATORS: Final = {
    "add": "+", "sub": "-", "mul": "*", "div": "/", "pow": "^", "mod": "%%", "intdiv": "%/%", "eq": "==", "ne": "!=",
    "lt": "<", "le": "<=", "gt": ">", "ge": ">=", "and": "&", "or": "|", "matmul": "%*%",
}  # fmt: skip
_DEPTH: Final = 4
"""How deep expressions are shown; below, and for matrices read or generated, it is the name of the variable, or `…`."""


@dataclass(frozen=True)
class Step:
    """One rewrite."""

    rule: str
    loc: Location
    before: str
    after: str

    def __str__(self) -> str:
        return f"{self.loc}: {self.before}  →  {self.after}    [{self.rule}]"


Describe = Callable[[str, Op, Sequence[Value]], Any]
"""What to keep of a rewrite: called with the rule, the operation and what will replace it (nothing: changed in place)."""

_recording: ContextVar[tuple[Describe, list[Any]] | None] = ContextVar("recording", default=None)


def step(rule: str, op: Op, values: Sequence[Value]) -> Step:
    """A rewrite as text."""
    before = application(op)
    return Step(rule, op.loc, before, results(values) if values else before)


@contextmanager
def recording(describe: Describe = step) -> Iterator[list[Any]]:
    """Record the rewrites made inside, each as what `describe` makes of it."""
    steps: list[Any] = []
    token = _recording.set((describe, steps))
    try:
        yield steps
    finally:
        _recording.reset(token)


def current_recording() -> tuple[Describe, list[Any]] | None:
    """How and where to record, None when nobody wants to know."""
    return _recording.get()


def expression(value: Value, depth: int = _DEPTH) -> str:
    """A value as an expression of the values it is computed from."""
    op = value.op
    if op is None:
        return value.name or "…"
    if op.name == "core.constant":
        known = op.attrs["value"]
        return f'"{known}"' if isinstance(known, str) else str(known)
    source = value.name and not any(isinstance(v.type, Matrix) for v in op.operands)
    if depth == 0 or source or op.regions or len(op.results) != 1 or not op.operands:
        return value.name or "…"
    return application(op, depth)


def application(op: Op, depth: int = _DEPTH) -> str:
    """What an operation computes, as an expression."""
    args = [expression(v, depth - 1) for v in op.operands]
    fn = _OPERATORS.get(op.fn)
    if fn is not None and len(args) == 2 and not op.attrs:
        left, right = (_enclosed(a) for a in args)
        return f"{left} {fn} {right}"
    if op.name == "dml.neg":
        return f"-{_enclosed(args[0])}"
    attrs = "".join(f".{v}" for v in op.attrs.values() if isinstance(v, str))
    return f"{op.fn}{attrs}({', '.join(args)})"


def results(values: Sequence[Value]) -> str:
    """Several values as expressions."""
    return ", ".join(map(expression, values))


def _enclosed(text: str) -> str:
    depth = 0
    for c in text:
        depth += (c == "(") - (c == ")")
        if c == " " and depth == 0:
            return f"({text})"
    return text
