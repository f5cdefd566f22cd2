"""The limit of expressions over `U %*% t(V)` that a sparse matrix X drives: reading the rows of V that X asks for.

    python benchmarks/gathers.py [--threads 2] [--rounds 15] [--rank 20]

X is 100k x 50k with 5M non-zeros. `rows of V` only adds up what it reads of V, with the same loads and prefetches as the products:
none of X's values, no row of U, no dot. `one row` does that with a V that is one row, so all of it is in the first cache. `X`
checks X's arrays, which every call does. Minima and medians of interleaved rounds, in milliseconds.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np

sys.path[:0] = [str(Path(__file__).resolve().parent)]

from expressions import csr  # noqa: E402
from measure import clocked, machine, median, side_by_side, table  # noqa: E402

import sysmlc  # noqa: E402
from sysmlc.codegen.cpu.target import compile_object, make_target  # noqa: E402
from sysmlc.runtime.bridge import Context  # noqa: E402
from sysmlc.runtime.code import Code  # noqa: E402

AHEAD = 16

TEXT = """
define void @gather(ptr %v, ptr %cols, i64 %stride, i64 %from, i64 %to, ptr %out) {{
entry:
  br label %loop
loop:
  %p = phi i64 [ %from, %entry ], [ %next, %loop ]
  {phis}
  %pc = getelementptr i32, ptr %cols, i64 %p
  %c32 = load i32, ptr %pc
  %c = zext i32 %c32 to i64
  %at = mul i64 %c, %stride
  %row = getelementptr double, ptr %v, i64 %at
  %pa = getelementptr i32, ptr %pc, i64 {ahead}
  %a32 = load i32, ptr %pa
  %a = zext i32 %a32 to i64
  %soon = mul i64 %a, %stride
  %later = getelementptr double, ptr %v, i64 %soon
  {body}
  %next = add i64 %p, 1
  %more = icmp slt i64 %next, %to
  br i1 %more, label %loop, label %exit
exit:
  {after}
  ret void
}}
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
"""


def text(rank: int) -> str:
    """The loop: vectors of eight, and the last one shorter."""
    phis, body, after = [], [], []
    for k in range(0, rank, 8):
        v = f"<{min(8, rank - k)} x double>"
        phis.append(f"%s{k} = phi {v} [ zeroinitializer, %entry ], [ %t{k}, %loop ]")
        body += [
            f"%q{k} = getelementptr double, ptr %row, i64 {k}",
            f"%x{k} = load {v}, ptr %q{k}, align 8",
            f"%t{k} = fadd {v} %s{k}, %x{k}",
            f"%f{k} = getelementptr double, ptr %later, i64 {min(k, rank - 1)}",
            f"call void @llvm.prefetch.p0(ptr %f{k}, i32 0, i32 3, i32 1)",
        ]
        after += [f"%o{k} = getelementptr double, ptr %out, i64 {k}", f"store {v} %t{k}, ptr %o{k}, align 8"]
    body += [
        f"%last = getelementptr double, ptr %later, i64 {rank - 1}",
        "call void @llvm.prefetch.p0(ptr %last, i32 0, i32 3, i32 1)",
    ]
    return TEXT.format(ahead=AHEAD, phis="\n  ".join(phis), body="\n  ".join(body), after="\n  ".join(after))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--rank", type=int, default=20)
    options = parser.parse_args()
    threads, rank = options.threads, options.rank
    Context().set_threads(threads)
    code = Code(compile_object(text(rank), make_target("native")))
    pointer, integer = ctypes.c_void_p, ctypes.c_int64
    gather = ctypes.CFUNCTYPE(None, pointer, pointer, integer, integer, integer, pointer)(
        code.address("gather")
    )
    rng = np.random.default_rng(3)
    X = csr(100_000, 50_000, 5_000_000)
    U, V = rng.random((X.shape[0], rank)), rng.random((X.shape[1], rank))
    columns = np.append(X.indices, np.zeros(AHEAD, np.int32))
    sums = np.zeros((threads, (rank + 7) // 8 * 8 + 64))
    pool = ThreadPoolExecutor(threads)

    def read(stride: int) -> None:
        def part(k: int) -> None:
            first, last = X.nnz * k // threads, X.nnz * (k + 1) // threads
            gather(V.ctypes.data, columns.ctypes.data, stride, first, last, sums[k].ctypes.data)

        list(pool.map(part, range(threads)))

    read(rank)
    assert np.allclose(sums.sum(0)[:rank], V[X.indices].sum(0))
    inputs: dict[str, Any] = {"X": X, "U": U, "V": V}
    calls = {"rows of V": clocked(lambda: read(rank)), "one row": clocked(lambda: read(0))}
    for name, script in (
        ("X", "r = nrow(X)"),
        ("sum((X - U%*%t(V))^2)", "r = sum((X - U %*% t(V)) ^ 2)"),
        ("sum((X + U%*%t(V))^2)", "r = sum((X + U %*% t(V)) ^ 2)"),
        ("sum((X != 0) * (X - U%*%t(V))^2)", "r = sum((X != 0) * (X - U %*% t(V)) ^ 2)"),
        ("sum(X * (X - U%*%t(V))^2)", "r = sum(X * (X - U %*% t(V)) ^ 2)"),
    ):
        program = sysmlc.compile(script + "\n", outputs=["r"])
        calls[name] = clocked(lambda p=program: p.run(inputs)["r"])
    found = side_by_side(calls, options.rounds, 2)
    print(machine())
    print(
        table(
            ["", "minimum", "median"],
            [[k, f"{min(t) * 1e3:.1f}", f"{median(t) * 1e3:.1f}"] for k, t in found.items()],
        )
    )


if __name__ == "__main__":
    main()
