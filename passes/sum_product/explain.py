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
        return value_text(node.value), 9
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
    inner, own = _text(node)
    return inner if own >= level else f"({inner})"


def value_text(value: Value, depth: int = 3) -> str:
    """A value by its name, or by what computes it."""
    if value.name:
        return value.name
    op = value.op
    if op is None or depth == 0:
        return "…"
    if op.name == "core.constant":
        return str(op.attrs["value"])
    return f"{op.fn}({', '.join(value_text(v, depth - 1) for v in op.operands)})"
