"""Speed of the kernels of single operators, against the bandwidth of the memory and against NumPy.

    python benchmarks/kernels.py [--cells 67108864] [--target native] [--threads 2]

Prints GB/s of useful traffic (each input read once, each output written once). The bandwidth is that of plain loops of
the same kind: `read` (one array), `copy` (read one, write one) and `add` (read two, write one), written past the caches.
`cached` is the kernel on one row that stays in the first cache: what its arithmetic allows, memory aside. Where that is
less than the bandwidth, or hardly more, it is what stops the kernel.
"""

from __future__ import annotations

import argparse
import ctypes
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
from scipy import special

sys.path.insert(0, str(Path(__file__).parent.parent))

from measure import rest
from tests.codegen.cpu.kernel_runner import CellArgs, Runner, kernel_of

from sysmlc.codegen.cpu.target import make_target
from sysmlc.ir.core import Builder, Value
from sysmlc.ir.dialects.core import Constant
from sysmlc.ir.dialects.dml_cell import Aggregate, Binary, Unary
from sysmlc.ir.types import f64, matrix
from sysmlc.passes.form_cells import make_cell

REPEAT = 7
COLUMNS = 1024
TRAFFIC = {"read": 8, "copy": 16, "add": 24}
"""Bytes that a plain loop moves for each of its cells."""

STREAM_TEXT = """
define void @stream(ptr %a, ptr %b, ptr %c, i64 %from, i64 %to) {{
entry:
  br label %loop
loop:
  %i = phi i64 [ %from, %entry ], [ %next, %loop ]
  {phis}
  {body}
  %next = add i64 %i, {step}
  %more = icmp slt i64 %next, %to
  br i1 %more, label %loop, label %exit
exit:
  {after}
  ret void
}}
declare void @llvm.prefetch.p0(ptr, i32, i32, i32)
!0 = !{{i32 1}}
"""


def stream_text(kind: str, lanes: int) -> str:
    """A plain loop over memory, eight vectors at a time."""
    vector, zero = f"<{lanes} x double>", "zeroinitializer"
    phis, body, after = [], [], []
    for k in range(8):
        body.append(f"%j{k} = add i64 %i, {k * lanes}")
        body.append(f"%pa{k} = getelementptr double, ptr %a, i64 %j{k}")
        body.append(f"%a{k} = load {vector}, ptr %pa{k}, align 64")
        body.append(f"%q{k} = getelementptr double, ptr %pa{k}, i64 512")
        body.append(f"call void @llvm.prefetch.p0(ptr %q{k}, i32 0, i32 3, i32 1)")
        if kind == "read":
            phis.append(f"%s{k} = phi {vector} [ {zero}, %entry ], [ %t{k}, %loop ]")
            body.append(f"%t{k} = fadd {vector} %s{k}, %a{k}")
            after.append(f"%o{k} = getelementptr {vector}, ptr %c, i64 {k}")
            after.append(f"store {vector} %t{k}, ptr %o{k}, align 8")
            continue
        value = f"%a{k}"
        if kind == "add":
            body.append(f"%pb{k} = getelementptr double, ptr %b, i64 %j{k}")
            body.append(f"%b{k} = load {vector}, ptr %pb{k}, align 64")
            body.append(f"%r{k} = fadd {vector} %a{k}, %b{k}")
            value = f"%r{k}"
        body.append(f"%pc{k} = getelementptr double, ptr %c, i64 %j{k}")
        body.append(f"store {vector} {value}, ptr %pc{k}, align {lanes * 8}, !nontemporal !0")
    return STREAM_TEXT.format(
        phis="\n  ".join(phis), body="\n  ".join(body), after="\n  ".join(after), step=8 * lanes
    )


def stream_function(runner: Runner, kind: str) -> Any:
    from sysmlc.codegen.cpu.target import compile_object
    from sysmlc.runtime.code import Code

    code = Code(compile_object(stream_text(kind, runner.target.lanes), runner.target))
    runner.codes.append(code)
    prototype = ctypes.CFUNCTYPE(None, *[ctypes.c_void_p] * 3, ctypes.c_int64, ctypes.c_int64)
    return prototype(code.address("stream"))


def best(*runs: Callable[[], Any]) -> list[float]:
    """The shortest time of each in seconds; they take turns, so that a busy machine is busy for all of them."""
    times: list[list[float]] = [[] for _ in runs]
    for _ in range(REPEAT):
        for run, taken in zip(runs, times, strict=True):
            rest()
            start = time.perf_counter()
            run()
            taken.append(time.perf_counter() - start)
    return [min(taken) for taken in times]


