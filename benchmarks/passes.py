"""Time of the logical passes: microseconds an operation, on a program of some thousand operations.

python benchmarks/passes.py
"""

from __future__ import annotations

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
PASSES = ("inline", "infer", "canonicalize", "cse", "dce", "hoist", "simplify", "sum-product", "matmul-chain")


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


if __name__ == "__main__":
    main()
