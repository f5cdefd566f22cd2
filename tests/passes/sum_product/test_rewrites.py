"""The table of known rewrites: each is found or bettered, is true, and has the value that is written, by reference and native."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import sparse
from tests.passes.sum_product.programs import cost, emit, parse, program, random_values, results, types_of
from tests.passes.sum_product.rewrite_table import CANCELS, HIDES_NAN, OTHERS, SPORES, Known, numbered
from tests.passes.sum_product.rule_table import SHAPES

from sysmlc.api import Results
from sysmlc.codegen.cpu.compile import Options, compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.ir.core import Builder, Region
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.dialects.dml_scalar import Input
from sysmlc.ir.passes import PassManager
from sysmlc.passes.pipelines import pipeline
from sysmlc.passes.sum_product.cost import Model
from sysmlc.passes.sum_product.extract import Planner
from sysmlc.passes.sum_product.islands import Island, in_fragment
from sysmlc.runtime.bridge import Context

REWRITES = [pytest.param(k, id=f"{k.number}-{k.name}") for k in numbered()]
TYPES = types_of(SHAPES)
BATCH = 24
NEGLIGIBLE = 1.5e-6
"""Seconds for an operation on next to nothing, which may be one or two."""


def planned(text: str) -> Module:
    """The program of an expression after the algebra of -O2."""
    module = program([text], TYPES)
    PassManager([p for p in pipeline(2) if not p.name.startswith("fuse-")]).run(module)
    return module


@pytest.mark.parametrize("known", REWRITES)
def test_plan_is_as_cheap_as_both_sides(known: Known) -> None:
    found = cost(planned(known.left))
    assert found <= cost(program([known.left], TYPES)) * 1.0001 + 1e-8
    if known.left not in HIDES_NAN and known.left not in CANCELS:
        assert found <= cost(program([known.right], TYPES)) * 1.02 + NEGLIGIBLE
        assert found <= cost(planned(known.right)) * 1.02 + NEGLIGIBLE


@pytest.mark.parametrize("known", REWRITES)
def test_sides_have_one_canonical_form(known: Known) -> None:
    region = Region()
    b = Builder(region)
    inputs = {n: b(Input, name_=n, types=[t]) for n, t in TYPES.items()}
    sides = [emit(b, parse(side), inputs, {}) for side in (known.left, known.right)]
    island = Island([op for op in region if in_fragment(op)])
    nodes = island.build()
    planner = Planner(island.graph, Model(), strict=False, finite=True)
    left, right = (planner.form(nodes[v] if v in nodes else island.node(v), True).key() for v in sides)
    assert left == right, f"{left}\n{right}"


@pytest.mark.parametrize("strict", [False, True])
@pytest.mark.parametrize("start", range(0, len(REWRITES), BATCH))
def test_equal_in_value(start: int, strict: bool) -> None:
    texts = [k.left for k in numbered()[start : start + BATCH]]
    values = random_values(SHAPES, 1)
    expected = results(program(texts, TYPES), values)
    module = program(texts, TYPES)
    PassManager(pipeline(2, strict_fp=strict)).run(module)
    for found in (results(module, values), native(texts, values, strict)):
        for text, a, b in zip(texts, expected, found, strict=True):
            assert np.shape(a) == np.shape(b), text
            scale = max(1.0, float(np.max(np.abs(a))))
            np.testing.assert_allclose(b, a, rtol=1e-9, atol=1e-9 * scale, err_msg=text)


def native(texts: list[str], values: dict[str, object], strict: bool) -> list[object]:
    """What the machine computes, with the matrices that are said to be sparse stored so."""
    module = program(texts, TYPES)
    loaded = engine().load(compile_program(module, "table", Options(2, strict_fp=strict)))
    context = Context()
    for name, value in values.items():
        context.set_input(name, sparse.csr_matrix(value) if SHAPES[name] and len(SHAPES[name]) > 2 else value)
    context.run(loaded, engine().resolver)
    names = [f"r{i}" for i in range(len(texts))]
    made = Results(context, names)
    return [made[n].toarray() if sparse.issparse(made[n]) else made[n] for n in names]


def test_all_of_the_paper_are_there() -> None:
    assert sum(map(len, SPORES.values())) == 84
    rows = numbered()
    assert rows[83].name == list(SPORES)[-1]
    assert len({(k.left, k.right) for k in rows}) == len(rows)
    assert not set(SPORES) & set(OTHERS)
