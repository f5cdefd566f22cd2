"""The dependency check of parfor: on loops written out, and on random subscripts against trying all rounds."""

from __future__ import annotations

import random
from itertools import product

import pytest

from sysmlc.frontends.dml.lower import compile_source
from sysmlc.ir.source import Diagnostic, DiagnosticGroup, Source

PRELUDE = "R = matrix(0, 100, 100)\nn = as.integer(sum(R)) + 9\nk = 10\ns = 0.5\nL = list(1, 2)\n"


def accepted(loop: str) -> bool:
    try:
        compile_source(Source("loop.dml", f"{PRELUDE}{loop}\nprint(sum(R) + s)\n"))
    except (Diagnostic, DiagnosticGroup) as error:
        if "round" not in str(error):
            raise
        return False
    return True


@pytest.mark.parametrize(
    "loop",
    [
        "parfor (i in 1:n) R[i, 1] = i",
        "parfor (i in 1:n) R[i, ] = R[i, ] + 1",
        "parfor (i in 1:n) R[, i] = R[, i] * 2",
        "parfor (i in 1:n) for (j in 1:n) R[i, j] = i * j",
        "parfor (i in 1:n) for (j in 1:n) R[j, i] = R[j, i] + 1",
        "parfor (i in 1:n) { R[2 * i, 1] = R[2 * i + 1, 1] }",
        "parfor (i in 1:n) { j = 2 * i - 1; R[j, 1] = i }",
        "parfor (i in 1:n) R[((i - 1) * 10 + 1):(i * 10), ] = matrix(i, 10, 100)",
        "parfor (i in 1:n) R[((i - 1) * k + 1):(i * k), ] = matrix(i, k, 100)",
        "parfor (i in 1:10) { R[i, 1] = R[i + 10, 1] }",
        "parfor (i in 1:n) { R[i, 1] = nrow(R) }",
        "parfor (i in 1:n) { R[i, n] = R[i, n + 1] }",
        "parfor (i in 1:n) { t = i * 2; R[i, 1] = t }",
        "parfor (i in 1:n) { R += matrix(i, 100, 100) }",
        "parfor (i in 1:n) { for (j in 1:10) R[10 * (i - 1) + j, 1] = j }",
        "parfor (i in 1:2) L[i] = i",
        "parfor (i in 1:n, check=0) { s = s + i }",
        "parfor (i in 1:n, check=FALSE) { s = s + i }",
    ],
)
def test_independent(loop: str) -> None:
    assert accepted(loop)


@pytest.mark.parametrize(
    "loop",
    [
        "parfor (i in 1:n) R[1, 1] = i",
        "parfor (i in 1:n) R[i, 1] = R[i + 1, 1]",
        "parfor (i in 1:n) R[i, 1] = R[1, 1]",
        "parfor (i in 1:n) for (j in 1:n) R[i + j, 1] = 1",
        "parfor (i in 1:n) for (j in 1:11) R[10 * (i - 1) + j, 1] = j",
        "parfor (i in 1:n) R[i:(i + 1), ] = matrix(i, 2, 100)",
        "parfor (i in 1:n) { R[i, 1] = sum(R) }",
        "parfor (i in 1:n) { R[i * i, 1] = 1 }",
        "parfor (i in 1:n) { j = 1; for (q in 1:3) { R[j, 1] = q; j = j + i } }",
        "parfor (i in 1:n) { for (i in 1:3) R[i, 1] = 1 }",
        "parfor (i in 1:n) { s = s + i }",
        "parfor (i in 1:n) { s += i }",
        "parfor (i in 1:n) { s = i }",
        "parfor (i in 1:n) { R = R + i }",
        "parfor (i in 1:n) { if (i > 3) s = 2 }",
        "parfor (i in 1:11) { R[i, 1] = R[i + 10, 1] }",
    ],
)
def test_dependent(loop: str) -> None:
    assert not accepted(loop)


def test_both_accesses_are_named() -> None:
    with pytest.raises(Diagnostic) as caught:
        compile_source(Source("loop.dml", "R = matrix(0, 9, 9)\nparfor (i in 2:9) R[i, 1] = R[i - 1, 1]\n"))
    assert str(caught.value) == (
        "loop.dml:2:19: error: the rounds of this parfor depend on each other through 'R'\n"
        "  parfor (i in 2:9) R[i, 1] = R[i - 1, 1]\n"
        "                    ^~~~~~~\n"
        "  hint: parfor (…, check=0) turns this check off\n"
        "loop.dml:2:29: note: 'R' may be read here by another round\n"
        "  parfor (i in 2:9) R[i, 1] = R[i - 1, 1]\n"
        "                              ^~~~~~~~~~~"
    )


@pytest.mark.parametrize("seed", range(150))
def test_no_conflict_is_overlooked(seed: int) -> None:
    draw = random.Random(seed)
    a, b, c, d, e, f = (draw.randint(-2, 3) for _ in range(6))
    low, high, inner = draw.randint(1, 4), draw.randint(1, 6), draw.randint(1, 4)
    width = draw.choice([0, 0, 1, 2])
    write = f"({a} * i + {b} * j + 40):({a} * i + {b} * j + {40 + width})"
    read = f"{c} * i + {d} * j + {40 + e}"
    column, other = draw.choice(
        [("1", "1"), ("i", "i"), ("j", f"j + {f + 3}"), ("2 * i", f"2 * i + {f + 2}")]
    )
    loop = (
        f"parfor (i in {low}:{high}) for (j in 1:{inner}) "
        f"R[{write}, {column}] = matrix(as.scalar(R[{read}, {other}]), {width + 1}, 1)"
    )
    rounds = range(min(low, high), max(low, high) + 1)
    columns = {"1": lambda i, j: 1, "i": lambda i, j: i, "j": lambda i, j: j, "2 * i": lambda i, j: 2 * i}
    shift = {"1": 0, "i": 0, "j": f + 3, "2 * i": f + 2}[column]
    written: dict[tuple[int, int], set[int]] = {}
    for i, j in product(rounds, range(1, inner + 1)):
        for w in range(width + 1):
            written.setdefault((a * i + b * j + 40 + w, columns[column](i, j)), set()).add(i)
    conflict = any(len(who) > 1 for who in written.values())
    for i, j in product(rounds, range(1, inner + 1)):
        cell = (c * i + d * j + 40 + e, columns[column](i, j) + shift)
        conflict |= bool(written.get(cell, set()) - {i})
    if conflict:
        assert not accepted(loop), loop
