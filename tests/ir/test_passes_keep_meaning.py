"""Every pass of the pipelines leaves a module that verifies, prints and reads back, and computes the same."""

from __future__ import annotations

import numpy as np
import pytest
from tests.ir.random_modules import RandomModule

from sysmlc.codegen.reference import evaluate
from sysmlc.ir.parser import parse
from sysmlc.ir.passes import PassManager
from sysmlc.ir.printer import to_text
from sysmlc.ir.verify import verify
from sysmlc.passes.pipelines import pipeline


def outputs(module, inputs):
    with np.errstate(all="ignore"):
        return evaluate(module, inputs=inputs, output=lambda line: None)


def same(a, b) -> bool:
    return np.shape(a) == np.shape(b) and np.allclose(a, b, rtol=1e-9, atol=1e-9, equal_nan=True)


@pytest.mark.parametrize("seed", range(100))
def test_random_modules(seed):
    made = RandomModule(seed)
    verify(made.module)
    text = to_text(made.module)
    module = parse(text)
    assert to_text(module) == text
    expected = outputs(module, made.inputs)
    for p in pipeline(2):
        before = to_text(module)
        PassManager([p]).run(module)
        after = to_text(module)
        assert to_text(parse(after)) == after
        found = outputs(module, made.inputs)
        wrong = [name for name, value in expected.items() if not same(value, found[name])]
        assert not wrong, f"{p} changes {wrong}\n{before}\nbecomes\n{after}"
