"""What the compiler claims about non-zeros is checked by tests that see a false claim: each is planted here, and found.

Wrong rules are planted in `tests/ir/test_rule_oracle.py`.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable, Iterable, Sequence

import numpy as np
import pytest

from sysmlc.codegen.cpu.compile import Options
from sysmlc.ir.core import Op
from sysmlc.ir.dialects.dml_matrix import Transpose
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Diagnostic
from sysmlc.ir.types import Matrix, Type, matrix
from sysmlc.passes import parse_pipeline, sparse_safety
from sysmlc.passes.estimate import nnz_bound
from sysmlc.passes.infer import walk
from sysmlc.passes.sparsity import Expectations, Sketch
from tests.language import test_sparse_cells
from tests.language.random_programs import write
from tests.language.test_random_programs import FORMATS, check, module_of
from tests.passes.sparsity import test_sketch
from tests.passes.test_infer import Witness


def is_found(test: Callable[[int], None], numbers: Iterable[int]) -> bool:
    """Whether a test fails for one of these numbers."""
    for number in numbers:
        try:
            test(number)
        except Exception:
            return True
    return False


def facts_are_true(number: int) -> None:
    """What inference says of a script with inputs of known sizes and non-zeros holds where the reference runs it."""
    made = write(random.Random(number), statements=14)
    module = module_of(made, sized=True)
    PassManager(parse_pipeline("infer" if number % 2 else "inline,infer,canonicalize,cse,infer")).run(module)
    with np.errstate(all="ignore"), contextlib.suppress(Diagnostic):  # of scripts that stop
        Witness(module, made.inputs).call("main", ())


def run_sparse(number: int) -> None:
    check(write(random.Random(number), statements=12), {"every matrix CSR": FORMATS["every matrix CSR"]})


@pytest.mark.parametrize("number", range(40))
def test_facts_are_true(number: int) -> None:
    facts_are_true(number)


@pytest.mark.parametrize("name", ["dml.add", "dml.cbind", "dml.left_index", "dml.abs"])
def test_wrong_bound_of_an_operation(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """One non-zero less than the operands allow."""

    def wrong(op: Op, type: Matrix) -> int | None:
        bound = nnz_bound(op, type)
        return bound if bound is None or op.name != name else max(0, bound // 2)

    monkeypatch.setattr(walk, "nnz_bound", wrong)
    assert is_found(facts_are_true, range(40))


def test_wrong_bound_in_a_definition(monkeypatch: pytest.MonkeyPatch) -> None:
    def wrong(op: Transpose) -> Sequence[Type]:
        source = op.operand.type
        assert isinstance(source, Matrix)
        return (matrix(source.cols, source.rows, source.elem, 1),)

    monkeypatch.setattr(Transpose, "infer", wrong)
    assert is_found(facts_are_true, range(40))


@pytest.mark.parametrize("fn", ["cos", "eq", "not", "le", "sigmoid", "exp"])
def test_wrong_claim_that_zeros_stay_zeros(monkeypatch: pytest.MonkeyPatch, fn: str) -> None:
    monkeypatch.setitem(sparse_safety._FUNCTIONS, fn, lambda *_: 0.0)
    with pytest.raises(AssertionError):
        test_sparse_cells.check(fn)


@pytest.mark.parametrize(("fn", "sign", "first"), [("not", "(!", 20), ("eq", "==", 160)])
def test_random_scripts_find_wrong_claims(
    monkeypatch: pytest.MonkeyPatch, fn: str, sign: str, first: int
) -> None:
    """Few scripts have the function where facts do not remove it: from `first` on one comes soon. Those without its sign are
    not run, so that many can be tried after the scripts have changed."""
    monkeypatch.setitem(sparse_safety._FUNCTIONS, fn, lambda *_: 0.0)
    numbers = range(first, first + 300)
    assert is_found(run_sparse, (n for n in numbers if sign in write(random.Random(n), statements=12).text))


def test_wrong_estimates_change_nothing_but_plans(monkeypatch: pytest.MonkeyPatch) -> None:
    """Expectations are no facts: results stay right when they are nonsense, and the tests of sketches say that they are."""
    rng = random.Random(1)

    def nonsense(self: Expectations, value: object) -> Sketch:
        type = value.type  # type: ignore[attr-defined]
        rows, cols = (d if isinstance(d, int) else 1000 for d in (type.rows, type.cols))
        return Sketch.spread(rows, cols, rows * cols * rng.choice((0.0, 0.01, 0.3, 1.0)))

    monkeypatch.setattr(Expectations, "sketch", nonsense)
    for number in range(6):
        check(write(random.Random(900 + number), statements=12), {"-O2": Options(2)})


def test_wrong_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    right = Sketch._product_nnz
    monkeypatch.setattr(Sketch, "_product_nnz", lambda self, other: 1.5 * right(self, other))
    for test in (test_sketch.test_products_of_random_matrices, test_sketch.test_chains):
        with pytest.raises(AssertionError):
            test()
    meetings = Sketch._meetings
    monkeypatch.setattr(Sketch, "_meetings", lambda self, other: tuple(2 * m for m in meetings(self, other)))
    with pytest.raises(AssertionError):
        test_sketch.test_cell_by_cell("mul")
