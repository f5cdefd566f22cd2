"""Reading and writing a matrix as CSV: sysmlc, pyarrow, pandas and SystemDS side by side.

    python benchmarks/csv_files.py [--megabytes 200] [--rounds 3] [--only read] [--skip systemds]

sysmlc, pyarrow (on as many threads as there are processors) and pandas are called in this process; sysmlc also sums what it has
read, or it would read nothing. SystemDS is timed as a whole process; what the same process takes for a tiny file, or to make
the matrix and not write it, is taken off.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from measure import clocked, machine, run, side_by_side, systemds, systemds_environment, table

import sysmlc

COLUMNS = 100
READ = 'X = read($file, format="csv", header=FALSE)\nprint(sum(X))\n'
WRITE = 'X = rand(rows=$rows, cols=100, seed=1)\nwrite(X, $file, format="csv")\n'
MAKE = "X = rand(rows=$rows, cols=100, seed=1)\nprint(sum(X))\n"


def systemds_seconds(script: str, folder: Path, **arguments: object) -> float:
    """Seconds of a process of SystemDS."""
    path = folder / "csv.dml"
    path.write_text(script)
    command = systemds(path, [f"{k}={v}" for k, v in arguments.items()], folder=folder)
    return run(command, folder, systemds_environment()).seconds


def calls(
    file: Path, X: Any, folder: Path
) -> tuple[dict[str, Callable[[], Any]], dict[str, Callable[[], Any]]]:
    """What reads the file and what writes the matrix, by name."""
    import pandas
    import pyarrow
    from pyarrow import csv

    out = folder / "out.csv"
    options = csv.ReadOptions(autogenerate_column_names=True)
    frame, arrow = (
        pandas.DataFrame(X),
        pyarrow.table([X[:, j].copy() for j in range(COLUMNS)], [str(j) for j in range(COLUMNS)]),
    )
    reading = sysmlc.compile(f'X = read("{file}", format="csv")\nr = sum(X)\n', outputs=["r"])
    writing = sysmlc.compile(f'write(X, "{out}", format="csv")\n', outputs=[])
    readers = {
        "sysmlc": lambda: reading.run()["r"],
        "pyarrow": lambda: csv.read_csv(file, options),
        "pandas": lambda: pandas.read_csv(file, header=None),
    }
    writers = {
        "sysmlc": lambda: writing.run({"X": X}),
        "pyarrow": lambda: csv.write_csv(arrow, out, csv.WriteOptions(include_header=False)),
        "pandas": lambda: frame.to_csv(out, header=False, index=False),
    }
    return readers, writers


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=200)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", choices=("read", "write"))
    parser.add_argument(
        "--skip", nargs="*", default=[], metavar="NAME", help="sysmlc, pyarrow, pandas or systemds"
    )
    given = parser.parse_args()
    print(machine())
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        rows = max(int(given.megabytes * 1e6 / (19.3 * COLUMNS)), 10)
        X = np.random.default_rng(1).random((rows, COLUMNS))
        file, small = folder / "in.csv", folder / "small.csv"
        sysmlc.run(f'write(X, "{file}", format="csv")\n', inputs={"X": X}, outputs=[])
        sysmlc.run(f'write(X, "{small}", format="csv")\n', inputs={"X": X[:10]}, outputs=[])
        megabytes = file.stat().st_size / 1e6
        for title, both in zip(("read", "write"), calls(file, X, folder), strict=True):
            if given.only not in (None, title):
                continue
            chosen = {n: clocked(c) for n, c in both.items() if n not in given.skip}
            seconds = {n: min(times) for n, times in side_by_side(chosen, given.rounds, 1).items()}
            if "systemds" not in given.skip:
                seconds["SystemDS"] = of_systemds(title, file, small, rows, folder, given.rounds)
            report(title, rows, megabytes, seconds)


def of_systemds(title: str, file: Path, small: Path, rows: int, folder: Path, rounds: int) -> float:
    """The least seconds of a process without its start-up; for writing, without making the matrix either."""

    def least(script: str, **arguments: object) -> float:
        return min(systemds_seconds(script, folder, **arguments) for _ in range(rounds))

    if title == "read":
        return least(READ, file=file) - least(READ, file=small)
    return least(WRITE, rows=rows, file=folder / "theirs.csv") - least(MAKE, rows=rows)


def report(title: str, rows: int, megabytes: float, seconds: dict[str, float]) -> None:
    ours = seconds.get("sysmlc", float("nan"))
    print(f"\n{title} {rows}x{COLUMNS}, {megabytes:.0f} MB\n")
    lines = [[n, f"{s:.2f}", f"{megabytes / s:.0f}", f"{s / ours:.2f}"] for n, s in seconds.items()]
    print(table(["", "seconds", "MB/s", "times sysmlc's"], lines))


if __name__ == "__main__":
    main()
