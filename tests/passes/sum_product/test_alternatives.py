"""Plans that the data decides: both are right, and only kept where it is not known which one is good."""

from __future__ import annotations

import numpy as np
import pytest
from tests.passes.sum_product.programs import program, results, types_of

from sysmlc.api import Program
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.core import Module
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.ir.types import matrix
from sysmlc.passes import parse_pipeline
from sysmlc.passes.sparsity import Expectations
from sysmlc.passes.sum_product import SumProduct

LOSS = "sum((X - U %*% t(V)) ^ 2)"
SIZES = {"X": (3000, 2000), "U": (3000, 10), "V": (2000, 10)}


def rewritten(e: str, types: dict[str, object], strict: bool = False) -> Module:
    module = program([e], types)
    PassManager([SumProduct(strict_fp=strict)]).run(module)
    return module


def choices(module: Module) -> list[Op]:
    return [op for op in module.walk() if op.name == "scf.if"]


@pytest.mark.parametrize("e", [LOSS, "sum((X + U %*% t(V)) ^ 2)", "(U %*% t(V) - X) %*% V"])
@pytest.mark.parametrize("sized", [True, False])
def test_both_plans_are_right(e: str, sized: bool) -> None:
    types = types_of(SIZES)
    if not sized:
        types = {"X": matrix("n", "m"), "U": matrix("n", 10), "V": matrix("m", 10)}
    before, after = program([e], types), rewritten(e, types)
    rng = np.random.default_rng(1)
    u, v = rng.normal(size=(30, 10)), rng.normal(size=(20, 10))
    for share in (0.0, 0.004, 0.5, 1.0):
        x = rng.normal(size=(30, 20)) * (rng.random((30, 20)) < share)
        values = {"X": x, "U": u, "V": v}
        np.testing.assert_allclose(results(after, values)[0], results(before, values)[0], rtol=1e-9)


def test_the_loss_is_multiplied_out_where_that_is_much_cheaper_only() -> None:
    (choice,) = choices(rewritten(LOSS, types_of(SIZES)))
    assert any(op.name == "dml.tsmm" for op in choice.regions[0].walk())
    assert not any(op.name == "dml.tsmm" for op in choice.regions[1].walk())
    assert "X may have fewer than" in str(choice.attrs["why"])
    limit = next(op for op in choice.parent if op.name == "dml.lt").operands[1].op  # type: ignore[union-attr]
    assert limit is not None
    assert 0.01 * 6e6 <= limit.attrs["value"] < 0.1 * 6e6


@pytest.mark.parametrize(
    ("types", "strict"),
    [
        (types_of({**SIZES, "X": (3000, 2000, 60000)}), False),  # known to be sparse
        ({**types_of(SIZES), "X": matrix(3000, 2000, format="dense")}, False),
        (types_of({"X": (30, 20), "U": (30, 10), "V": (20, 10)}), False),  # nothing to gain
        (types_of(SIZES), True),  # sums stay as they are
    ],
)
def test_one_plan_where_the_choice_is_clear(types: dict[str, object], strict: bool) -> None:
    assert not choices(rewritten(LOSS, types, strict))


def test_what_others_need_too_stays() -> None:
    module = program([LOSS, "sum(abs(U %*% t(V)))"], types_of(SIZES))
    PassManager([SumProduct()]).run(module)
    assert not choices(module)


LOOP = "s = 0.0\nfor (i in 1:9) {\n  s = s + sum((X - U %*% t(V)) ^ 2)\n  <change>\n}\n"


@pytest.mark.parametrize(("change", "kept"), [("U = U * 0.9", 1), ("X = X * 0.9 + i", 0)])
def test_what_a_loop_carries_is_no_data_that_may_be_sparse(change: str, kept: int) -> None:
    script = Program(Source("<script>", LOOP.replace("<change>", change)), outputs=["s"])
    kinds = {name: f"matrix<{rows}x{cols}xf64>" for name, (rows, cols) in SIZES.items()}
    module = script.module(kinds, {}, ["s"])
    PassManager(parse_pipeline("inline,infer,canonicalize,cse,sum-product")).run(module)
    assert len(choices(module)) == kept


def test_suppositions_are_followed_once() -> None:
    op = next(op for op in program([LOSS], types_of(SIZES)).walk() if op.name == "dml.sub")
    expected = Expectations()
    few = expected.supposing(op.operands[0], 0.01)
    assert few is expected.supposing(op.operands[0], 0.01) is not expected.supposing(op.operands[0], 0.02)
    assert (few.density(op.operands[0]), expected.density(op.operands[0])) == (0.01, 1.0)
