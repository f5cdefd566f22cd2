"""What is written so that it stays finite and exact does so, whatever equal form of it is written beside."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from tests.passes.sum_product.programs import program, results, types_of

from sysmlc.ir.passes import PassManager
from sysmlc.passes.pipelines import pipeline

ROBUST = [
    "sigmoid(X)", "1 / (1 + exp(-X))", "1 / (1 + exp(X))", "tanh(X)", "exp(X - rowMaxs(X))", "log(sigmoid(X))",
    "log(1 + exp(X))", "exp(-X)", "exp(2 * log(abs(P)) + Q)", "exp(log(abs(P)) + Q)", "exp(3 * log(abs(P)) - 2 * log(abs(Q)))",
]  # fmt: skip
BESIDE = [
    "exp(X) / (1 + exp(X))", "1 - sigmoid(X)", "1 - 1 / (1 + exp(-X))", "sigmoid(X) * (1 - sigmoid(X))", "exp(-X) * sigmoid(X)",
    "log(exp(X) / (1 + exp(X)))", "(exp(X) - exp(-X)) / (exp(X) + exp(-X))", "2 * sigmoid(2 * X) - 1", "exp(X) / exp(rowMaxs(X))",
    "exp(X) * exp(-X)", "log(1 - sigmoid(X))", "P ^ 2 * exp(Q)", "exp(Q) + exp(P)",
]  # fmt: skip
TYPES = types_of({"X": (300, 200), "P": (300, 200), "Q": (300, 200)})
CELLS = np.array([0.25, -3.0, 40.0, -40.0, 800.0, -800.0, 1e8, -1e8, 1e-12])
VALUES = {
    "X": np.tile(CELLS, (2, 1)),
    "P": np.tile([0.0, 1e200, 1e-200, 1e-300, 0.5, 2.0, 1e300, 1.0, 3.0], (2, 1)),
    "Q": np.tile([800.0, -900.0, 900.0, 710.0, -800.0, 3.0, -1300.0, 0.0, 1.0], (2, 1)),
}


@pytest.mark.parametrize("beside", BESIDE)
def test_robust_forms_stay(beside: str) -> None:
    both = [(e, [e, beside] if first else [beside, e]) for e, first in product(ROBUST, (True, False))]
    for e, texts in both:
        module = program(["abs(P)", *texts], TYPES)
        PassManager(pipeline(2, fusion=False), verify_each=False).run(module)
        with np.errstate(all="ignore"):
            (expected,) = results(program([e], TYPES), VALUES)
            found = results(module, VALUES)[1 + texts.index(e)]
        np.testing.assert_allclose(found, expected, rtol=1e-9, atol=1e-300, err_msg=f"{e} beside {beside}")
