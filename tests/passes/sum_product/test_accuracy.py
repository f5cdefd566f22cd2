"""How far optimised results may be from what is written, on data made to cancel.

Rewriting regroups sums and, unless `strict_fp`, multiplies them out. Both keep the error relative to the sum of all terms without
their signs: within `TOLERANCE` roundings of the expression with `+` for `-` over the absolute values of its operands.
"""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from tests.passes.sum_product.programs import program, random_values, results, types_of
from tests.passes.sum_product.rule_table import RULES, SHAPES

from sysmlc.ir.passes import PassManager
from sysmlc.passes.pipelines import pipeline

TOLERANCE = 512 * np.finfo(float).eps
TYPES = types_of(SHAPES)


def without_signs(e: str) -> str:
    """The expression with all terms added."""
    return re.sub(r"(?<![\w)\]] )-(?=[\w(])", "", e).replace(" - ", " + ")


def data(kind: str) -> dict[str, Any]:
    values = random_values(SHAPES, 1)
    rng = np.random.default_rng(3)
    if kind == "near a fit":  # the products are what is subtracted from them, but for the last digits
        fit = values["U"] @ values["V"].T
        values |= {"X": fit * (1 + 1e-12 * rng.normal(size=fit.shape)), "H": values["V"].T.copy()}
        values["Y"] = values["X"] * (1 + 1e-10)
        values["P"] = values["X"] @ values["K"] + 1e-9
        values["B"], values["Q"] = values["C"] * (1 + 1e-14), values["P"] * (1 - 1e-13)
    elif kind == "offset":  # far from zero, close together
        for name, value in values.items():
            if isinstance(value, np.ndarray) and len(SHAPES[name]) == 2:
                values[name] = 1e6 + value
    elif kind == "scales":  # from tiny to huge
        for name, value in values.items():
            if isinstance(value, np.ndarray):
                values[name] = value * 10.0 ** rng.integers(-12, 12, value.shape)
    return values


@pytest.mark.parametrize("kind", ["near a fit", "offset", "scales"])
def test_errors_are_relative_to_the_terms(kind: str) -> None:
    values = data(kind)
    positive = {n: np.abs(v) for n, v in values.items()}
    texts = [e for es in RULES.values() for e in es[:3]]
    for start in range(0, len(texts), 40):
        batch = texts[start : start + 40]
        expected = results(program(batch, TYPES), values)
        terms = results(program([without_signs(e) for e in batch], TYPES), positive)
        for strict in (False, True):
            module = program(batch, TYPES)
            PassManager(pipeline(2, strict_fp=strict), verify_each=False).run(module)
            for e, a, b, scale in zip(batch, expected, results(module, values), terms, strict=True):
                error = np.abs(np.asarray(a) - np.asarray(b))
                assert np.all(error <= TOLERANCE * np.abs(scale) + 1e-300), (e, strict, float(np.max(error)))


def test_a_sum_of_squares_is_not_negative() -> None:
    """Multiplied out it cancels near a fit, to anything as small as its terms are exact."""
    types = types_of({"S": (20000, 10000, 4000), "U": (20000, 5), "V": (10000, 5)})
    texts = ["sum((S - U %*% t(V)) ^ 2)", "sum((U %*% t(V) - S) ^ 2)"]
    module = program(texts, types)
    PassManager(pipeline(2, fusion=False), verify_each=False).run(module)
    assert sum(op.name == "dml.tsmm" for op in module.walk()) == 2
    for seed in range(20):
        rng = np.random.default_rng(seed)
        u, v = rng.normal(size=(30, 5)), rng.normal(size=(20, 5))
        assert min(results(module, {"S": u @ v.T, "U": u, "V": v})) >= 0


def test_signs_are_taken_out() -> None:
    assert without_signs("(-t(X)) %*% P - s * X") == "(t(X)) %*% P + s * X"
    assert without_signs("-(X - Y)") == "(X + Y)"


def test_a_square_that_is_multiplied_out_too_lightly_is_found() -> None:
    """What the bound is about: this expansion has it, but a variance far from zero does not keep a digit."""
    values = data("offset")
    (direct, expanded) = results(
        program(["sum((X - mean(X)) ^ 2)", "sum(X ^ 2) - 9600 * mean(X) ^ 2"], TYPES), values
    )
    assert abs(direct - expanded) > 1e-6 * direct
    module = program(["sum((X - mean(X)) ^ 2)"], TYPES)
    PassManager(pipeline(2)).run(module)
    np.testing.assert_allclose(results(module, values)[0], direct, rtol=1e-12)


@pytest.mark.parametrize("e", [
    "X * 1e200 * 1e200", "X * 1e-200 * 1e-200", "X / 1e-200 / 1e-200", "X / 1e200 * 1e-200", "sum(X * 1e200) * 1e200",
    "(X * 1e200) %*% K * 1e200", "X + 1e308 + 1e308", "exp(X * 1e200 * 1e200)", "1e200 * (Y + 1e200 * X)",
    "sqrt(X * 1e200 * 1e200)", "sign(X * 1e-200 * 1e-200)", "sum(W * 1e200 * X * 1e200 * 1e-300)",
])  # fmt: skip
def test_numbers_whose_product_is_out_of_range_stay_apart(e: str) -> None:
    """Cells that bring it back into range, and zeros, which times infinity are NaN."""
    cells = {n: v for n, v in random_values(SHAPES, 1).items() if isinstance(v, np.ndarray)}
    written, module = program([e], TYPES), program([e], TYPES)
    PassManager(pipeline(2), verify_each=False).run(module)
    for scale in (0.0, 1e-300, 1e250):
        values = random_values(SHAPES, 1) | {n: scale * np.abs(v) for n, v in cells.items()}
        with np.errstate(all="ignore"):
            expected, found = results(written, values)[0], results(module, values)[0]
        np.testing.assert_allclose(found, expected, rtol=1e-12)
