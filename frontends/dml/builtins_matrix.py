"""How builtins that make, reshape and take apart matrices and lists are lowered."""

from __future__ import annotations

import math
import re
from typing import Final

from sysmlc.frontends.dml import ast
from sysmlc.frontends.dml.arguments import Builtin, Emitter, evaluate
from sysmlc.frontends.dml.frame import Frame, literal, scalar_hint
from sysmlc.frontends.dml.indexing import cell, one_entry
from sysmlc.frontends.dml.types import NUMERIC, describe, is_scalar
from sysmlc.ir.core import Value
from sysmlc.ir.dialects.dml_cell import Binary, IfElse
from sysmlc.ir.dialects.dml_create import Fill, MatrixOfBox, MatrixOfText, Rand, Sample, Seq
from sysmlc.ir.dialects.dml_matrix import (
    AsScalar,
    CBind,
    Length,
    NCol,
    NRow,
    RBind,
    Reshape,
)
from sysmlc.ir.dialects.dml_pick import RemoveEmpty, Table
from sysmlc.ir.dialects.dml_scalar import (
    AsMatrix,
    Concat,
    ListAppend,
    ListLength,
    ListList,
    ListMatrix,
    ListNew,
    ListScalar,
)
from sysmlc.ir.dialects.dml_stat import Distribution, GroupedAggregate
from sysmlc.ir.dialects.shapes import constant, constant_int
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, box, f64, i1, i64, list_, string

_NUMBER: Final = re.compile(r"[+-]?(NaN|Infinity|([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?)")
"""Java's text of a double, which is what the run time reads."""

# ---- casts


def as_scalar(frame: Frame, node: ast.Call, arg: ast.Expr) -> Value:
    """`as.scalar(X)`; of a single cell it looks at that cell only."""
    taken = cell(frame, arg)
    if taken is not None:
        return taken
    value = frame.expr(arg)
    if isinstance(value.type, Matrix):
        return frame.emit(node, AsScalar, value)
    return frame.emit(node, ListScalar, value) if value.type is list_ else value


def as_type(to: Type) -> Emitter:
    """`as.integer`, `as.double`, `as.logical`"""

    def emit(frame: Frame, node: ast.Call, arg: ast.Expr) -> Value:
        known = literal(arg)
        if known is not None and not isinstance(known, str):
            return frame.scalar(arg, to)
        value = frame.expr(arg)
        if value.type is list_:
            value = frame.emit(node, ListScalar, value)
        if is_scalar(value.type):
            return frame.cast(node, value, to)
        raise Diagnostic(
            f"'{node.name}' needs a scalar, but this is {describe(value.type)}",
            arg.loc,
            hint=scalar_hint(value.type, to),
        )

    return emit


def as_matrix(frame: Frame, node: ast.Call, value: Value) -> Value:
    """`as.matrix` of a scalar, a list entry or a matrix."""
    if value.type in NUMERIC:
        return frame.emit(node, AsMatrix, frame.cast(node, value, f64))
    if value.type is list_:
        return frame.emit(node, ListMatrix, value)
    if isinstance(value.type, Matrix):
        return value
    raise Diagnostic(
        f"'as.matrix' cannot convert {describe(value.type)}", node.loc, hint=scalar_hint(string, f64)
    )


def as_list(frame: Frame, node: ast.Call, value: Value) -> Value:
    """`as.list(L[i])`"""
    if value.type is list_:
        return frame.emit(node, ListList, value)
    raise Diagnostic(
        f"'as.list' of {describe(value.type)} is not in this version", node.loc, hint="write list(…)"
    )


def exists(frame: Frame, node: ast.Call, arg: ast.Expr) -> Value:
    """`exists("x")`, `exists(x)`"""
    if not isinstance(arg, ast.Name | ast.StringLit):
        raise Diagnostic("'exists' takes the name of a variable", arg.loc, hint='write exists("x")')
    variable = frame.env.get(arg.name if isinstance(arg, ast.Name) else arg.value)
    if variable is not None and variable.flag is not None:
        return variable.flag
    return frame.constant(node, variable is not None)


# ---- sizes


def size(cls: type[NRow] | type[NCol]) -> Emitter:
    """`nrow`, `ncol`"""

    def emit(frame: Frame, node: ast.Call, value: Value) -> Value:
        return frame.emit(node, cls, value)

    return emit


def length(frame: Frame, node: ast.Call, value: Value) -> Value:
    """The number of cells of a matrix or entries of a list."""
    if value.type is list_:
        return frame.emit(node, ListLength, value)
    if isinstance(value.type, Matrix):
        return frame.emit(node, Length, value)
    raise Diagnostic(f"'length' needs a matrix or a list, but this is {describe(value.type)}", node.loc)


# ---- construction


