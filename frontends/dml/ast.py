"""The syntax tree of DML: what the parser builds and every later step of the front end reads.

Nodes are read-only for type checkers but plain classes at run time (frozen constructors take three times as
long). They compare by identity; `unparse.same` compares by structure. A node stores the span of its text and
works its `loc` (a `Location`) out when asked for it.

Long chains `a + b + c + …` are deep on their left side: walk them with `left_spine`, not by recursion. All other
nesting is at most `parser.MAX_DEPTH` levels deep.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, TypeAlias

from sysmlc.ir.source import Location, Source

if TYPE_CHECKING:
    from typing import TypeVar, dataclass_transform

    _T = TypeVar("_T")

    @dataclass_transform(frozen_default=True, eq_default=False, field_specifiers=())
    def node(cls: type[_T]) -> type[_T]: ...

else:
    node = dataclass(slots=True, eq=False)

Span: TypeAlias = tuple[Source, int, int]
"""A stretch of a source text: the source, the offset of the first character, the offset past the last."""


@node
class Node:
    """Base of all nodes."""

    span: Span

    @property
    def loc(self) -> Location:
        """Where the node stands in its source."""
        source, start, end = self.span
        return source.location(start, end)


# ---- expressions


@node
class IntLit(Node):
    """`42`"""

    value: int


@node
class DoubleLit(Node):
    """`4.2`, `1e-3`, `5.`, `.5`"""

    value: float


@node
class BoolLit(Node):
    """`TRUE`, `FALSE`"""

    value: bool


@node
class StringLit(Node):
    """`"text"`, `'text'`; escapes are already replaced in `value`"""

    value: str


@node
class Name(Node):
    """`x`: a variable, or one of the constants `Inf`, `NaN`, `pi`"""

    name: str


@node
class ArgRef(Node):
    """`$x`, `$1`: a command-line argument; `name` is written without the `$`"""

    name: str


@node
class Unary(Node):
    """`-x`, `+x`, `!x`"""

    op: str
    operand: Expr


@node
class Binary(Node):
    """`a + b`; `op` is one of `^ %*% %/% %% * / + - < <= > >= == != & |`"""

    op: str
    left: Expr
    right: Expr
    op_at: int
    """Offset of the operator."""

    @property
    def op_loc(self) -> Location:
        """Where the operator stands."""
        return self.span[0].location(self.op_at, self.op_at + len(self.op))


@node
class Arg(Node):
    """An argument of a call: `x` or `rows=x`"""

    name: str | None
    value: Expr


@node
class Call(Node):
    """`f(x, rows=3)`, `ns::f(x)`; `name` may be dotted (`as.scalar`)"""

    namespace: str | None
    name: str
    args: tuple[Arg, ...]

    @property
    def full_name(self) -> str:
        """The function's name as written."""
        return f"{self.namespace}::{self.name}" if self.namespace else self.name

    @property
    def name_loc(self) -> Location:
        """Where the function's name stands."""
        source, start, _ = self.span
        return source.location(start, start + len(self.full_name))


@node
class Range(Node):
    """`a:b` as an index"""

    lower: Expr
    upper: Expr


@node
class Index(Node):
    """`X[i,j]`, `X[a:b,]`, `X[,j]`, `X[i]`, `X[]`; a side left out is None.

    `single` tells `X[i]` and `X[]` (no comma) from `X[i,]` and `X[,]`.
    """

    base: Name
    rows: Expr | Range | None
    cols: Expr | Range | None
    single: bool


@node
class ListLit(Node):
    """`[a, b]`, as in `stride=[1,1]`"""

    items: tuple[Expr, ...]


Expr: TypeAlias = (
    IntLit | DoubleLit | BoolLit | StringLit | Name | ArgRef | Unary | Binary | Call | Index | ListLit
)


# ---- statements


@node
class IfDef(Node):
    """`ifdef($x, default)`, which is only ever the whole right-hand side of an assignment"""

    arg: ArgRef
    default: Expr


@node
class Assign(Node):
    """`x = value`, `x <- value`; `x += value` when `accumulate`"""

    target: Name
    value: Expr | IfDef
    accumulate: bool


@node
class IndexedAssign(Node):
    """`X[i,j] = value`, `X[i,j] += value`"""

    target: Index
    value: Expr | IfDef
    accumulate: bool