def parallel(
    pool: ThreadPoolExecutor, threads: int, total: int, work: Callable[[int, int, int], None]
) -> None:
    """`work(thread, from, to)` on equal parts."""
    bounds = [total * k // threads // 512 * 512 if k < threads else total for k in range(threads + 1)]
    list(pool.map(lambda k: work(k, bounds[k], bounds[k + 1]), range(threads)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--cells", type=int, default=1 << 26)
    parser.add_argument("--target", default="native")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--only", nargs="*")
    options = parser.parse_args()
    runner = Runner(make_target(options.target))
    threads, rows = options.threads, options.cells // COLUMNS
    cells = rows * COLUMNS
    raw = [np.full(cells + 8, 0.5 + k) for k in range(3)]
    x, y, out = (a[(-a.ctypes.data // 8) % 8 :][:cells] for a in raw)
    pool = ThreadPoolExecutor(threads)
    small = np.zeros((threads, 64))
    functions = {kind: stream_function(runner, kind) for kind in ("read", "copy", "add")}

    def stream(kind: str) -> None:
        def part(k: int, first: int, last: int) -> None:
            target = small[k].ctypes.data if kind == "read" else out.ctypes.data
            functions[kind](x.ctypes.data, y.ctypes.data, target, first, last)

        parallel(pool, threads, cells, part)

    print(f"{options.target}, {threads} threads, {cells * 8 / 2**20:.0f} MiB a matrix")
    print(f"{'kernel':30}{'GB/s':>8}{'memory':>8}{'share':>8}{'cached':>8}{'NumPy':>8}{'ratio':>8}")

    def case(
        name: str,
        kind: str,
        traffic: int,
        make: Callable[..., Value],
        inputs: list[Any],
        reference: Callable[[], Any],
        by_rows: bool = False,
    ) -> None:
        if options.only and name not in options.only:
            return
        kernel = kernel_of(make, [matrix()] * len(inputs))
        function = runner.function(kernel, (1 << len(inputs)) - 1)
        partial = np.zeros((threads, max(2 * COLUMNS, rows if by_rows else 0)))
        stride = COLUMNS if by_rows else 0

        def arguments(k: int, cached: bool) -> CellArgs:
            args = CellArgs()
            args.flags = not cached
            step = 0 if cached else stride
            for i, value in enumerate(inputs):
                args.inputs[i], args.input_strides[i] = value.ctypes.data, step
            args.outputs[0] = out.ctypes.data if kernel.outputs[0] == "map" else partial[k].ctypes.data
            args.output_strides[0] = 0 if cached else COLUMNS
            return args

        def launch(k: int, first: int, last: int) -> None:
            args = arguments(k, False)
            if by_rows:
                function(ctypes.addressof(args), first, last, 0, COLUMNS)
            else:
                function(ctypes.addressof(args), 0, 1, first, last)

        def launch_cached(k: int, first: int, last: int) -> None:
            args = arguments(k, True)
            function(ctypes.addressof(args), first // COLUMNS, last // COLUMNS, 0, COLUMNS)

        def run() -> None:
            parallel(pool, threads, rows if by_rows else cells, launch)

        def again() -> None:
            parallel(pool, threads, cells, launch_cached)

        taken = best(run, lambda: stream(kind), again, reference)
        traffics = (traffic, TRAFFIC[kind], traffic, traffic)
        speed, limit, cached, numpy = (cells * t / s / 1e9 for t, s in zip(traffics, taken, strict=True))
        share, ratio = speed / limit, speed / numpy
        print(f"{name:30}{speed:8.1f}{limit:8.1f}{share:8.2f}{cached:8.1f}{numpy:8.1f}{ratio:8.1f}")

    def two(b: Builder) -> Value:
        return b(Constant, value=2.0)

    X = x.reshape(rows, COLUMNS)
    case("sum(X)", "read", 8, lambda b, v: b(Aggregate, "sum", v), [x], x.sum)
    case("X+Y", "add", 24, lambda b, v, w: b(Binary, "add", v, w), [x, y], lambda: np.add(x, y, out=out))
    case(
        "X*2", "copy", 16, lambda b, v: b(Binary, "mul", v, two(b)), [x], lambda: np.multiply(x, 2.0, out=out)
    )
    case("exp(X)", "copy", 16, lambda b, v: b(Unary, "exp", v), [x], lambda: np.exp(x, out=out))
    case("rowSums", "read", 8, lambda b, v: b(Aggregate, "sum", v, dir="row"), [x], lambda: X.sum(1), True)
    case("colSums", "read", 8, lambda b, v: b(Aggregate, "sum", v, dir="col"), [x], lambda: X.sum(0), True)
    case("max(X)", "read", 8, lambda b, v: b(Aggregate, "max_of", v), [x], x.max)

    def one(b: Builder) -> Value:
        return b(Constant, value=1.0)

    def chained(b: Builder, v: Value, w: Value) -> Value:
        return b(Binary, "mul", b(Unary, "sigmoid", v), b(Unary, "log", b(Binary, "add", w, one(b))))

    def in_one(kind: str, body: Callable[..., Value]) -> Callable[..., Any]:
        type = f64 if kind.startswith("full") else matrix()
        return lambda b, *v: make_cell(b, v, (kind,), (type,), lambda b, cells: [body(b, *cells)]).results

    for fn, reference in (("exp", np.exp), ("log", np.log), ("sigmoid", special.expit), ("tanh", np.tanh)):
        summed = in_one("full:sum", lambda b, v, fn=fn: b(Unary, fn, v))
        case(f"sum({fn}(X))", "read", 8, summed, [x], lambda f=reference: f(x).sum())
    case(
        "sum(sigmoid(X) * log(Y + 1))", "read", 16, in_one("full:sum", chained), [x, y], lambda: (special.expit(x) * np.log(y + 1)).sum()
    )  # fmt: skip
    case(
        "exp(X * 0.5) + Y", "add", 24,
        in_one("map", lambda b, v, w: b(Binary, "add", b(Unary, "exp", b(Binary, "mul", v, b(Constant, value=0.5))), w)),
        [x, y], lambda: np.exp(x * 0.5) + y,
    )  # fmt: skip
    case(
        "log(X + 1) * Y", "add", 24,
        in_one("map", lambda b, v, w: b(Binary, "mul", b(Unary, "log", b(Binary, "add", v, one(b))), w)),
        [x, y], lambda: np.log(x + 1) * y,
    )  # fmt: skip


if __name__ == "__main__":
    main()