def matrix(
    frame: Frame,
    node: ast.Call,
    data: Value,
    rows: Value,
    cols: Value,
    byrow: Value | None,
    dimnames: ast.Expr | None,
) -> Value:
    """`matrix(data, rows, cols)`: a number fills, a string is taken apart, a matrix is reshaped."""
    for what, value in (("rows", rows), ("cols", cols)):
        known = constant_int(value)
        if known is not None and known < 0:
            raise Diagnostic(f"a matrix cannot have {known} {what}", node.loc)
    if isinstance(data.type, Matrix):
        return frame.emit(node, Reshape, data, rows, cols, byrow or frame.constant(node, True))
    if data.type is string:
        _check_text(node, data, rows, cols)
        return frame.emit(node, MatrixOfText, data, rows, cols)
    if data.type is box:
        return frame.emit(node, MatrixOfBox, data, rows, cols)
    if data.type in NUMERIC:
        value = frame.cast(node.args[0].value, data, f64)
        filling = constant(value)
        if (
            isinstance(filling, float) and filling == 0 and math.copysign(1.0, filling) < 0
        ):  # -0.0 fills as 0.0
            value = frame.constant(node, 0.0)
        return frame.emit(node, Fill, value, rows, cols)
    raise Diagnostic(f"'matrix' cannot take its cells from {describe(data.type)}", node.loc)


def _check_text(node: ast.Call, data: Value, rows: Value, cols: Value) -> None:
    text, height, width = constant(data), constant_int(rows), constant_int(cols)
    if not isinstance(text, str):
        return
    cells = [one for one in re.split("[ \t\n\r\f]+", text) if one]
    for one in cells:
        if not _NUMBER.fullmatch(one):
            raise Diagnostic(f"'{one}' is not a number", node.args[0].loc)
    if height is not None and width is not None and len(cells) != height * width:
        raise Diagnostic(
            f"a {height}x{width} matrix has {height * width} cells, but the string holds {len(cells)} values",
            node.loc,
        )


def rand(frame: Frame, node: ast.Call, *values: Value) -> Value:
    """`rand(rows=, cols=, …)`"""
    _choice(node, values[5], "pdf", ("uniform", "normal", "poisson"))
    return frame.emit(node, Rand, *values)


def _choice(node: ast.Node, value: Value, what: str, known: tuple[str, ...]) -> None:
    given = constant(value)
    if isinstance(given, str) and given not in known:
        raise Diagnostic(
            f"the argument '{what}' cannot be '{given}'", node.loc, hint="it is one of " + ", ".join(known)
        )


def seq(frame: Frame, node: ast.Call, first: Value, last: Value, step: Value | None) -> Value:
    """`seq(from, to)` counts towards its end, also downwards."""
    if step is None:
        low, high = constant(first), constant(last)
        if isinstance(low, float) and isinstance(high, float):
            step = frame.constant(node, -1.0 if low > high else 1.0)
        else:
            down = frame.emit(node, Binary, "gt", first, last)
            step = frame.emit(node, IfElse, down, frame.constant(node, -1.0), frame.constant(node, 1.0))
    elif constant(step) == 0:
        raise Diagnostic("the increment of a sequence must not be 0", node.loc)
    return frame.emit(node, Seq, first, last, step)


def sample(
    frame: Frame, node: ast.Call, range: Value, size: Value, third: Value | None, seed: Value | None
) -> Value:
    """`sample(range, size, replace, seed)`; a number in third place is the seed."""
    replace = None
    if third is not None:
        if third.type is i1 or seed is not None:
            replace = frame.as_scalar(node, third, i1, "the argument 'replace' of 'sample'")
        else:
            seed = frame.as_scalar(node, third, i64, "the seed of 'sample'")
    replace = replace or frame.constant(node, False)
    seed = seed or frame.constant(node, -1)
    count, most = constant_int(size), constant_int(range)
    if constant(replace) is False and count is not None and most is not None and count > most:
        raise Diagnostic(
            f"cannot draw {count} of {most} values without replacement", node.loc, hint="sample(…, …, TRUE)"
        )
    return frame.emit(node, Sample, range, size, replace, seed)


def make_list(frame: Frame, node: ast.Call, self: Builtin) -> Value:
    """`list(a, b)`, `list(x=a, y=b)`"""
    names = tuple(arg.name for arg in node.args if arg.name is not None)
    if names and len(names) != len(node.args):
        raise self.wrong(node, "the entries of a list are either all named or all unnamed")
    for i, name in enumerate(names):
        if name in names[:i]:
            raise Diagnostic(f"two entries of the list are called '{name}'", node.args[i].loc)
    return frame.emit(node, ListNew, [frame.expr(arg.value) for arg in node.args], names_=names)


