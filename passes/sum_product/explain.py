"""What was rewritten, for people."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sysmlc.ir.core import Value
from sysmlc.ir.source import Location
from sysmlc.passes.sum_product.nodes import Node

_INFIX: Final = {
    "add": ("+", 1),
    "sub": ("-", 1),
    "mul": ("*", 2),
    "div": ("/", 2),
    "matmul": ("%*%", 3),
    "pow": ("^", 5),
}
_SUMS: Final = {
    ("sum", "full"): "sum({})", ("sum", "row"): "rowSums({})", ("sum", "col"): "colSums({})",
    ("sumsq", "full"): "sum({}^2)", ("sumsq", "row"): "rowSums({}^2)", ("sumsq", "col"): "colSums({}^2)",
    ("mean", "full"): "mean({})", ("mean", "row"): "rowMeans({})", ("mean", "col"): "colMeans({})",
}  # fmt: skip
_NAMES: Final = {"as_scalar": "as.scalar", "as_matrix": "as.matrix"}


@dataclass(frozen=True)
class Rewrite:
    """One expression that was replaced; costs are seconds by the model."""

    loc: Location
    before: str
    after: str
    cost_before: float
    cost_after: float

    def __str__(self) -> str:
        gain = f"{_time(self.cost_before)} → {_time(self.cost_after)}"
        return f"{self.loc}: {self.before}  →  {self.after}    [sum-product: {gain}]"


def _time(seconds: float) -> str:
    for unit, scale in (("s", 1.0), ("ms", 1e3), ("µs", 1e6)):
        if seconds * scale >= 1:
            return f"{seconds * scale:.3g} {unit}"
    return f"{seconds * 1e9:.3g} ns"


def text(node: Node) -> str:
    """A plan in DML."""
    return _text(node)[0]


def _text(node: Node) -> tuple[str, int]:
    kind, args = node.kind, node.args
    if kind == "leaf" and node.value is not None:
        return value_text(node.value)
    if kind == "const":
        return f"{node.constant:.12g}", 9 if (node.constant or 0) >= 0 else 4
    if kind == "size":
        return str(node.attr), 9
    if kind in ("sum", "sumsq", "mean"):
        inner, level = _text(args[0])
        if kind == "sumsq" and level <= 5:
            inner = f"({inner})"
        return _SUMS[kind, str(node.attr)].format(inner), 9
    if kind == "fill":
        return f"matrix({text(args[0])}, {node.rows}, {node.cols})", 9
    if kind == "tsmm":
        return f"t({text(args[0])}) %*% {_operand(args[0], 4)}", 3
    if kind == "neg":
        return f"-{_operand(args[0], 4)}", 4
    if kind in _INFIX:
        symbol, level = _INFIX[kind]
        sides = []
        for i, (flag, arg) in enumerate(zip("lr", args, strict=True)):
            turned = kind == "matmul" and flag in str(node.attr)
            sides.append(f"t({text(arg)})" if turned else _operand(arg, level + (i > 0)))
        return f" {symbol} ".join(sides) if level < 5 else symbol.join(sides), level
    if kind == "outer":
        return f'outer({text(args[0])}, {text(args[1])}, "{_INFIX[str(node.attr)][0]}")', 9
    return f"{_NAMES.get(kind, kind)}({', '.join(text(a) for a in args)})", 9


def _operand(node: Node, level: int) -> str:
    return _bound(_text(node), level)


_RELATIONS: Final = {
    "gt": ">",
    "ge": ">=",
    "lt": "<",
    "le": "<=",
    "eq": "==",
    "ne": "!=",
    "and": "&",
    "or": "|",
}


def value_text(value: Value, depth: int = 3) -> tuple[str, int]:
    """A value by its name, or by what computes it, and how tightly that binds."""
    op = value.op
    if value.name or op is None or depth == 0:
        return value.name or "…", 9
    if op.name == "core.constant":
        number = op.attrs["value"]
        return f"{number:.12g}" if isinstance(number, float) else str(number), 9
    if op.fn == "cast":
        return value_text(op.operands[0], depth)
    inner = [value_text(v, depth - 1) for v in op.operands]
    if op.fn == "neg":
        return f"-{_bound(inner[0], 4)}", 4
    symbol, level = _INFIX.get(op.fn) or (_RELATIONS.get(op.fn), 0)
    if symbol and len(inner) == 2:
        turned = str(op.attrs.get("transpose", ""))
        sides = [
            f"t({one[0]})" if flag in turned else _bound(one, level + i)
            for i, (flag, one) in enumerate(zip("lr", inner, strict=True))
        ]
        return f" {symbol} ".join(sides) if level < 5 else symbol.join(sides), level
    name = _SUMS.get((op.fn, str(op.attrs.get("dir"))))
    shown = ", ".join(one[0] for one in inner)
    return name.format(shown) if name and op.fn != "sumsq" else f"{_NAMES.get(op.fn, op.fn)}({shown})", 9


def _bound(shown: tuple[str, int], level: int) -> str:
    inner, own = shown
    return inner if own >= level else f"({inner})"
