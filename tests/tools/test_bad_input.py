"""What goes wrong gives one clear message with the place in the script: compiling, running in process, as an executable, from Python."""

from __future__ import annotations

import os
import re
import resource
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import sysmlc
from sysmlc.runtime.bridge import NativeError
from sysmlc.tools.sysmlc import main

RUN_TIME = """\
mode = $mode
n = ifdef($n, 5)
X = rand(rows=n, cols=n, seed=1)
if (mode == "row") { print(as.scalar(X[n + 1, 1])) }
if (mode == "column") { X[1, n + 2] = 3 }
if (mode == "range") { print(sum(X[n:1, ])) }
if (mode == "shape") { print(sum(X + matrix(1, rows=n + 1, cols=2))) }
if (mode == "product") { print(sum(X %*% matrix(1, rows=n - 1, cols=2))) }
if (mode == "bind") { print(sum(rbind(X, matrix(1, rows=1, cols=n - 2)))) }
if (mode == "singular") { print(sum(solve(matrix(1, rows=n, cols=n), matrix(1, rows=n, cols=1)))) }
if (mode == "cholesky") { print(sum(cholesky(-diag(matrix(1, rows=n, cols=1))))) }
if (mode == "scalar") { print(as.scalar(X)) }
if (mode == "stop") { stop("enough of " + n) }
if (mode == "assert") { assert(n < 3) }
if (mode == "overflow") { big = 4611686018427387904 + n
  print(big * 2) }
if (mode == "division") { print(7 %/% (n - n)) }
if (mode == "number") { print(as.double("1" + mode)) }
if (mode == "missing") { Y = read($file, format="csv")
  print(sum(Y)) }
if (mode == "memory") { print(sum(rand(rows=n * 1000000, cols=1000000) %*% X)) }
if (mode == "write") { write(X, $file, format="csv") }
if (mode == "step") { for (i in seq(1, n, n - n)) { print(i) } }
if (mode == "deep") { print(down(n)) }
print("done")
down = function(int n) return (int r) {
  if (n < 0) { r = 0 } else { m = down(n + 1)
    r = m + 1 }
}
"""
RUN_TIME_ERRORS = {
    "row": ("4:38", "row index 6 is out of range: the matrix has 5 rows"),
    "column": ("5:", "column index 7 is out of range"),
    "range": ("6:", ""),
    "shape": ("7:", "5x5 and 6x2"),
    "product": ("8:", "differ"),
    "bind": ("9:", "5"),
    "singular": ("10:", "singular"),
    "cholesky": ("11:", "positive definite"),
    "scalar": ("12:", "5x5"),
    "stop": ("13:", "enough of 5"),
    "assert": ("14:", "assertion failed"),
    "overflow": ("16:", "overflow"),
    "division": ("17:", ""),
    "number": ("18:", "'1number'"),
    "missing": ("19:", "nowhere.csv"),
    "memory": ("21:", "out of memory"),
    "write": ("22:", "no/out.csv"),
    "step": ("23:", "step"),
    "deep": ("26:1", "deep"),
}


def layout(text: str, script: str) -> tuple[str, int, int]:
    """Check that an error has its place, the source line behind two blanks and a caret; the message, line and column."""
    lines = text.rstrip("\n").split("\n")
    found = re.fullmatch(r"(.*):(\d+):(\d+): error: (.+)", lines[0])
    assert found, text
    line, column = int(found[2]), int(found[3])
    assert lines[1] == "  " + script.split("\n")[line - 1], text
    assert re.fullmatch(r" *\^~*", lines[2]), text
    assert lines[2].index("^") == column + 1, text
    return found[4], line, column


def test_branches_not_taken_may_be_wrong(capfd: pytest.CaptureFixture[str]) -> None:
    script = """X = matrix(1, 2, 3)
k = $k
if (ncol(X) > 3) { print(sum(X[, 4])) }
if (k > 1) { print(sum(X[1, 2:k])) } else { print("one") }
if (k > 5) { Y = X %*% X
  print(sum(Y)) }
"""
    assert main(["run", "-s", script, "-nvargs", "k=1"]) == 0
    assert capfd.readouterr().out == "one\n"
    assert main(["run", "-s", script, "-nvargs", "k=6"]) == 1
    assert layout(capfd.readouterr().err, script)[1] == 4