def bind(cls: type[CBind] | type[RBind]) -> Emitter:
    """`cbind`, `rbind`, `append`: matrices; a list and an entry; two strings."""

    def emit(frame: Frame, node: ast.Call, self: Builtin) -> Value:
        if len(node.args) < 2 or any(arg.name for arg in node.args):
            raise self.wrong(node, f"'{node.name}' takes two or more unnamed arguments")
        values = [frame.expr(arg.value) for arg in node.args]
        if len(values) == 2 and values[0].type is list_ and cls is CBind:
            return frame.emit(node, ListAppend, values[0], one_entry(frame, node, values[1]))
        if len(values) == 2 and values[0].type is values[1].type is string:
            line = frame.emit(node, Concat, values[0], frame.constant(node, "\n"))
            return frame.emit(node, Concat, line, values[1])
        for arg, value in zip(node.args, values, strict=True):
            if not isinstance(value.type, Matrix):
                hint = "make a 1x1 matrix of it: as.matrix(…)" if value.type in NUMERIC else None
                raise Diagnostic(
                    f"'{node.name}' joins matrices, but this is {describe(value.type)}", arg.loc, hint=hint
                )
        return frame.emit(node, cls, values)

    return emit


def table(frame: Frame, node: ast.Call, self: Builtin) -> Value:
    """`table(A, B)`, `table(A, B, W)`, `table(A, B, rows, cols)`, `table(A, B, W, rows, cols)`"""
    count = len(node.args)
    if not 2 <= count <= 6 or any(arg.name for arg in node.args):
        raise self.wrong(node, f"'{node.name}' takes 2 to 6 unnamed arguments, but {count} are given")
    what = f"the argument of '{node.name}'"
    a = evaluate(frame, node.args[0].value, "matrix", what)
    b = evaluate(frame, node.args[1].value, "column", what)
    weights = None
    if count in (3, 5, 6):
        weights = evaluate(frame, node.args[2].value, "column", what)
    sizes = [frame.scalar(arg.value, i64, what) for arg in node.args[2 if count == 4 else 3 : 5]]
    if weights is None:
        weights = frame.emit(node, AsMatrix, frame.constant(node, 1.0))
    if not sizes:
        sizes = [frame.constant(node, -1), frame.constant(node, -1)]
    return frame.emit(node, Table, a, b, weights, *sizes)


def remove_empty(
    frame: Frame, node: ast.Call, target: Value, margin: Value, select: Value, keep: Value
) -> Value:
    """`removeEmpty(target=, margin=)`"""
    _choice(node, margin, "margin", ("rows", "cols"))
    return frame.emit(node, RemoveEmpty, target, margin, select, keep)


def grouped(
    frame: Frame,
    node: ast.Call,
    target: Value,
    groups: Value,
    fn: Value,
    weights: Value,
    ngroups: Value,
    order: Value,
) -> Value:
    """`aggregate(target=, groups=, fn=)`"""
    _choice(node, fn, "fn", ("sum", "count", "mean", "variance", "centralmoment", "min", "max"))
    return frame.emit(node, GroupedAggregate, target, groups, weights, fn, order, ngroups)


# ---- distributions

DISTRIBUTIONS: Final = {
    "normal": ("mean", "sd"), "exp": ("rate",), "chisq": ("df",), "f": ("df1", "df2"), "t": ("df",),
}  # fmt: skip
_DEFAULTS: Final = {"mean": 0.0, "sd": 1.0, "rate": 1.0}


def distribution(fn: str, dist: str | None = None) -> Emitter:
    """`cdf`, `icdf` and their shorthands; each distribution has its own parameters."""

    def emit(frame: Frame, node: ast.Call, self: Builtin) -> Value:
        given = self.match(node)
        kinds = {p.name: p.kind for p in self.params}
        values = {
            name: evaluate(frame, arg.value, kinds[name], f"the argument '{name}' of '{node.name}'")
            for name, arg in given.items()
        }
        which = dist or values["dist"]
        if which not in DISTRIBUTIONS:
            raise Diagnostic(
                f"there is no distribution '{which}'",
                given["dist"].loc,
                hint="it is one of " + ", ".join(DISTRIBUTIONS),
            )
        parameters: list[Value] = []
        for name in DISTRIBUTIONS[which]:
            if name not in values and name not in _DEFAULTS:
                raise self.wrong(node, f"the distribution '{which}' needs the argument '{name}'")
            parameters.append(values[name] if name in values else frame.constant(node, _DEFAULTS[name]))
        while len(parameters) < 2:
            parameters.append(frame.constant(node, 0.0))
        lower = values["lower.tail"] if "lower.tail" in values else frame.constant(node, True)
        return frame.emit(
            node, Distribution, fn, values["target"], frame.constant(node, which), *parameters, lower
        )

    return emit
