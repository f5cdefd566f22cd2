"""What loops carry is expected to be as sparse as it is in all rounds: not unknown, and not as in the first one."""

from __future__ import annotations

import pytest

from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.passes import parse_pipeline
from sysmlc.passes.sparsity import Expectations

START = "X = rand(rows=400, cols=300, sparsity=0.01)\nW = rand(rows=400, cols=300, sparsity=0.02)\nn = as.scalar(rand(rows=1, cols=1)) * 9\n"


def expected(body: str, loop: str = "for (i in 1:n)") -> tuple[float, float]:
    """The share of non-zeros inside of a loop, and after it."""
    text = f"{START}{loop} {{\n{body}\nprint(sum(X))\n}}\nprint(sum(abs(X)))\n"
    module = compile_source(Source("t.dml", text), {})
    PassManager(parse_pipeline("inline,cse,infer,canonicalize,cse,dce")).run(module)
    e = Expectations()
    sums = [op for op in module.walk() if op.name == "dml.sum"]
    inside, after = sums[0].operands[0], next(op for op in module.walk() if op.name == "dml.abs").operands[0]
    return e.density(inside), e.density(after)


@pytest.mark.parametrize("loop", ["for (i in 1:n)", "while (sum(X) > n)", "parfor (i in 1:n, check=0)"])
def test_what_stays_sparse(loop: str) -> None:
    inside, after = expected("X = X * W / sum(X)" if "parfor" not in loop else "X[i, 1] = W[i, 1]", loop)
    assert inside < 0.02
    assert after < 0.02


def test_what_grows_up_to_a_bound() -> None:
    inside, after = expected("X = W * 2 + X * W")
    assert 0.019 <= inside <= 0.03
    assert 0.019 <= after <= 0.03


@pytest.mark.parametrize(
    "body", ["X = X + rand(rows=400, cols=300, sparsity=0.1)", "X = exp(X)", "X = X %*% t(X) %*% X"]
)
def test_what_fills_up(body: str) -> None:
    _, after = expected(body)
    assert after > 0.5


def test_nested_loops() -> None:
    inside, after = expected("for (j in 1:3) {\nX = X * W\n}")
    assert inside < 0.02
    assert after < 0.02
    _, after = expected("for (j in 1:3) {\nX = X + 1\n}")
    assert after > 0.5


def test_what_several_carry() -> None:
    """What one starts with reaches the other in the second round."""
    _, after = expected("Y = X\nX = W\nW = Y + 1")
    assert after > 0.5
