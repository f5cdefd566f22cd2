"""Is a fused program ever slower than the unfused one? The examples and generated expressions, ratio of times.

    python benchmarks/fusion.py [--count 200] [--rounds 15] [--seed 1] [--no-examples] [--only NUMBER ...]

Each expression is a random tree of cellwise operations, products and aggregates over dense and sparse matrices of several
sizes, run with fusion and without it in turn; the least time of each counts. A ratio above 1 means that fusion pays. What
seems slower fused is measured again, longer, and shown with its expression.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples"), str(ROOT / "benchmarks")]

import prepare  # noqa: E402
from measure import clocked, machine, side_by_side  # noqa: E402
from tests.examples.expected import EXAMPLES  # noqa: E402

from sysmlc.api import Program, read_source  # noqa: E402
from sysmlc.codegen.cpu.compile import Options  # noqa: E402
from sysmlc.ir.source import Source  # noqa: E402

SHAPES = ((60, 20), (1000, 100), (4000, 500), (200_000, 8), (30, 40_000))
SLOWER = 0.95
"""A ratio below this is looked into."""


def inputs(rows: int, cols: int) -> dict[str, Any]:
    """Two dense matrices, a sparse one, vectors, and a narrow factor."""
    rng = np.random.default_rng(1)
    return {
        "A": rng.random((rows, cols)),
        "B": rng.random((rows, cols)),
        "S": sparse.random(rows, cols, 0.05, format="csr", random_state=1),
        "c": rng.random((rows, 1)),
        "r": rng.random((1, cols)),
        "v": rng.random((cols, 1)),
        "W": rng.random((cols, 4)),
    }


def expression(rng: random.Random, depth: int) -> str:
    """A random matrix expression over the inputs."""
    if depth == 0:
        return rng.choice(["A", "B", "S", "A", "B"])
    inner = expression(rng, depth - 1)
    kind = rng.randrange(7)
    if kind < 2:
        return f"({inner} {rng.choice('+-*')} {expression(rng, rng.randrange(depth))})"
    if kind == 2:
        return f"({inner} {rng.choice('+-*')} {rng.choice(['c', 'r', '0.5', '3'])})"
    if kind == 3:
        return f"{rng.choice(['exp', 'abs', 'sqrt', 'sigmoid'])}({inner} * 0.1)"
    if kind == 4:
        return f"({inner} {rng.choice('*/-')} ({rng.choice(['rowSums', 'rowMaxs'])}({inner}) + 1))"
    return f"({inner} ^ 2)" if kind == 5 else f"max({inner}, 0.3)"


def closing(rng: random.Random, name: str) -> str:
    """A number made of a matrix."""
    kind = rng.randrange(8)
    if kind == 0:
        return f"sum(t({name}) %*% ({name} %*% v))"
    if kind == 1:
        return f"sum({name} %*% W)"
    if kind == 2:
        return f"sum(t({name}) %*% (c * rowSums({name})))"
    by = rng.choice(["", "rowSums", "colSums"])
    return f"{rng.choice(['sum', 'max'])}({by}({name} * {rng.choice(['A', '1', 'B'])}))"


def script(rng: random.Random) -> str:
    """A few statements that share operands, closed by aggregates."""
    lines = [f"M{i} = {expression(rng, rng.randint(1, 4))}" for i in range(rng.randint(1, 3))]
    closed = [closing(rng, line.split(" ")[0]) for line in lines]
    return "\n".join([*lines, f"R = {' + '.join(closed)}", ""])


def ratio(calls: dict[str, Callable[[], Any]], rounds: int, again: int) -> float:
    """How many times faster the fused program is, by the quickest of `again` calls in each round."""
    clocks = {name: clocked(call) for name, call in calls.items()}
    quickest = {name: lambda c=c: min(c() for _ in range(again)) for name, c in clocks.items()}
    found = side_by_side(quickest, rounds, 2)
    return min(found["plain"]) / min(found["fused"])


def measured(calls: dict[str, Callable[[], Any]], rounds: int, again: int = 1) -> float:
    """The ratio; when it looks as if fusion did harm, that of a longer run."""
    found = ratio(calls, rounds, again)
    return found if found >= SLOWER else ratio(calls, 6 * rounds, again)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--no-examples", action="store_true")
    parser.add_argument("--only", type=int, nargs="*", help="these expressions only")
    options = parser.parse_args()
    ratios: list[tuple[float, str]] = []
    data = {shape: inputs(*shape) for shape in SHAPES}
    for number in options.only or range(options.count):
        rng = random.Random(options.seed * 100_000 + number)
        shape, text = rng.choice(SHAPES), script(rng)
        programs = {
            name: Program(Source("e.dml", text), outputs=("R",), options=Options(fusion=name == "fused"))
            for name in ("fused", "plain")
        }
        # With small inputs most of the time goes into calling the program, which varies from call to call.
        again = max(1, 20_000 // (shape[0] * shape[1]))
        calls = {name: lambda p=p, s=shape: p.run(data[s]) for name, p in programs.items()}
        found = measured(calls, options.rounds, again)
        ratios.append((found, f"expression {number}, {shape[0]} x {shape[1]}:\n{text}"))
    with tempfile.TemporaryDirectory() as name:
        prepare.write_all(Path(name))
        for example in () if options.no_examples or options.only else EXAMPLES:
            arguments = dict(a.split("=", 1) for a in EXAMPLES[example].arguments(Path(name), Path(name)))
            source = read_source(str(ROOT / "examples" / f"{example}.dml"))
            fused, plain = (
                Program(source, args=arguments, outputs=(), options=Options(fusion=f)) for f in (True, False)
            )
            with contextlib.redirect_stdout(io.StringIO()):
                found = measured({"fused": fused.run, "plain": plain.run}, options.rounds)
            ratios.append((found, f"example {example}"))
    ratios.sort()
    print(machine())
    product = float(np.exp(np.mean(np.log([r for r, _ in ratios]))))
    print(
        f"{len(ratios)} programs: geometric mean {product:.2f}x, worst {ratios[0][0]:.2f}x, best {ratios[-1][0]:.2f}x"
    )
    print(f"{sum(r < SLOWER for r, _ in ratios)} below {SLOWER}x")
    for found, text in ratios[:8]:
        print(f"{found:.2f}x\n    " + text.strip().replace("\n", "\n    "))


if __name__ == "__main__":
    main()
