"""The examples from start to end, whole processes: sysmlc in process, as executables, and SystemDS.

    python benchmarks/examples.py [--rounds 5] [--only NAME ...]

Each program reads its data from files and writes its results. Times and peak memory are the operating system's. `cold` runs have
nothing in the cache: what they compile, they compile in other processes, whose memory stands behind the `+`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
sys.path[:0] = [str(ROOT), str(ROOT / "examples"), str(ROOT / "benchmarks")]

import prepare  # noqa: E402
from measure import (  # noqa: E402
    Run,
    machine,
    median,
    run,
    side_by_side,
    systemds,
    systemds_environment,
    table,
)
from tests.examples.expected import EXAMPLES  # noqa: E402


def compare(example: str, folder: Path, rounds: int) -> list[object]:
    """One row of the table."""
    compiler = [sys.executable, "-m", "sysmlc.tools.sysmlc"]
    script = ROOT / "examples" / f"{example}.dml"
    run([*compiler, str(script), "-o", str(folder / example)], folder)
    arguments = EXAMPLES[example].arguments(folder, folder)
    plain, generated = (systemds(script, arguments, codegen=c, folder=folder) for c in (False, True))
    java = systemds_environment()
    run_it = [*compiler, "run", str(script), "-nvargs", *arguments]

    def run_cold() -> Run:
        shutil.rmtree(folder / "cache", ignore_errors=True)
        return run(run_it, folder, {**os.environ, "SYSMLC_CACHE_DIR": str(folder / "cache")})

    results = side_by_side(
        {
            "run": lambda: run(run_it, folder),
            "exe": lambda: run([str(folder / example), "-nvargs", *arguments], folder),
            "ds": lambda: run(plain, folder, java),
            "gen": lambda: run(generated, folder, java),
        },
        rounds,
    )
    results |= side_by_side({"cold": run_cold}, min(rounds, 3), warmup=0)
    seconds = {k: median([r.seconds for r in v]) for k, v in results.items()}
    memory = {k: median([r.megabytes for r in v]) for k, v in results.items()}
    compiling = median([r.others for r in results["cold"]])
    peer = min(seconds["ds"], seconds["gen"])
    print(f"{example}: done", file=sys.stderr, flush=True)
    return [
        example,
        *(f"{seconds[k]:.3f}" for k in ("cold", "run", "exe", "ds", "gen")),
        f"{peer / seconds['run']:.1f}x",
        f"{peer / seconds['exe']:.0f}x",
        f"{memory['cold']:.0f} + {compiling:.0f}",
        *(f"{memory[k]:.0f}" for k in ("run", "exe", "ds")),
        f"{memory['ds'] / memory['run']:.1f}x",
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", nargs="*", default=list(EXAMPLES))
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        prepare.write_all(Path(name))
        rows = [compare(example, Path(name), options.rounds) for example in options.only]
    print(machine())
    print(
        table(
            ["example", "cold run s", "run s", "executable s", "SystemDS s", "with codegen s", "run vs SystemDS",
             "executable vs SystemDS", "cold run MB", "run MB", "executable MB", "SystemDS MB", "SystemDS vs run MB"],
            rows,
        )
    )  # fmt: skip


if __name__ == "__main__":
    main()
