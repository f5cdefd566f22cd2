"""Programs of expressions in rule notation, optimised and run by the reference evaluator."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.algebra import Expr, ExpressionParser, Number, Variable
from sysmlc.ir.core import Builder, Region, Value
from sysmlc.ir.define import definitions, registry
from sysmlc.ir.dialects.core import Constant, Func, Module, Return
from sysmlc.ir.dialects.dml_scalar import Input, Output
from sysmlc.ir.dialects.notation import DML
from sysmlc.ir.explain import recording
from sysmlc.ir.source import Source
from sysmlc.ir.types import Type, f64, matrix
from sysmlc.ir.verify import verify
from sysmlc.passes.sum_product import Rewrite, SumProduct
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.islands import Island, in_fragment


def parse(text: str) -> Expr:
    """An expression in DML."""
    text = text.replace("%*%", "@").replace("as.scalar", "as_scalar").replace("as.matrix", "as_matrix")
    source = Source("expression", text)
    return ExpressionParser(source, 0, len(text)).expression()


def program(texts: list[str], types: Mapping[str, Type]) -> Module:
    """A module that hands out the values of expressions over inputs."""
    body, holder = Region(), Region()
    holder.append(Func.new(sym="main", regions=[body]))
    module = Module.new(regions=[holder])
    b = Builder(body)
    inputs = {name: b(Input, name_=name, types=[type]) for name, type in types.items()}
    for name, value in inputs.items():
        value.name = name
    known: dict[object, Value] = {}
    values = [emit(b, parse(text), inputs, known) for text in texts]
    for i, value in enumerate(values):
        b.op(Output, value, name_=f"r{i}")
    b.op(Return, [])
    verify(module)
    return module


def emit(b: Builder, e: Expr, inputs: Mapping[str, Value], known: dict[object, Value]) -> Value:
    """The value of an expression; equal parts are computed once."""
    if isinstance(e, Variable):
        return inputs[e.name]
    if e in known:
        return known[e]
    if isinstance(e, Number):
        made = b(Constant, value=e.value)
    else:
        found = DML.lookup(e)
        assert found is not None, f"there is no {e.fn}"
        name, attrs = found
        if name == "dml.fill" and len(e.args) == 1:
            raise AssertionError("fill takes rows and columns")
        args = [emit(b, a, inputs, known) for a in e.args]
        if name == "dml.fill" and isinstance(e.args[0], Number):  # the operation takes an f64 only
            args[0] = b(Constant, value=float(e.args[0].value))
        cls = registry[name]
        first: tuple[Any, ...] = (name.partition(".")[2],) if len(cls.names) > 1 else ()
        operands = [args] if definitions[cls].variadic else args
        made = b(cls, *first, *operands, **attrs)
    known[e] = made
    return made


def types_of(shapes: Mapping[str, Any]) -> dict[str, Type]:
    """`(rows, cols)`, `(rows, cols, nnz)` or None for a scalar."""
    return {
        n: f64 if s is None else matrix(s[0], s[1], nnz=s[2] if len(s) > 2 else None)
        for n, s in shapes.items()
    }


def random_values(shapes: Mapping[str, Any], scale: int, seed: int = 0) -> dict[str, Any]:
    """Values for inputs whose dimensions are divided by `scale` (at least 2, equal ones staying equal)."""
    rng = np.random.default_rng(seed)
    values: dict[str, Any] = {}
    for name, shape in shapes.items():
        if shape is None:
            values[name] = float(rng.normal())
            continue
        rows, cols = (d if d == 1 else max(2, d // scale) for d in shape[:2])
        cells = rng.normal(size=(rows, cols))
        if len(shape) > 2:
            kept = rng.permutation(rows * cols)[: shape[2] * rows * cols // (shape[0] * shape[1])]
            cells = np.where(np.isin(np.arange(rows * cols), kept).reshape(rows, cols), cells, 0.0)
        values[name] = cells
    return values


def results(module: Module, values: Mapping[str, Any]) -> list[Any]:
    """What a program hands out."""
    found = evaluate(module, inputs=values, output=lambda line: None)
    return [found[k] for k in sorted(found, key=lambda k: int(k[1:]))]


def cost(module: Module) -> float:
    """The cost of the main function by the model; operations that are no part of the algebra count nothing."""
    func = next(op for op in module.body if isinstance(op, Func))
    island = Island([op for op in func.body if in_fragment(op)])
    nodes = island.build()
    return Model().total(nodes[v] for v in island.results)


def optimized(
    texts: list[str], types: Mapping[str, Type], strict: bool = False, sampling: bool = True
) -> tuple[Module, list[Rewrite]]:
    """The program after the pass, and what was rewritten."""
    module = program(texts, types)
    with recording() as rewrites:
        SumProduct(strict, sampling).run(module)
    verify(module)
    return module, rewrites
