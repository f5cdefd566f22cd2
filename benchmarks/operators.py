"""Speed of the runtime's operators beside NumPy and SciPy, and against what the machine can do.

    python benchmarks/operators.py [--scale 1.0] [--rounds 7] [part of a name …]

Peers take turns with the runtime. `share` is the part of the machine's speed that the runtime reaches, both measured in
the same rounds: of the bandwidth of plain reads (bytes that must be read and written), or of fused multiply-adds.
`memory` is the peak that one call adds, result included (the peer's as tracemalloc sees it).
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import tracemalloc
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import scipy.sparse as sp

sys.path.insert(0, str(Path(__file__).parent.parent))
sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "tests/runtime/core"))

from capi import Runtime
from kernels import stream_text
from measure import clocked, machine, median, side_by_side

from sysmlc.codegen.cpu.target import compile_object, make_target
from sysmlc.runtime.code import Code
from sysmlc.runtime.library import blas_library

FMA_ROUNDS = 400_000

FMA_TEXT = """
declare {v} @llvm.fma.{m}({v}, {v}, {v})
define void @stream(ptr %a, ptr %b, ptr %c, i64 %from, i64 %to) {{
entry:
  %x = load {v}, ptr %a, align 8
  br label %loop
loop:
  %i = phi i64 [ 0, %entry ], [ %next, %loop ]
  {phis}
  {body}
  %next = add i64 %i, 1
  %more = icmp slt i64 %next, %to
  br i1 %more, label %loop, label %exit
exit:
  {after}
  ret void
}}
"""


def fma_text(lanes: int, bits: int = 64, sums: int = 12) -> str:
    """Independent fused multiply-adds of f64 or f32 in registers, as many as hide their latency."""
    v, chains = f"<{lanes} x {'double' if bits == 64 else 'float'}>", range(sums)
    return FMA_TEXT.format(
        v=v,
        m=f"v{lanes}f{bits}",
        phis="\n  ".join(f"%s{k} = phi {v} [ %x, %entry ], [ %t{k}, %loop ]" for k in chains),
        body="\n  ".join(
            f"%t{k} = call {v} @llvm.fma.v{lanes}f{bits}({v} %s{k}, {v} %x, {v} %x)" for k in chains
        ),
        after="\n  ".join(
            f"%o{k} = getelementptr {v}, ptr %c, i64 {k}\n  store {v} %t{k}, ptr %o{k}, align 8"
            for k in chains
        ),
    )


class Machine:
    """Plain loops on all threads: what the hardware gives just now."""

    def __init__(self, threads: int) -> None:
        self.target, self.threads = make_target("native"), threads
        self.pool = ThreadPoolExecutor(threads)
        self.data = np.full(1 << 25, 0.5)
        self.sink = np.zeros((threads, 256))
        self.keep: list[Code] = []
        self.read_loop = self.function(stream_text("read", self.target.lanes))
        self.fma_loop = self.function(fma_text(self.target.lanes))

    def function(self, text: str) -> Any:
        code = Code(compile_object(text, self.target))
        self.keep.append(code)
        prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)
        return prototype(code.address("stream"))

    def read(self) -> None:
        part = self.data.size // self.threads // 64 * 64
        start = self.data.ctypes.data + (-self.data.ctypes.data) % 64
        list(
            self.pool.map(
                lambda k: self.read_loop(start, 0, self.sink[k].ctypes.data, k * part, (k + 1) * part - 64),
                range(self.threads),
            )
        )

    def fma(self) -> None:
        data = self.data.ctypes.data
        list(
            self.pool.map(
                lambda k: self.fma_loop(data, 0, self.sink[k].ctypes.data, 0, FMA_ROUNDS), range(self.threads)
            )
        )


@dataclass
class Case:
    """One operator: the runtime's call, the peer's, and what the machine must do at least."""

    name: str
    ours: Callable[[], int]
    peer: Callable[[], Any]
    gigabytes: float = 0.0
    gigaflops: float = 0.0


def cases(rt: Runtime, scale: float) -> list[Case]:
    rng = np.random.default_rng(1)

    def size(n: int) -> int:
        return max(16, int(n * scale))

    def sparse(rows: int, cols: int, nnz: int) -> sp.csr_matrix:
        entries = (rng.random(nnz), (rng.integers(0, rows, nnz), rng.integers(0, cols, nnz)))
        made = sp.csr_matrix(entries, shape=(rows, cols))
        made.sum_duplicates()
        return made

    def product(x: int, y: int, transpose: bytes = b"") -> Callable[[], int]:
        return lambda: int(rt.call("matmul:ppps", x, y, transpose))

    found: list[Case] = []
    for n in (1000, 1500, 2000):
        A, B = rng.random((size(n), size(n))), rng.random((size(n), size(n)))
        found.append(
            Case(
                f"X %*% Y, {size(n)}",
                product(rt.dense(A), rt.dense(B)),
                lambda A=A, B=B: A @ B,
                0,
                2e-9 * size(n) ** 3,
            )
        )
    tall, small = rng.random((size(400_000), 64)), rng.random((64, 64))
    t = rt.dense(tall)
    found.append(
        Case("tall X %*% 64x64", product(t, rt.dense(small)), lambda: tall @ small, tall.nbytes * 2e-9)
    )
    found.append(
        Case(
            "t(X) %*% X, 64 columns",
            lambda: int(rt.call("tsmm:pp", t)),
            lambda: tall.T @ tall,
            tall.nbytes * 1e-9,
        )
    )
    for rows, cols in ((400_000, 100), (40_000, 1000)):
        X = rng.random((size(rows), cols))
        x, v, u = rt.dense(X), rng.random((cols, 1)), rng.random((size(rows), 1))
        found.append(
            Case(f"X %*% v, {cols} columns", product(x, rt.dense(v)), lambda X=X, v=v: X @ v, X.nbytes * 1e-9)
        )
        found.append(
            Case(
                f"t(X) %*% v, {cols} columns",
                product(x, rt.dense(u), b"l"),
                lambda X=X, u=u: X.T @ u,
                X.nbytes * 1e-9,
            )
        )
    S = sparse(size(200_000), 5000, size(2_000_000))
    s, stored = rt.csr(S), S.data.nbytes * 1.5e-9
    for n in (1, 8, 16, 64):
        D = rng.random((5000, n))
        found.append(
            Case(
                f"S %*% {n} columns",
                product(s, rt.dense(D)),
                lambda D=D: S @ D,
                stored + S.shape[0] * n * 8e-9,
            )
        )
    U = rng.random((S.shape[0], 16))
    found.append(
        Case("t(S) %*% 16 columns", product(s, rt.dense(U), b"l"), lambda: S.T @ U, stored + U.nbytes * 1e-9)
    )
    L = rng.random((64, S.shape[0]))
    found.append(Case("64 rows %*% S", product(rt.dense(L), s), lambda: L @ S, stored + L.nbytes * 1e-9))
    P, Q = (
        sparse(size(20_000), size(20_000), size(200_000)),
        sparse(size(20_000), size(20_000), size(200_000)),
    )

    def ordered() -> Any:
        made = P @ Q
        made.sort_indices()
        return made

    found.append(Case("S %*% S", product(rt.csr(P), rt.csr(Q)), ordered))
    found.append(Case("t(S)", lambda: int(rt.call("t:pp", s)), lambda: S.T.tocsr(), 2 * stored))
    Y = rng.random((size(4000), 5000))
    y, moved = rt.dense(Y), Y.nbytes * 2e-9
    pair = (ctypes.c_void_p * 2)(y, y)
    found += [
        Case("t(X)", lambda: int(rt.call("t:pp", y)), lambda: np.ascontiguousarray(Y.T), moved),
        Case(
            "cbind",
            lambda: int(rt.call("cbind:pip", 2, ctypes.addressof(pair))),
            lambda: np.hstack([Y, Y]),
            2 * moved,
        ),
        Case(
            "rbind",
            lambda: int(rt.call("rbind:pip", 2, ctypes.addressof(pair))),
            lambda: np.vstack([Y, Y]),
            2 * moved,
        ),
        Case(
            "X[, a:b]",
            lambda: int(rt.call("index:ppiiii", y, 1, Y.shape[0], 501, 4500)),
            lambda: Y[:, 500:4500].copy(),
            0.8 * moved,
        ),
    ]
    uniform = rt.string("uniform")
    found.append(
        Case(
            "rand, 20M cells",
            lambda: int(rt.call("rand:piidddpid", Y.shape[0], 5000, 0.0, 1.0, 1.0, uniform, 7, 1.0)),
            lambda: rng.random(Y.shape),
            Y.nbytes * 1e-9,
        )
    )
    keys, groups = rng.random((size(1_000_000), 1)), rng.integers(1, 1001, (size(1_000_000), 1)).astype(float)
    k, g = rt.dense(keys), rt.dense(groups)
    one, none, names = (
        rt.dense(np.array([[1.0]])),
        rt.dense(np.zeros((0, 0))),
        {n: rt.string(n) for n in ("sum", "rows")},
    )
    half = rt.dense((keys > 0.5).astype(float) * keys)
    found += [
        Case(
            "order, 1M",
            lambda: int(rt.call("order:pppbb", k, one, 0, 1)),
            lambda: np.argsort(keys[:, 0], kind="stable") + 1.0,
        ),
        Case(
            "table, 1M",
            lambda: int(rt.call("table:ppppii", g, g, one, -1, -1)),
            lambda: sp.coo_matrix(
                (np.ones(len(groups)), (groups[:, 0].astype(int), groups[:, 0].astype(int)))
            ).tocsr(),
        ),
        Case(
            "aggregate sum, 1M",
            lambda: int(rt.call("grouped_aggregate:pppppii", k, g, none, names["sum"], 0, -1)),
            lambda: np.bincount(groups[:, 0].astype(int), keys[:, 0]),
        ),
        Case(
            "removeEmpty, 1M",
            lambda: int(rt.call("remove_empty:ppppb", half, names["rows"], none, 1)),
            lambda: keys[keys[:, 0] > 0.5],
        ),
    ]
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--scale", type=float, default=1.0, help="of the sizes")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("only", nargs="*", help="run the cases with these texts in their names")
    options = parser.parse_args()
    rt = Runtime()
    blas = blas_library()
    rt.lib.sm_blas_path(str(blas).encode() if blas else b"")
    peak, live = rt.lib.sm_bytes_peak, rt.lib.sm_bytes_live
    peak.restype = live.restype = ctypes.c_int64
    limits = Machine(rt.lib.sm_threads())
    fma = limits.threads * FMA_ROUNDS * 12 * 2 * limits.target.lanes * 1e-9
    print(machine())
    head = ("operator", "ms", "peer ms", "ratio", "share", "of", "memory", "peer's")
    print("{:26}{:>9}{:>9}{:>7}{:>7}  {:12}{:>9}{:>9}".format(*head))
    for case in cases(rt, options.scale):
        if options.only and not any(text in case.name for text in options.only):
            continue

        def ours(case: Case = case) -> None:
            rt.release(case.ours())

        limit = limits.fma if case.gigaflops else limits.read
        calls = {"ours": clocked(ours), "peer": clocked(case.peer), "limit": clocked(limit)}
        times = {name: median(taken) for name, taken in side_by_side(calls, options.rounds).items()}
        speed = fma / times["limit"] if case.gigaflops else limits.data.nbytes * 1e-9 / times["limit"]
        needed = case.gigaflops or case.gigabytes
        share = f"{needed / times['ours'] / speed:.2f}" if needed else ""
        unit = f"{speed:.0f} GF/s" if case.gigaflops else f"{speed:.1f} GB/s" if needed else ""
        rt.lib.sm_reset_peak()
        before = live()
        ours()
        memory = (peak() - before) / 1e6
        tracemalloc.start()
        case.peer()
        peers = tracemalloc.get_traced_memory()[1] / 1e6
        tracemalloc.stop()
        mine, other = times["ours"] * 1e3, times["peer"] * 1e3
        print(
            f"{case.name:26}{mine:9.2f}{other:9.2f}{other / mine:7.2f}{share:>7}  {unit:12}{memory:9.1f}{peers:9.1f}",
            flush=True,
        )
    print(machine())


if __name__ == "__main__":
    main()
