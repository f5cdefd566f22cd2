"""Start-up, compile time, scalar loops, parser and verifier.

python benchmarks/startup.py [--rounds 5] [--no-systemds]
"""

from __future__ import annotations

import argparse
import gc
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "benchmarks")]

from measure import Run, machine, median, run, side_by_side, systemds, systemds_environment, table  # noqa: E402

LOOP = """s = 0.0
X = matrix(1, 10, 10)
for (i in 1:1000000) {
  j = i %% 10 + 1
  s = s * 0.999 + as.scalar(X[j, j]) * i
}
print(s)
"""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--no-systemds", action="store_true")
    options = parser.parse_args()
    rounds = options.rounds
    compiler = [sys.executable, "-m", "sysmlc.tools.sysmlc"]
    rows: list[list[object]] = []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "hi.dml").write_text('print("hi")\n')
        (folder / "loop.dml").write_text(LOOP)
        run([*compiler, "hi.dml", "-o", "hi"], folder)
        run([*compiler, "loop.dml", "-o", "loop"], folder)
        subprocess.run(["strip", "hi"], cwd=folder, check=True)
        java = systemds_environment()
        for script in ("hi", "loop"):
            calls = {
                "run": lambda s=script: run([*compiler, "run", f"{s}.dml"], folder),
                "exe": lambda s=script: run([str(folder / s)], folder),
            }
            if not options.no_systemds:
                calls["ds"] = lambda s=script: run(systemds(f"{s}.dml", folder=folder), folder, java)
            found = side_by_side(calls, rounds)
            times = {k: median([r.seconds for r in v]) for k, v in found.items()}
            memory = {k: median([r.megabytes for r in v]) for k, v in found.items()}
            rows.append(
                [script, *(f"{times[k]:.4f} s" for k in times), *(f"{memory[k]:.0f} MB" for k in memory)]
            )
        size = os.path.getsize(folder / "hi")
        largest = max((ROOT / "examples").glob("*.dml"), key=lambda p: p.stat().st_size)
        compiled: dict[str, list[Run]] = {"cold": [], "warm": []}
        first: list[Run] = []
        for i in range(rounds):
            environment = {**os.environ, "SYSMLC_CACHE_DIR": str(folder / f"cache{i}")}
            first.append(run([*compiler, "run", "hi.dml"], folder, environment))
            command = [*compiler, str(largest), "-o", "prog"]
            for runs in compiled.values():
                runs.append(run(command, folder, environment))
    print(machine())
    header = ["program", "in process", "executable", *([] if options.no_systemds else ["SystemDS"])]
    print(table([*header, *(f"{name}, peak" for name in header[1:])], rows))
    print(f"executable of hi.dml, stripped: {size / 1e6:.2f} MB")
    print(f"first run of hi.dml: {_figures(first)}")
    for state, runs in compiled.items():
        print(f"compile {largest.name} to an executable, {state}: {_figures(runs)}")
    _front_end()


def _figures(runs: list[Run]) -> str:
    seconds, cpu = median([r.seconds for r in runs]), min(r.cpu for r in runs)
    own, others = max(r.megabytes for r in runs), max(r.others for r in runs)
    return f"{seconds:.2f} s, at least {cpu:.2f} s of processors; peak {own:.0f} MB, compiling processes {others:.0f} MB"


def _front_end() -> None:
    from sysmlc.frontends.dml.parser import parse
    from sysmlc.ir.core import Builder, Region
    from sysmlc.ir.dialects.core import Constant, Func, Module, Return
    from sysmlc.ir.dialects.dml_cell import Binary
    from sysmlc.ir.source import Source
    from sysmlc.ir.verify import verify

    statements = (
        "A = t(X) %*% (w * (X %*% v)) + lambda * B[1:10, ]; if (sum(A) > 1e-3) { print('x ' + sum(A)) }\n"
    )
    text = statements * (1_000_000 // len(statements))
    begin = time.perf_counter()
    parse(Source("large.dml", text))
    print(f"parser: {len(text) / 1e6 / (time.perf_counter() - begin):.2f} MB/s")

    body = Region()
    b = Builder(body)
    value = b(Constant, value=1.0)
    for _ in range(10_000):
        value = b(Binary, "add", value, value)
    b.op(Return, [])
    module = Module.new(regions=[Region()])
    module.regions[0].append(Func.new(sym="main", regions=[body]))
    gc.disable()
    begin = time.perf_counter()
    verify(module)
    print(f"verifier: {(time.perf_counter() - begin) / 10_000 * 1e6:.1f} µs an operation")


if __name__ == "__main__":
    main()
