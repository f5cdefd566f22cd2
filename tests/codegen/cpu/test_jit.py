"""Running in process: kernels on demand, contexts side by side, memory."""

from __future__ import annotations

import threading

import numpy as np

import sysmlc
from sysmlc.codegen.cpu.jit import engine
from sysmlc.runtime.library import native


def test_kernels_are_compiled_when_first_launched() -> None:
    program = sysmlc.compile("if (n > 0) { Y = X * 3 } else { Y = atan(X) }\ns = sum(Y)\n", outputs=["s"])
    X = np.arange(6.0).reshape(2, 3)
    assert program.run({"X": X, "n": 1})["s"] == 45.0
    assert not [name for name, _ in engine()._variants if "atan" in name]
    assert program.run({"X": X, "n": 0})["s"] == np.float64(np.arctan(X).sum())


def test_loops_do_not_copy_what_they_update() -> None:
    script = """
for (i in 1:50) {
  W = W - lr * D
  W[i, 1] = 0
  W[1, 1:2] = matrix(i, 1, 2)
}
"""
    lib = native()
    program = sysmlc.compile("W = matrix(1, 600, 600)\nD = matrix(2, 600, 600)\n" + script, outputs=["W"])
    program.run({"lr": 0.5})
    before, peak = lib.sm_alloc_count(), lib.sm_bytes_live()
    lib.sm_reset_peak()
    W = program.run({"lr": 0.5})["W"]
    assert W[0, 0] == 50.0
    matrices = (lib.sm_bytes_peak() - peak) / (600 * 600 * 8)
    assert matrices < 3.5, "W, D and lr * D are all there ever is"
    assert lib.sm_alloc_count() - before <= 2 + 2 * 50 + 2


def test_everything_is_freed() -> None:
    lib = native()
    program = sysmlc.compile("Y = X %*% t(X)\nL = list(Y, 1, 'a')\ns = sum(Y) + length(L)\n", outputs=["s"])
    program.run({"X": np.ones((50, 50))})
    before = lib.sm_bytes_live()
    for _ in range(5):
        program.run({"X": np.ones((50, 50))})
    assert lib.sm_bytes_live() == before


def test_programs_run_side_by_side() -> None:
    program = sysmlc.compile("s = 0\nfor (i in 1:n) { s = s + i }\n", outputs=["s"])
    program.run({"n": 1})
    found: dict[int, object] = {}

    def work(n: int) -> None:
        found[n] = program.run({"n": n})["s"]

    threads = [threading.Thread(target=work, args=(n,)) for n in range(1000, 1008)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert found == {n: n * (n + 1) // 2 for n in range(1000, 1008)}
