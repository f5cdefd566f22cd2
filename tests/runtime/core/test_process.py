"""Programs as processes: exit codes, messages, memory limits, signals, fork."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import threading
from pathlib import Path

import pytest

from sysmlc.runtime.library import include_dir, static_library
from sysmlc.runtime.running import interruptible


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("program")
    source = Path(__file__).with_name("program.c")
    subprocess.run(["cc", "-O1", "-c", f"-I{include_dir()}", "-o", folder / "program.o", source], check=True)
    link = [
        "c++",
        "-static-libstdc++",
        "-static-libgcc",
        "-pthread",
        "-Wl,--gc-sections",
        "-s",
        "-o",
        folder / "program",
    ]
    subprocess.run([*link, folder / "program.o", static_library(), "-ldl"], check=True)
    return folder / "program"


def run(program: Path, *args: str, limit: int = 0, **options: object) -> subprocess.CompletedProcess[str]:
    def confine() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    before = {"preexec_fn": confine} if limit else {}
    return subprocess.run(
        [program, *args], capture_output=True, text=True, timeout=60, env={}, **before, **options
    )  # type: ignore[call-overload, no-any-return]


def test_prints_and_arguments(program: Path) -> None:
    done = run(program, "-nvargs", "mode=hi", "text=grüße a=b")
    assert (done.returncode, done.stdout, done.stderr) == (0, "grüße a=b\n", "")
    assert program.stat().st_size < 2_000_000


def test_help(program: Path) -> None:
    done = run(program, "--help")
    assert done.returncode == 0
    assert "mode             required  what to do" in done.stdout
    assert "text             default: hi" in done.stdout


@pytest.mark.parametrize(
    ("args", "message"),
    [
        ([], "missing arguments: $mode"),
        (["-x"], "unknown option '-x'"),
        (["-nvargs", "mode"], "needs name=value"),
        (["-threads", "0"], "at least 1"),
    ],
)
def test_usage_errors(program: Path, args: list[str], message: str) -> None:
    done = run(program, *args)
    assert done.returncode == 2
    assert message in done.stderr


def test_errors_show_the_line(program: Path) -> None:
    done = run(program, "-nvargs", "mode=error")
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert done.stderr == (
        "script.dml:9:5: error: row index 5 is out of range: the matrix has 3 rows\n  z = X[5,1]\n      ^\n"
    )


@pytest.mark.parametrize("mode", ["memory", "small"])
def test_out_of_memory_is_an_error(program: Path, mode: str) -> None:
    done = run(program, "-nvargs", f"mode={mode}", limit=400 << 20)
    assert done.returncode == 1
    assert "error: out of memory" in done.stderr


@pytest.mark.parametrize("name", [signal.SIGINT, signal.SIGTERM])
def test_interrupt(program: Path, name: signal.Signals) -> None:
    with subprocess.Popen(
        [program, "-nvargs", "mode=loop"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as p:
        assert p.stdout is not None
        assert p.stdout.readline() == "looping\n"
        p.send_signal(name)
        out, err = p.communicate(timeout=20)
    assert (p.returncode, out, err) == (130, "", "interrupted\n")


def test_full_disk_and_closed_pipe(program: Path) -> None:
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [program, "-nvargs", "mode=hi", "text=x"],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=20,
        )
    assert done.returncode == 1
    assert "cannot write to standard output: No space left on device" in done.stderr
    with subprocess.Popen(
        [program, "-nvargs", "mode=lines", "n=1000000"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as p:
        assert p.stdout is not None
        assert p.stderr is not None
        p.stdout.readline()
        p.stdout.close()
        err = p.stderr.read()
    assert p.returncode == 1
    assert "Broken pipe" in err


def test_fork(program: Path) -> None:
    done = run(program, "-threads", "3", "-nvargs", "mode=fork")
    assert (done.returncode, done.stdout) == (0, "3.0\n")


def test_stats(program: Path) -> None:
    done = run(program, "-stats", "3", "-nvargs", "mode=lines", "n=5")
    assert done.stdout.count("\n") == 5
    assert "Heavy hitter operators:" in done.stderr
    assert "print" in done.stderr


def test_an_interrupt_that_comes_before_the_program_starts_is_repeated() -> None:
    stopped = threading.Event()

    class Forgetful:
        """Takes no notice of the first interrupt, as a run that is about to begin."""

        told = 0

        def interrupt(self) -> None:
            self.told += 1
            if self.told > 1:
                stopped.set()

    threading.Timer(0.1, os.kill, [os.getpid(), signal.SIGINT]).start()
    with pytest.raises(KeyboardInterrupt):
        interruptible(lambda: stopped.wait(20), Forgetful())  # type: ignore[arg-type]
    assert stopped.is_set()
