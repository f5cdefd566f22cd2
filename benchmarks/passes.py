"""Time of the logical passes: microseconds an operation, on a program of some thousand operations; and of the two searches for
plans, on expressions of some size, with the time they should stay within.

python benchmarks/passes.py
"""

from __future__ import annotations

import gc
import random
import time

import sysmlc.ir.dialects  # noqa: F401
from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.passes import PassManager
from sysmlc.ir.source import Source
from sysmlc.passes import parse_pipeline

BLOCK = """
p = 1 / (1 + exp(-(X %*% w)))
g = t(X) %*% (p - y) + 0.1 * w
for (j in 1:n) {
  d = -g
  q = X %*% d
  step = sum(g ^ 2) / (sum(q * q * p) + 0.1 * sum(d ^ 2))
  w = w + step * d
  if (step > 10) { w = w * 0.5 }
  g = t(X) %*% (1 / (1 + exp(-(X %*% w))) - y) + 0.1 * w
}
"""
PASSES = (
    "inline",
    "infer",
    "canonicalize",
    "cse",
    "dce",
    "hoist",
    "simplify",
    "equalities",
    "sum-product",
    "matmul-chain",
)


SIZES = "X = rand(rows=20000, cols=9000, sparsity=0.001)\nU = rand(rows=20000, cols=20)\nV = rand(rows=9000, cols=20)\n"
LOSSES = {
    "loss of a factorisation": "print(sum((X - U %*% t(V))^2) + 0.1 * (sum(U^2) + sum(V^2)))",
    "its gradient": "print(sum(abs((U %*% t(V) - X) %*% V + 0.1 * U)))",
    "weighted": "print(sum((X != 0) * (X - U %*% t(V))^2) - 2 * sum((U %*% t(V)) * X))",
    "of a logistic regression": "P = exp(U) / (1 + exp(U))\nprint(sum(U * log(P) + (1 - U) * log(1 - P)) + max(exp(U)))",
}
ALGEBRA = "equalities,sum-product"


def search_budgets() -> None:
    """Milliseconds of the algebra for 15 and 100 operations, and of `fuse-cells` for 60."""
    for name, text in LOSSES.items():
        print(f"algebra: {name:26s} {1e3 * best_of(ALGEBRA, SIZES + text):10.1f} ms of 5")
    rng = random.Random(1)
    for target, name, budget, f in (
        (100, ALGEBRA, 100, ""),
        (100, ALGEBRA, 100, "exp log sqrt sigmoid"),
        (60, "fuse-cells", 50, ""),
    ):
        lines = [f"M{i} = rand(rows=2000, cols=300)" for i in range(4)]
        for i in range(4, 4 + target // 2):
            a, b, c = (rng.randrange(max(0, i - 8), i) for _ in range(3))
            left = f"{rng.choice(f.split())}(M{a})" if f else f"M{a} * M{b}"
            lines.append(f"M{i} = {left} {rng.choice('+-*/' if f else '+-')} M{c}")
        lines += [f"print(sum(M{i}) + sum(M{i - 1}))" for i in range(4 + target // 2 - 3, 4 + target // 2)]
        taken = best_of(name, "\n".join(lines), "decompose,form-cells" if name == "fuse-cells" else "cse")
        what = f"{target} operations{' and functions' if f else ''}"
        print(f"{name}: {what:30s} {1e3 * taken:8.1f} ms of {budget}")


def best_of(name: str, text: str, before: str = "cse") -> float:
    """Seconds of a pass after those `before`, without garbage collection, as in a compilation."""
    best = float("inf")
    gc.disable()
    for _ in range(7):
        module = compile_source(Source("t.dml", text + "\n"), {})
        PassManager(parse_pipeline(f"infer,canonicalize,{before}"), verify_each=False).run(module)
        manager = PassManager(parse_pipeline(name), verify_each=False)
        start = time.process_time()
        manager.run(module)
        best = min(best, time.process_time() - start)
    gc.enable()
    return best


def main() -> None:
    text = "X = rand(rows=$n, cols=9)\ny = rand(rows=$n, cols=1)\nw = matrix(0, 9, 1)\nn = $n\n" + BLOCK * 60
    for name in PASSES:
        best = float("inf")
        for _ in range(3):
            module = compile_source(Source("t.dml", text + "print(sum(w))\n"), {"n": "100"})
            PassManager(parse_pipeline("infer,canonicalize"), verify_each=False).run(module)
            size = sum(1 for _ in module.walk())
            manager = PassManager(parse_pipeline(name), verify_each=False)
            start = time.process_time()
            manager.run(module)
            best = min(best, (time.process_time() - start) / size)
        print(f"{name:14s} {best * 1e6:6.1f} µs an operation")
    search_budgets()


if __name__ == "__main__":
    main()
