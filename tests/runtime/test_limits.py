"""Programs at their limits, in process and as executables: memory, numbers, indexes, signals, full disks.

Each failure is one clear message with the line of the script, exit code 1 (130 after Ctrl-C), and no file left behind.
"""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sysmlc.tools.sysmlc import main

SCRIPT = """\
n = as.integer($n) + as.integer(time() < 0)  # known at run time only
mode = $mode
if (time() < 0) mode = ""
if (mode == "memory") {
  X = rand(rows=n, cols=n, seed=1)
  Y = X %*% t(X)
  print(sum(Y[1:2, 1:2]))
} else if (mode == "sparse memory") {
  X = rand(rows=n, cols=n, sparsity=0.3, seed=1)
  print(sum(X * 2 + t(X)))
} else if (mode == "solve") {
  X = rand(rows=n, cols=n, seed=1)
  Y = solve(X, X)
  print(sum(Y[1:2, 1:2]))
} else if (mode == "overflow") {
  i = 9223372036854775807 - 20000
  i = i + n
  print(i)
} else if (mode == "row") {
  X = matrix(1, 10, 10)
  print(as.scalar(X[n, 1]))
} else if (mode == "range") {
  X = matrix(1, 10, 10)
  X[1:2, 5:n] = matrix(0, 2, n - 4)
  print(sum(X))
} else if (mode == "singular") {
  A = matrix(n, 3, 3)
  print(toString(solve(A, matrix(1, 3, 1))))
} else if (mode == "indefinite") {
  A = diag(matrix("1 -1 1", 3, 1)) * n
  print(toString(cholesky(A)))
} else if (mode == "loop") {
  print("started")
  while (n > 0) n = (n + 1) %% 1000 + 1
  print(n)
} else if (mode == "operators") {
  print("started")
  X = rand(rows=1000, cols=1000, seed=1)
  while (n > 0) {
    X = X %*% X / sum(X)
    n = n + as.integer(as.scalar(X[1, 1]) > 1e300)
  }
  print(n)
} else if (mode == "read") {
  print("started")
  while (n > 0) {
    X = read($file, format="csv")
    n = n + as.integer(sum(X) < 0)
  }
  print(n)
} else if (mode == "write") {
  X = rand(rows=n, cols=100, seed=1)
  print("started")
  while (n > 0) write(X, $file, format="csv")
} else {
  X = matrix(1.5, n, 10)
  if (mode == "csv") write(X, $file, format="csv")
  if (mode == "text") write(X, $file, format="text")
  if (mode == "mm") write(X, $file, format="mm")
  if (mode == "binary") write(X, $file, format="binary")
}
"""

LINE = {part: 1 + SCRIPT[: SCRIPT.index(part)].count("\n") for part in SCRIPT.splitlines()}

Run = Callable[..., list[str]]


@pytest.fixture(scope="module", params=["in process", "executable"])
def command(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Run:
    """The command line that runs the script with arguments."""
    folder = tmp_path_factory.mktemp("limits")
    script = folder / "a.dml"
    script.write_text(SCRIPT)
    start = [sys.executable, "-m", "sysmlc.tools.sysmlc", "run", str(script)]
    if request.param == "executable":
        program = folder / "a"
        assert main([str(script), "-o", str(program)]) == 0
        start = [str(program)]

    def line(mode: str, n: int = 1, file: Path | str = "none") -> list[str]:
        return [*start, "-nvargs", f"mode={mode}", f"n={n}", f"file={file}"]

    return line


def failure(command: list[str], **limits: int) -> str:
    """Runs a command that must fail, under resource limits; returns what it says."""

    def confine() -> None:
        for name, value in limits.items():
            resource.setrlimit(getattr(resource, name), (value, value))

    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=confine,
        env=environment(),
        check=False,
    )
    assert (done.returncode, done.stdout) == (1, ""), done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


