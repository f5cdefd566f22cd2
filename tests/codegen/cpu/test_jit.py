"""Running in process: kernels on demand, contexts side by side, memory."""

from __future__ import annotations

import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest

import sysmlc
from sysmlc.codegen.cpu.cache import Cache, object_cache
from sysmlc.codegen.cpu.jit import Engine, engine
from sysmlc.codegen.cpu.objects import kernel_object, program_object
from sysmlc.runtime.library import native


def test_kernels_are_compiled_when_first_launched() -> None:
    program = sysmlc.compile("if (n > 0) { Y = X * 3 } else { Y = atan(X) }\ns = sum(Y)\n", outputs=["s"])
    before = set(engine()._variants)
    X = np.arange(6.0).reshape(2, 3)
    assert program.run({"X": X, "n": 1})["s"] == 45.0
    assert not [name for name, _ in engine()._variants.keys() - before if "atan" in name]
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


def test_damaged_objects_in_the_cache_are_made_again() -> None:
    program = sysmlc.compile("s = sum(X * 12345.5 + 1)\n", outputs=["s"])
    compiled = program.compiled({"X": "matrix"}, {}, ("s",))
    ((name, keys),) = compiled.variants.items()
    wanted = [
        program_object(compiled.llvm, compiled.target, compiled.effort),
        *(kernel_object(compiled, name, (key,), compiled.target) for key in keys),
    ]
    for one in wanted:
        object_cache().put(one.key, b"\x7fELF" + bytes(300))
    program.prepare({"X": "matrix"})
    assert program.run({"X": np.ones((2, 2))})["s"] == 4 * 12346.5
    assert len(object_cache().get(wanted[0].key) or b"") > 304


WARM = """
import sys
from sysmlc.tools.sysmlc import main
status = main(["run", sys.argv[1], "-nvargs", "n=3"])
print(status, *sorted({"llvmlite.binding", "numpy", "scipy", "sysmlc.passes", "sysmlc.ir.core"} & sys.modules.keys()))
"""


def test_running_loads_neither_the_compiler_nor_numpy(tmp_path: Path) -> None:
    script = tmp_path / "script.dml"
    script.write_text("X = seq(1, $n) %*% t(seq(1, $n))\nprint(sum(X * 2) + sum(X[, 1]))\n")
    for _ in ("cold", "warm"):
        done = subprocess.run(
            [sys.executable, "-c", WARM, script], capture_output=True, text=True, check=True
        )
        assert done.stdout == "78.0\n0\n"


def test_the_next_kernel_is_compiled_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = sysmlc.compile("s = sum(exp(X * 3))\nif (s < 0) { s = max(sqrt(X) + 8) }\n", outputs=["s"])
    compiled = program.compiled({"X": "matrix<3x4xf64, dense>"}, {}, ("s",))
    (first, (key,)), (other, (other_key,)) = compiled.variants.items()
    cache = Cache(tmp_path)
    for module in ("jit", "objects"):
        monkeypatch.setattr(f"sysmlc.codegen.cpu.{module}.object_cache", lambda: cache)
    engine = Engine()
    engine.load(compiled)
    assert engine.variant(first, key)
    assert cache.get(kernel_object(compiled, other, (other_key,), compiled.target).key) is not None
