"""Dense products of many shapes beside NumPy's `@` (threaded OpenBLAS) and the peak of the processor, in both precisions.

    python benchmarks/products.py [--rounds 15] [--threads 2] [--only square]

Medians of interleaved rounds through the Python interface. The peak is that of fused multiply-adds in registers, on all threads at
once, measured in the same run; for products with a vector the last column is the bandwidth instead.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from measure import clocked, machine, median, side_by_side, table  # noqa: E402
from operators import fma_text  # noqa: E402

import sysmlc  # noqa: E402
from sysmlc.codegen.cpu.target import compile_object, make_target  # noqa: E402
from sysmlc.runtime.code import Code  # noqa: E402

PRODUCT, LEFT, RIGHT, SELF = "X %*% Y", "t(X) %*% Y", "X %*% t(Y)", "t(X) %*% X"
SHAPES: dict[str, list[tuple[str, int, int, int]]] = {  # m, k, n of the product
    "square": [(PRODUCT, n, n, n) for n in (1000, 1500, 2000, 3000)],
    "transposed": [(LEFT, 1000, 1000, 1000), (RIGHT, 1000, 1000, 1000), (SELF, 1000, 1000, 1000)],
    "thin": [
        (PRODUCT, 50_000, 100, 10),
        (PRODUCT, 60_000, 784, 10),
        (LEFT, 784, 60_000, 10),
        (PRODUCT, 10, 100, 50_000),
        (LEFT, 20, 500_000, 30),
    ],
    "layers": [
        (PRODUCT, 60_000, 784, 512),
        (PRODUCT, 128, 784, 512),
        (LEFT, 784, 128, 512),
        (RIGHT, 128, 512, 784),
    ],
    "self": [(SELF, 100, 1_000_000, 100), (SELF, 784, 60_000, 784)],
    "vector": [
        (PRODUCT, 8000, 1000, 1),
        (LEFT, 1000, 8000, 1),
        (PRODUCT, 1_000_000, 10, 1),
        (LEFT, 100, 100_000, 1),
    ],
}

ROUNDS, SUMS = 4_000_000, 24


def peak(kind: str, threads: int) -> float:
    """Floating-point operations per second of multiply-adds on values in registers."""
    target = make_target("native")
    lanes, bits = (target.lanes, 64) if kind == "f8" else (2 * target.lanes, 32)
    sums = SUMS if target.lanes == 8 else 12
    code = Code(compile_object(fma_text(lanes, bits, sums), target))
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)
    run, zeros = prototype(code.address("stream")), np.zeros(8)
    room = np.zeros((threads, 64 * 32))
    best = np.inf
    with ThreadPoolExecutor(threads) as pool:
        for _ in range(5):
            begin = time.perf_counter()
            list(
                pool.map(lambda k: run(zeros.ctypes.data, 0, room[k].ctypes.data, 0, ROUNDS), range(threads))
            )
            best = min(best, time.perf_counter() - begin)
    return 2.0 * ROUNDS * sums * lanes * threads / best


def operands(script: str, m: int, k: int, n: int, kind: str) -> dict[str, Any]:
    rng = np.random.default_rng(m + k + n)
    x = rng.random((k, m) if script in (LEFT, SELF) else (m, k), np.float32).astype(kind)
    if script == SELF:
        return {"X": x}
    return {"X": x, "Y": rng.random((n, k) if script == RIGHT else (k, n), np.float32).astype(kind)}


def numpy_of(script: str, x: Any, y: Any = None) -> Any:
    return {PRODUCT: lambda: x @ y, LEFT: lambda: x.T @ y, RIGHT: lambda: x @ y.T, SELF: lambda: x.T @ x}[
        script
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", choices=SHAPES)
    options = parser.parse_args()
    limit = {kind: peak(kind, options.threads) for kind in ("f8", "f4")}
    rows = []
    for group, shapes in SHAPES.items():
        for script, m, k, n in shapes if options.only in (None, group) else []:
            for kind, precision in (("f8", "double"), ("f4", "single")):
                inputs = operands(script, m, k, n, kind)
                program = sysmlc.compile(f"r = {script}", outputs=["r"], precision=precision)
                found = side_by_side(
                    {
                        "ours": clocked(lambda p=program, x=inputs: p.run(inputs=x)["r"]),
                        "NumPy": clocked(numpy_of(script, *inputs.values())),
                    },
                    options.rounds,
                    warmup=2,
                )
                ours, peer = median(found["ours"]), median(found["NumPy"])
                flops = (1.0 if script == SELF else 2.0) * m * k * n / ours
                size = sum(v.nbytes for v in inputs.values()) / ours
                rows.append(
                    [
                        f"{script}, {m} x {k} x {n}",
                        f"f{8 * int(kind[1])}",
                        f"{1000 * ours:.2f}",
                        f"{1000 * peer:.2f}",
                        f"{peer / ours:.2f}",
                        f"{flops / 1e9:.1f}",
                        f"{size / 1e9:.1f} GB/s" if group == "vector" else f"{flops / limit[kind]:.2f}",
                    ]
                )
    print(
        f"{machine()}; peak of {options.threads} threads: {limit['f8'] / 1e9:.0f} (f64), {limit['f4'] / 1e9:.0f} (f32) GFLOP/s"
    )
    print(table(["product", "cells", "ms", "NumPy ms", "ratio", "GFLOP/s", "of the limit"], rows))


if __name__ == "__main__":
    main()