@node
class MultiAssign(Node):
    """`[a, b] = f(x)`; a target may be indexed"""

    targets: tuple[Name | Index, ...]
    call: Call


@node
class CallStatement(Node):
    """`print(x)`: a call whose results, if any, are dropped"""

    call: Call


@node
class If(Node):
    """`if (cond) { … } else { … }`; `else if` is an `orelse` of one `If`"""

    cond: Expr
    body: tuple[Statement, ...]
    orelse: tuple[Statement, ...]


@node
class While(Node):
    """`while (cond) { … }`"""

    cond: Expr
    body: tuple[Statement, ...]


@node
class SeqRange(Node):
    """`seq(from, to, by)` as the range of a loop; `by` may be left out. `a:b` reads as `seq(a, b)`."""

    start: Expr
    stop: Expr
    by: Expr | None


@node
class For(Node):
    """`for (i in range) { … }`"""

    var: Name
    range: SeqRange
    body: tuple[Statement, ...]
    params: tuple[Arg, ...]
    """`check=0, par=4 …`: known for `parfor` only, ignored by `for`."""


@node
class ParFor(For):
    """`parfor (i in range, check=0) { … }`"""


@node
class Import(Node):
    """`source("path.dml") as ns`"""

    path: str
    namespace: str


@node
class SetWd(Node):
    """`setwd("dir")`"""

    path: str


Statement: TypeAlias = (
    Assign | IndexedAssign | MultiAssign | CallStatement | If | While | For | ParFor | Import | SetWd
)


# ---- functions and programs


@node
class Type(Node):
    """`double`, `matrix[double]`, `list[unknown]`, in normal spelling (`Integer` is `int`).

    `data` is `scalar`, `matrix`, `frame`, `list` or `tensor`; `value` is `int`, `double`, `boolean`, `string`
    or `unknown`. A plain `double` and `scalar[double]` are the same type.
    """

    data: str
    value: str

    def __str__(self) -> str:
        return self.value if self.data == "scalar" else f"{self.data}[{self.value}]"


@node
class Param(Node):
    """`matrix[double] X`, `int k = 3`"""

    type: Type
    name: str
    default: Expr | None


@node
class FunctionDef(Node):
    """`f = function(matrix[double] X, int k = 3) return (double s) { … }`"""

    name: str
    params: tuple[Param, ...]
    outputs: tuple[Param, ...]
    body: tuple[Statement, ...]


@node
class ExternalFunction(Node):
    """`f = externalFunction(double x) return (double y) implemented in (classname="C", exectype="mem")`"""

    name: str
    params: tuple[Param, ...]
    outputs: tuple[Param, ...]
    attributes: tuple[tuple[str, str], ...]


@node
class Program(Node):
    """A whole script: its functions, and its other statements in order"""

    source: Source
    functions: tuple[FunctionDef | ExternalFunction, ...]
    body: tuple[Statement, ...]


def left_spine(expr: Expr) -> tuple[Expr, list[Binary]]:
    """The leftmost operand of `expr` and the `Binary` nodes above it, innermost first.

    `a + b * c - d` gives `a` and the nodes of `+` and `-`: fold over it to walk chains of any length.
    """
    chain: list[Binary] = []
    while type(expr) is Binary:
        chain.append(expr)
        expr = expr.left
    chain.reverse()
    return expr, chain


def children(parent: Node) -> list[Node]:
    """The nodes directly below `parent`, in source order."""
    found: list[Node] = []
    for name in _child_fields(type(parent)):
        value: Any = getattr(parent, name)
        if type(value) is tuple:
            found.extend(value)
        elif value is not None:
            found.append(value)
    return found


def walk(root: Node) -> Iterator[Node]:
    """`root` and every node below it, each before its children, in source order; any depth."""
    stack = [root]
    while stack:
        current = stack.pop()
        yield current
        if _child_fields(type(current)):
            below = children(current)
            below.reverse()
            stack += below


_fields: dict[type[Node], tuple[str, ...]] = {}
_PLAIN = {"Span", "Source", "str", "str | None", "int", "float", "bool", "tuple[tuple[str, str], ...]"}


def _child_fields(cls: type[Node]) -> tuple[str, ...]:
    names = _fields.get(cls)
    if names is None:
        names = _fields[cls] = tuple(f.name for f in fields(cls) if f.type not in _PLAIN)
    return names
