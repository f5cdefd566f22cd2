"""Reordered chains are right, and cost what the best of all orders costs."""

from __future__ import annotations

import random

import numpy as np
import pytest

from sysmlc.codegen.reference import evaluate
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.core import Op
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.ir.types import Matrix, matrix
from sysmlc.passes import parse_pipeline
from sysmlc.passes.estimate import FREE, Cost, product_cost


def best(sizes: list[int]) -> float:
    """Seconds of the best order, by trying all."""

    def orders(i: int, j: int) -> list[Cost]:
        if i == j:
            return [FREE]
        return [
            left + right + product_cost(sizes[i], sizes[k + 1], sizes[j + 1])
            for k in range(i, j)
            for left in orders(i, k)
            for right in orders(k + 1, j)
        ]

    return min(c.seconds for c in orders(0, len(sizes) - 2))


def cost(module: Op) -> float:
    total = FREE
    for op in module.walk():
        if op.name == "dml.matmul":
            left, right = (v.type for v in op.operands)
            assert isinstance(left, Matrix)
            assert isinstance(right, Matrix)
            assert isinstance(left.rows, int)
            assert isinstance(left.cols, int)
            assert isinstance(right.cols, int)
            total += product_cost(left.rows, left.cols, right.cols)
    return total.seconds


@pytest.mark.parametrize("seed", range(40))
def test_chain(seed: int) -> None:
    rng = random.Random(seed)
    n = rng.randint(3, 6)
    sizes = [rng.choice((1, 2, 3, 7, 20, 50)) for _ in range(n + 1)]
    names = "ABCDEF"[:n]
    flipped = [rng.random() < 0.3 for _ in names]

    def written(i: int, j: int) -> str:
        if i == j:
            return f"t({names[i]})" if flipped[i] else names[i]
        k = rng.randrange(i, j)
        return f"({written(i, k)} %*% {written(k + 1, j)})"

    shapes = [(c, r) if f else (r, c) for r, c, f in zip(sizes, sizes[1:], flipped, strict=False)]
    inputs = {name: matrix(*shape) for name, shape in zip(names, shapes, strict=True)}
    values = {
        name: np.random.default_rng(seed).random(shape) for name, shape in zip(names, shapes, strict=True)
    }
    source = Source("chain.dml", f"r = {written(0, n - 1)}\n")
    module = compile_source(source, {}, inputs=inputs, outputs=["r"])
    expected = evaluate(module, values)["r"]
    PassManager(parse_pipeline("matmul-chain")).run(module)
    np.testing.assert_allclose(evaluate(module, values)["r"], expected, rtol=1e-10)
    assert cost(module) <= best(sizes) * 1.0102


@pytest.mark.parametrize("share", [0.0, 0.005, 0.2, 1.0])
def test_an_order_left_open_is_right_whatever_the_data_is(share: float) -> None:
    rng = np.random.default_rng(3)
    inputs = {
        "A": rng.random((100, 250)),
        "S": (rng.random((250, 1000)) < share).astype(float),
        "B": rng.random((1000, 2000)),
    }
    types = {n: matrix(*v.shape) for n, v in inputs.items()}
    module = compile_source(Source("c.dml", "R = A %*% S %*% B\n"), inputs=types, outputs=["R"])
    PassManager(parse_pipeline("infer,matmul-chain")).run(module)
    assert [op.name for op in module.walk()].count("scf.if") == 1
    np.testing.assert_allclose(evaluate(module, inputs=inputs)["R"], inputs["A"] @ inputs["S"] @ inputs["B"])


@pytest.mark.parametrize(
    "shape", [(30, 4, 40, 3), (4, 30, 3, 40), (5, 5, 5, 5), (0, 3, 2, 1), (3, 0, 4, 2), (1, 7, 1, 9)]
)
@pytest.mark.parametrize(
    "text", ["A %*% B %*% C", "t(D) %*% B %*% C", "A %*% t(E) %*% C", "t(t(B) %*% t(A)) %*% C"]
)
def test_sizes_decide_at_run_time(text: str, shape: tuple[int, int, int, int]) -> None:
    rng = np.random.default_rng(1)
    m, k, n, p = shape
    inputs = {"A": rng.random((m, k)), "B": rng.random((k, n)), "C": rng.random((n, p))}
    inputs |= {"D": inputs["A"].T, "E": inputs["B"].T}
    given = {name: v for name, v in inputs.items() if name in text}
    module = compile_source(
        Source("<script>", f"R = {text}\n"), {}, inputs=dict.fromkeys(given, matrix()), outputs=["R"]
    )
    expected = evaluate(module, inputs=given)["R"]
    manager = PassManager(parse_pipeline("infer,guard-shapes,canonicalize,cse,simplify,matmul-chain"))
    manager.run(module)
    assert manager.statistics["matmul-chain", "orders decided at run time"] == 1
    np.testing.assert_allclose(evaluate(module, inputs=given)["R"], expected, rtol=1e-12)


def test_sizes_that_do_not_fit_stay_errors() -> None:
    module = compile_source(
        Source("<script>", "R = A %*% B %*% C\n"), {}, inputs=dict.fromkeys("ABC", matrix()), outputs=["R"]
    )
    PassManager(parse_pipeline("infer,guard-shapes,canonicalize,cse,matmul-chain")).run(module)
    given = {"A": np.ones((3, 2)), "B": np.ones((2, 4)), "C": np.ones((5, 6))}
    with pytest.raises(Exception, match="3x4 and 5x6"):
        evaluate(module, inputs=given)
