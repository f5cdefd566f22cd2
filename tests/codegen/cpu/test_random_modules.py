"""Random modules compute natively, with and without optimisation, what the reference evaluator computes."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import csr_matrix
from tests.ir.random_modules import RandomModule

from sysmlc.api import Results
from sysmlc.codegen.cpu.compile import Options, compile_program
from sysmlc.codegen.cpu.jit import engine
from sysmlc.codegen.reference import evaluate
from sysmlc.ir.parser import parse
from sysmlc.ir.printer import to_text
from sysmlc.runtime.bridge import Context


def native(text: str, inputs: dict[str, object], names: tuple[str, ...], level: int) -> Results:
    loaded = engine().load(compile_program(parse(text), "random", Options(level)))
    context = Context()
    for name, value in inputs.items():
        context.set_input(name, value)
    context.run(loaded, engine().resolver)
    return Results(context, names)


@pytest.mark.parametrize("seed", range(20))
def test_random_modules(seed: int) -> None:
    made = RandomModule(seed)
    text = to_text(made.module)
    with np.errstate(all="ignore"):
        expected = evaluate(made.module, inputs=made.inputs, output=lambda line: None)
    sparse = {k: csr_matrix(v) if isinstance(v, np.ndarray) else v for k, v in made.inputs.items()}
    for level, inputs in ((0, made.inputs), (2, made.inputs), (2, sparse)):
        found = native(text, inputs, tuple(expected), level)
        for name, value in expected.items():
            result = found[name].toarray() if hasattr(found[name], "toarray") else found[name]
            np.testing.assert_allclose(
                result, value, rtol=1e-9, atol=1e-9, err_msg=f"{name} at -O{level}\n{text}"
            )
