"""Matrices are broadcast on the right only: what leads still leads in the cheapest terms, known sizes or not."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op, clone
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.ir.types import Type, matrix
from sysmlc.passes import parse_pipeline

RNG = np.random.default_rng(11)
INPUTS: dict[str, Any] = {
    "X": RNG.uniform(1, 2, (5, 4)),
    "Y": RNG.uniform(1, 2, (5, 4)),
    "r": RNG.uniform(1, 2, (1, 4)),
    "c": RNG.uniform(1, 2, (5, 1)),
}
WRITTEN = [
    "X * (Y + c) - r / 3",
    "-X + r",
    "-X - r / 4",
    "-X + (r / 3 - r)",
    "3 - X * 2 + c",
    "X / c / r",
    "1 / X * c",
    "X ^ -2 * r",
    "2 / X / r",
    "exp(X) * exp(r)",
    "exp(X) / exp(c) - r",
    "1 / (1 + exp(r - r * 2)) + r",
    "1 / (1 + exp(-X)) * r",
    "sqrt(X) * sqrt(r)",
    "max(max(X, r), X * 2)",
    "min(X, c) - max(X, r)",
    "-max(-X, -c) * r",
    "X * Y * r - Y * X",
    "(X - r) ^ 2 / c",
    "abs(X) * abs(r) + c",
    "log(X) + log(r)",
]
LEADING = "sqrt(abs(abs(X))) + "
"""Something to gain, so that the rest is written anew."""


def program(text: str, known: bool) -> Op:
    types: dict[str, Type] = {n: matrix(*v.shape) if known else matrix() for n, v in INPUTS.items()}
    return compile_source(Source("b.dml", f"a = {text}\n"), {}, inputs=types, outputs=("a",))


@pytest.mark.parametrize("passes", ["equalities", "infer,equalities", "infer,equalities{linear=true}"])
@pytest.mark.parametrize("known", [False, True])
@pytest.mark.parametrize("written", WRITTEN)
def test_what_leads_still_leads(written: str, known: bool, passes: str) -> None:
    for text in (written, f"{LEADING}({written})"):
        module = program(text, known)
        expected = evaluate(module, INPUTS)["a"]
        made = clone(module, {})
        PassManager(parse_pipeline(passes)).run(made)  # type: ignore[arg-type]
        assert np.allclose(evaluate(made, INPUTS)["a"], expected, rtol=1e-12)