@pytest.fixture(scope="module")
def executable(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("errors")
    (folder / "errors.dml").write_text(RUN_TIME)
    assert main([str(folder / "errors.dml"), "-o", str(folder / "errors")]) == 0
    return folder / "errors"


@pytest.mark.parametrize("mode", RUN_TIME_ERRORS)
def test_run_time_errors(
    mode: str, executable: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = {"write": "/proc/no/out.csv", "missing": "nowhere.csv"}.get(mode, "")
    arguments = ["-nvargs", f"mode={mode}", f"file={tmp_path / file}"]
    done = subprocess.run([executable, *arguments], capture_output=True, text=True, env={}, timeout=60)
    assert (done.returncode, done.stdout) == (1, "")
    message, line, column = layout(done.stderr, RUN_TIME)
    place, part = RUN_TIME_ERRORS[mode]
    assert f"{line}:{column}".startswith(place), done.stderr
    assert part in message
    # In process: the same, whether the compiler or the program finds it.
    assert main(["run", str(executable.with_suffix(".dml")), *arguments]) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert "error:" in shown.err
    assert layout(shown.err.split("\n  hint")[0], RUN_TIME)[1] == line
    assert list(tmp_path.iterdir()) == []


def test_errors_from_python() -> None:
    program = sysmlc.compile("x = 1\ny = as.scalar(X[n, 1])\n")
    with pytest.raises(NativeError) as caught:
        program.run({"X": np.ones((2, 2)), "n": 3})
    error = caught.value
    assert error.message == "row index 3 is out of range: the matrix has 2 rows"
    assert (error.file, error.line, error.column) == ("<script>", 2, 15)
    assert layout(str(error), program.source.text)[1:] == (2, 15)
    assert program.run({"X": np.ones((2, 2)), "n": 2})["y"] == 1.0
    with pytest.raises(sysmlc.Diagnostic) as found:
        sysmlc.run("x = matrix(1, 2, 3)\ny = x %*% x\n")
    assert (found.value.loc.line, found.value.loc.source.name) == (2, "<script>")
    layout(str(found.value), "x = matrix(1, 2, 3)\ny = x %*% x\n")


COMPILE_TIME = [
    ("x = matrix(1, 2, 3) + matrix(1, 4, 5)\nprint(sum(x))", "2x3 and 4x5"),
    ("x = matrix(1, 2, 3) %*% matrix(1, 4, 5)\nprint(sum(x))", ""),
    ("X = matrix(1, 2, 3)\nprint(sum(X[3, 1]))", "row"),
    ("X = matrix(1, 2, 3)\nX[1, 1:2] = matrix(1, 2, 2)", ""),
    ("x = 99999999999999999999", "64"),
    ("x = y + 1", "'y'"),
    ("x = summ(3)", "summ"),
    ("x = 5 +", "expected"),
    ('x = "open', ""),
    ("x = (((((1)", "expected"),
    ("f = function(int a) return (int b) { b = a }\nx = f(1, 2)", "f"),
    ("source('nowhere.dml') as n", "nowhere.dml"),
    ("x = 'a' * 2", ""),
    ("if ('a') { print(1) }", ""),
    ("x = \0", ""),
    ("F = as.frame(matrix(1, 1, 1))", "frame"),
    ("x = $missing", "missing"),
    ("X = read('nowhere.csv')\nprint(sum(X))", "nowhere.csv"),
    ("x = matrix('1 2 x', 1, 3)", "'x' is not a number"),
    ("x = eval('f', 1)", "'f'"),
    ("X = matrix(1, 2, 2)\nwrite(X, 'hdfs://host/x')", "files at 'hdfs://' are not in this version"),
    ("X = read('s3a://bucket/x.csv', format='csv')", "files at 's3a://' are not in this version"),
]


@pytest.mark.parametrize(("script", "part"), COMPILE_TIME)
def test_compile_time_errors(
    script: str, part: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a.dml"
    file.write_text(script)
    assert main(["run", str(file)]) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert part in shown.err
    assert shown.err.startswith(f"{file}:")
    assert re.search(r"^ +\^~*$", shown.err, re.M)


def test_long_and_empty_scripts(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "a.dml"
    for text in (
        "",
        "\n",
        "# nothing\n",
        "/* nothing */",
        "\ufeff",
        "f = function() return (int x) { x = 1 }\n",
    ):
        file.write_text(text)
        assert main(["run", str(file)]) == 0, text
        assert main([str(file), "-o", str(tmp_path / "prog")]) == 0
        assert subprocess.run([tmp_path / "prog"], env={}, timeout=20).returncode == 0
    file.write_text('x = "' + "a" * 1_000_000 + '"\nprint(length(matrix(1, 2, 2)) + x)\n')
    assert main(["run", str(file)]) == 0
    assert len(capfd.readouterr().out) == 1_000_002
    file.write_text(
        "print(" + "1" * 5000 + ".0 > 1)\nprint(1e99999999999 > 1)\nprint(0." + "0" * 5000 + "1 == 0)\n"
    )
    assert main(["run", str(file)]) == 0
    assert capfd.readouterr().out == "TRUE\n" * 3
    file.write_text("x = " + "(" * 100_000 + "1" + ")" * 100_000 + "\n")
    assert main(["run", str(file)]) == 1
    file.write_text("x = 1" + " + 1" * 20_000 + "\nprint(x)\n")
    assert main(["run", str(file)]) == 0
    assert capfd.readouterr().out == "20001\n"


@pytest.mark.parametrize(
    ("content", "mtd", "part"),
    [
        ("1,2,3\n4,5\n", None, ":2"),
        ("1,2\n3,abc\n", None, "abc"),
        ("1,2\n3,4\n", '{"rows": 3, "cols": 2, "format": "csv"}', "3"),
        ("1,2\n3,4\n", '{"rows": 2, "cols": 5, "format": "csv"}', "5"),
        ("1,2\n3,4\n", '{"rows": -3, "cols": 2, "format": "csv"}', "rows=-3 is not a possible size"),
        ("1,2\n3,4\n", '{"rows": 1e999, "cols": 2, "format": "csv"}', "rows=1e999 is not a possible size"),
        ("1,2\n3,4\n", '{"rows": 2, "cols": 2, "nnz": 0, "format": "csv"}', "x.csv.mtd says 0"),
        ("1,2\n3,4\n", '{"rows": 2, "cols": 2, "nnz": 7, "format": "csv"}', "x.csv.mtd says 7"),
        ("1,2\n3,4\n", '{"rows": 2, "cols": ', "mtd"),
        ("1,2\n3,4\n", '{"format": "parquet"}', "parquet"),
        ("1,2\n3,4\n", '{"data_type": "frame", "format": "csv"}', "frame"),
    ],
)
def test_bad_data(
    content: str, mtd: str | None, part: str, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    data, script = tmp_path / "x.csv", tmp_path / "a.dml"
    data.write_text(content)
    script.write_text('X = read($X, format="csv")\nprint(sum(X))\n')
    if mtd is not None:
        (tmp_path / "x.csv.mtd").write_text(mtd)
    assert main(["run", str(script), "-nvargs", f"X={data}"]) == 1
    shown = capfd.readouterr()
    assert shown.out == ""
    assert shown.err.startswith(f"{script}:1:")
    assert part in shown.err


def test_unusable_files(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert main(["run", str(tmp_path)]) == 1
    assert main(["run", str(tmp_path / "no.dml")]) == 1
    assert main(["run", ""]) in (1, 2)
    shown = capfd.readouterr().err
    assert shown.count("cannot read") >= 2
    assert str(tmp_path / "no.dml") in shown
    script = tmp_path / "a.dml"
    script.write_text('X = matrix(1, 2, 2)\nwrite(X, $out, format="csv")\n')
    assert main(["run", str(script), "-nvargs", f"out={script / 'no' / 'x.csv'}"]) == 1
    assert main(["run", str(script), "-nvargs", "out=/proc/x.csv"]) == 1
    assert main(["run", str(script), "-nvargs", "out=/dev/full"]) == 1
    assert capfd.readouterr().err.count("error: ") == 3
    assert main([str(script), "-o", str(tmp_path / "no" / "prog")]) == 1
    assert main([str(script), "-o", "/proc/prog"]) == 1
    assert capfd.readouterr().err.count("error: ") == 2
    assert [p.name for p in tmp_path.iterdir()] == ["a.dml"]


def test_addresses_of_files(tmp_path: Path) -> None:
    """`file:` is this machine; another one is an error, and no folder of that name."""
    script = "X = matrix(1.5, 2, 2)\nwrite(X, p, format='csv')\ns = sum(read(p))\n"
    program = sysmlc.compile(script, inputs={"p": ""}, outputs=["s"])
    for form in ("file://{}", "file:{}", "file://localhost{}", "{}"):
        path = tmp_path / f"x{len(form)}"
        assert program.run({"p": form.format(path)})["s"] == 6.0
        assert (
            sysmlc.run(script.replace("p,", f"'{form.format(path)}',").replace("(p)", f"('{path}')"))["s"]
            == 6.0
        )
    with pytest.raises(NativeError, match="files at 'hdfs://' are not in this version, local ones are"):
        program.run({"p": "hdfs://host/x"})
    assert not Path("hdfs:").exists()


def limited(kilobytes: int) -> None:
    resource.setrlimit(resource.RLIMIT_AS, (kilobytes << 10, kilobytes << 10))


def test_out_of_memory(executable: Path) -> None:
    command = [executable, "-nvargs", "mode=none", "n=20000", "file=none"]
    done = subprocess.run(
        command, capture_output=True, text=True, env={}, timeout=60, preexec_fn=lambda: limited(500_000)
    )
    assert done.returncode == 1
    message, line, _ = layout(done.stderr, RUN_TIME)
    assert message.startswith("out of memory")
    assert line == 3


def test_compiling_without_memory(tmp_path: Path) -> None:
    """LLVM does not fit: one message, whoever finds out first."""
    command = [sys.executable, "-m", "sysmlc.tools.sysmlc", "run", "-s", "print(sum(rand(rows=3, cols=3)))"]
    environment = os.environ | {"SYSMLC_CACHE_DIR": str(tmp_path)}
    done = subprocess.run(
        command,
        capture_output=True,
        text=True,
        env=environment,
        timeout=60,
        preexec_fn=lambda: limited(100_000),
    )
    assert done.returncode == 1
    assert done.stdout == ""
    assert done.stderr.startswith("error: ")
    assert done.stderr.endswith("hint: compiling may take more memory than 'ulimit -v' allows\n")
    assert done.stderr.count("\n") == 2


def test_interrupted_executable(tmp_path: Path) -> None:
    script = tmp_path / "a.dml"
    script.write_text('print("on")\ni = 0\nwhile (i >= 0) { i = (i + 1) %% 1000 }\n')
    assert main([str(script), "-o", str(tmp_path / "prog")]) == 0
    with subprocess.Popen(
        [tmp_path / "prog"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={}
    ) as running:
        time.sleep(0.5)
        running.send_signal(signal.SIGINT)
        _, errors = running.communicate(timeout=20)
    assert running.returncode == 130
    assert errors == "interrupted\n"


def test_closed_output(tmp_path: Path) -> None:
    script = tmp_path / "a.dml"
    script.write_text("for (i in 1:100000) { print(i) }\n")
    assert main([str(script), "-o", str(tmp_path / "prog")]) == 0
    run = f"{sys.executable} -m sysmlc.tools.sysmlc run {script}"
    for command in (str(tmp_path / "prog"), run):
        done = subprocess.run(
            ["bash", "-c", f"{command} | head -2"],
            capture_output=True,
            text=True,
            timeout=60,
            env=dict(os.environ),
        )
        assert done.stdout == "1\n2\n"
        assert "Traceback" not in done.stderr


def test_closed_standard_output(tmp_path: Path) -> None:
    """What is printed is an error, and does not get into a file that is written at the time."""
    script, out = tmp_path / "a.dml", tmp_path / "x.csv"
    script.write_text(f'X = matrix(7, 2, 2)\nwrite(X, "{out}", format="csv")\nprint("on")\n')
    assert main([str(script), "-o", str(tmp_path / "prog")]) == 0
    run = f"{sys.executable} -m sysmlc.tools.sysmlc run {script}"
    for command in (str(tmp_path / "prog"), run):
        done = subprocess.run(["bash", "-c", f"{command} >&-"], capture_output=True, text=True, timeout=60)
        assert done.returncode == 1
        assert "a.dml:3:1: error: cannot write to standard output" in done.stderr
        assert "Traceback" not in done.stderr
        assert out.read_text() == "7.0,7.0\n7.0,7.0\n"


@pytest.mark.parametrize("level", ["-O0", "-O1", "-O2"])
def test_errors_in_branches_the_data_decides(level: str, capfd: pytest.CaptureFixture[str]) -> None:
    script = "n = $n\nX = matrix(1, n, n)\nif (sum(X) > 20) { print(as.scalar(X)) }\nprint('fine')\n"
    assert main(["run", "-s", script, level, "-nvargs", "n=3"]) == 0
    assert capfd.readouterr().out == "fine\n"
    assert main(["run", "-s", script, level, "-nvargs", "n=5"]) == 1
    message, line = layout(capfd.readouterr().err, script)[
        :2
    ]  # known before it runs where passes decide the branch
    assert message.endswith("needs a 1x1 matrix, got 5x5")
    assert line == 3
