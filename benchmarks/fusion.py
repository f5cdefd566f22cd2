"""Is a fused program ever slower than the unfused one? The examples and generated expressions, ratio of times.

    python benchmarks/fusion.py [--count 200] [--rounds 5] [--seed 1]

Each expression is a random tree of cellwise operations and aggregates over dense and sparse matrices, run with fusion and
without it in turn. A ratio above 1 means that fusion pays; the worst ones are shown with their expressions.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import random
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
from scipy import sparse

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples"), str(ROOT / "benchmarks")]

import prepare  # noqa: E402
from measure import clocked, machine, median, side_by_side  # noqa: E402
from tests.examples.expected import EXAMPLES  # noqa: E402

from sysmlc.api import Program, read_source  # noqa: E402
from sysmlc.codegen.cpu.compile import Options  # noqa: E402
from sysmlc.ir.source import Source  # noqa: E402

ROWS, COLS = 4000, 500
RNG = np.random.default_rng(1)
INPUTS: dict[str, Any] = {
    "A": RNG.random((ROWS, COLS)),
    "B": RNG.random((ROWS, COLS)),
    "S": sparse.random(ROWS, COLS, 0.05, format="csr", random_state=1),
    "c": RNG.random((ROWS, 1)),
    "r": RNG.random((1, COLS)),
}


def expression(rng: random.Random, depth: int) -> str:
    """A random matrix expression over the inputs."""
    if depth == 0:
        return rng.choice(["A", "B", "S", "A", "B"])
    inner = expression(rng, depth - 1)
    kind = rng.randrange(6)
    if kind < 2:
        return f"({inner} {rng.choice('+-*')} {expression(rng, rng.randrange(depth))})"
    if kind == 2:
        return f"({inner} {rng.choice('+-*')} {rng.choice(['c', 'r', '0.5', '3'])})"
    if kind == 3:
        return f"{rng.choice(['exp', 'abs', 'sqrt', 'sigmoid'])}({inner} * 0.1)"
    return f"({inner} ^ 2)" if kind == 4 else f"max({inner}, 0.3)"


def script(rng: random.Random) -> str:
    """A few statements that share operands, closed by aggregates."""
    lines = [f"M{i} = {expression(rng, rng.randint(1, 4))}" for i in range(rng.randint(1, 3))]
    names = [line.split(" ")[0] for line in lines]
    closed = [
        f"{rng.choice(['sum', 'max'])}({rng.choice(['', 'rowSums', 'colSums'])}({name} * {rng.choice(['A', '1', 'B'])}))"
        for name in names
    ]
    return "\n".join([*lines, f"R = {' + '.join(closed)}", ""])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    ratios: list[tuple[float, str]] = []
    for _ in range(options.count):
        text = script(rng)
        fused, plain = (
            Program(Source("e.dml", text), outputs=("R",), options=Options(fusion=f)) for f in (True, False)
        )
        found = side_by_side(
            {
                "fused": clocked(lambda p=fused: p.run(INPUTS)),
                "plain": clocked(lambda p=plain: p.run(INPUTS)),
            },
            options.rounds,
            2,
        )
        ratios.append((median(found["plain"]) / median(found["fused"]), text))
    with tempfile.TemporaryDirectory() as name:
        prepare.write_all(Path(name))
        for example in EXAMPLES:
            arguments = dict(a.split("=", 1) for a in EXAMPLES[example].arguments(Path(name), Path(name)))
            source = read_source(str(ROOT / "examples" / f"{example}.dml"))
            fused, plain = (
                Program(source, args=arguments, outputs=(), options=Options(fusion=f)) for f in (True, False)
            )
            with contextlib.redirect_stdout(io.StringIO()):
                found = side_by_side(
                    {"fused": clocked(fused.run), "plain": clocked(plain.run)}, options.rounds, 1
                )
            ratios.append((median(found["plain"]) / median(found["fused"]), f"example {example}"))
    ratios.sort()
    print(machine())
    product = float(np.exp(np.mean(np.log([r for r, _ in ratios]))))
    print(
        f"{len(ratios)} programs: geometric mean {product:.2f}x, worst {ratios[0][0]:.2f}x, best {ratios[-1][0]:.2f}x"
    )
    for ratio, text in ratios[:5]:
        print(f"{ratio:.2f}x\n    " + text.strip().replace("\n", "\n    "))


if __name__ == "__main__":
    main()