def environment() -> dict[str, str]:
    # Idle BLAS threads of NumPy reserve address space, which the limits on memory count.
    return {**os.environ, "OPENBLAS_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)}


def at(line: str, message: str) -> str:
    """How an error at a line of the script begins; its columns are the compiler's business."""
    return rf"a\.dml:{LINE[line]}:\d+: error: {message}"


@pytest.mark.parametrize(
    ("mode", "line"),
    [
        ("memory", "  X = rand(rows=n, cols=n, seed=1)"),
        ("sparse memory", "  X = rand(rows=n, cols=n, sparsity=0.3, seed=1)"),
    ],
)
def test_out_of_memory(command: Run, mode: str, line: str) -> None:
    said = failure(command(mode, 20000), RLIMIT_AS=2_000_000_000)
    assert_matches(at(line, "out of memory"), said)


def test_more_than_the_machine_has(command: Run) -> None:
    said = failure(command("memory", 3_000_000))
    assert_matches(at("  X = rand(rows=n, cols=n, seed=1)", "out of memory: cannot allocate 72.0 TB"), said)


@pytest.mark.parametrize("megabytes", [240, 280, 320])
def test_memory_of_the_linear_algebra_library(command: Run, megabytes: int, tmp_path: Path) -> None:
    """It would end the process with a message of its own. Compiling may come first, and need too much."""
    done = subprocess.run(
        command("solve", 2000),
        capture_output=True,
        text=True,
        timeout=100,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (megabytes << 20, megabytes << 20)),
        env=environment(),
        check=False,
    )
    if done.returncode:
        assert done.returncode == 1
        assert_matches(
            r"a\.dml:\d+:\d+: error: out of memory|compiling may take more memory than", done.stderr
        )


def test_small_stack(tmp_path: Path) -> None:
    """Programs that are started with a small stack have the depth of others."""
    script = tmp_path / "deep.dml"
    script.write_text(
        "f = function(int n) return (int r) { r = 0\n  if (n > 0) { m = f(n - 1)\n    r = m + 1 } }\nprint(f(as.integer($n)))\n"
    )
    assert main([str(script), "-o", str(tmp_path / "deep")]) == 0
    for n, code, said in ((10_000, 0, "10000\n"), (10_000_000, 1, "calls itself too deeply")):
        done = subprocess.run(
            [tmp_path / "deep", "-nvargs", f"n={n}"],
            capture_output=True,
            text=True,
            timeout=60,
            env={},
            preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_STACK, (512 << 10, 512 << 10)),
            check=False,
        )
        assert done.returncode == code
        assert said in done.stdout + done.stderr


@pytest.mark.parametrize(
    ("mode", "n", "line", "message"),
    [
        ("overflow", 30000, "  i = i + n", "numerical result overflow"),
        ("row", 11, "  print(as.scalar(X[n, 1]))", "row index 11 is out of range: the matrix has 10 rows"),
        ("row", 0, "  print(as.scalar(X[n, 1]))", "row index 0 is out of range"),
        ("range", 12, "  X[1:2, 5:n] = matrix(0, 2, n - 4)", "column index 12 is out of range"),
        ("singular", 2, "  print(toString(solve(A, matrix(1, 3, 1))))", ".*singular"),
        ("indefinite", 1, "  print(toString(cholesky(A)))", ".*not positive definite"),
    ],
)
def test_values_out_of_range(command: Run, mode: str, n: int, line: str, message: str) -> None:
    assert_matches(at(line, message), failure(command(mode, n)))


@pytest.mark.parametrize("mode", ["loop", "operators", "read", "write"])
def test_interrupts(command: Run, mode: str, tmp_path: Path) -> None:
    file = tmp_path / "x.csv"
    if mode == "read":
        file.write_text("1.25,2.5,3.75,4.125\n" * 400_000)
    started = command(mode, 200_000 if mode == "write" else 1, file)
    with subprocess.Popen(
        started, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment()
    ) as running:
        time.sleep(4 if sys.executable in started else 1)  # what is printed into a pipe comes at the end
        running.send_signal(signal.SIGINT)
        begin = time.monotonic()
        _, errors = running.communicate(timeout=60)
    assert running.returncode == 130
    assert "Traceback" not in errors
    assert time.monotonic() - begin < 20
    assert {p.name for p in tmp_path.iterdir()} <= {"x.csv", "x.csv.mtd"}


@pytest.mark.parametrize("format", ["csv", "text", "mm", "binary"])
def test_full_disk(command: Run, format: str, tmp_path: Path) -> None:
    line = f'  if (mode == "{format}") write(X, $file, format="{format}")'
    said = failure(command(format, 50_000, tmp_path / "x"), RLIMIT_FSIZE=100_000)
    assert_matches(at(line, ".*File too large"), said)
    assert list(tmp_path.iterdir()) == []
    said = failure(command(format, 50_000, "/dev/full"))
    assert_matches(at(line, ".*No space left on device"), said)


def assert_matches(pattern: str, text: str) -> None:
    assert re.search(pattern, text), f"{pattern!r} is not in {text!r}"
