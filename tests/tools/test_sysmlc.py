"""The sysmlc command as its users see it: output, exit codes, messages; never a traceback."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from sysmlc.tools.sysmlc import main


def sysmlc(*args: str, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sysmlc.tools.sysmlc", *args]
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=120)
    assert "Traceback" not in done.stderr
    return done


def test_runs_text_and_files(tmp_path: Path) -> None:
    (tmp_path / "a.dml").write_text('print("n = " + $n)\n')
    assert sysmlc("run", "-s", "print(1 + 2)").stdout == "3\n"
    assert sysmlc("run", "a.dml", "-nvargs", "n=5", cwd=tmp_path).stdout == "n = 5\n"
    assert sysmlc("run", "-f", "a.dml", "-nvargs", "n=x=y", cwd=tmp_path).stdout == "n = x=y\n"
    assert sysmlc("-f", "a.dml", "-nvargs", "n=1", cwd=tmp_path).stdout == "n = 1\n"
    (tmp_path / "b.dml").write_text('print($1 + " " + $2)\n')
    assert sysmlc("run", "b.dml", "-args", "x", "-y", cwd=tmp_path).stdout == "x -y\n"


def test_hello() -> None:
    assert sysmlc("run", "-s", 'print("hi")').stdout == "hi\n"


def test_help_teaches() -> None:
    shown = sysmlc("--help")
    assert shown.returncode == 0
    for part in ("sysmlc run script.dml -nvargs", "-o prog", "--emit", "-explain"):
        assert part in shown.stdout
    assert sysmlc("run", "--help").stdout == shown.stdout
    assert sysmlc("--version").stdout.startswith("sysmlc ")


@pytest.mark.parametrize(
    ("args", "message"),
    [
        (["run"], "no script"),
        (["run", "a.dml", "b.dml"], "more than one script"),
        (["run", "a.dml", "-wrong"], "unknown option '-wrong'"),
        (["run", "a.dml", "-nvargs", "x"], "name=value"),
        (["run", "a.dml", "-gpu"], "'-gpu' is about a GPU, which this version does not have"),
        (["run", "a.dml", "-seed", "x"], "whole number"),
        (["run", "a.dml", "-exec", "spark"], "cluster"),
        (["a.dml", "--emit=what"], "--emit makes"),
        (["a.dml", "-o"], "-o needs a value"),
        (["a.dml", "-stats"], "belongs to `sysmlc run`"),
    ],
)
def test_usage_errors(args: list[str], message: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(args) == 2
    assert message in capsys.readouterr().err


def test_script_errors_are_diagnostics(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "a.dml"
    script.write_text("x = 1\ny = x + unknown\nz = 1 +\n")
    assert main(["run", str(script)]) == 1
    shown = capsys.readouterr().err
    assert f"{script}:" in shown
    assert "error:" in shown
    assert main(["run", str(tmp_path / "missing.dml")]) == 1
    assert "cannot read" in capsys.readouterr().err
    script.write_bytes(b"x = '\xff'\n")
    assert main(["run", str(script)]) == 1
    assert "not UTF-8" in capsys.readouterr().err


def test_program_errors_exit_with_1(tmp_path: Path) -> None:
    (tmp_path / "a.dml").write_text('print("before")\nx = 1\nif ($n > 0) stop("enough")\nprint("after")\n')
    done = sysmlc("run", "a.dml", "-nvargs", "n=1", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (1, "before\n")
    assert "a.dml:3:" in done.stderr
    assert "enough" in done.stderr


def test_explain_shows_each_level(capsys: pytest.CaptureFixture[str]) -> None:
    script = "X = rand(rows=3, cols=3)\nprint(toString(exp(X)))\n"
    for level, part in (
        ("dml", "dml.exp"),
        ("hops", "core.func"),
        ("runtime", "rt.launch"),
        ("llvm", "define"),
        ("asm", ".text"),
    ):
        assert main(["run", "-s", script, "-explain", level]) == 0
        assert part in capsys.readouterr().out
    assert main(["run", "-s", script, "-explain"]) == 0
    assert "rt.launch" in capsys.readouterr().out


def test_statistics_name_the_operators() -> None:
    done = sysmlc(
        "run",
        "-s",
        "X = rand(rows=50, cols=50)\nprint(sum(X %*% X) > 0)",
        "-stats",
        "3",
        "-threads",
        "1",
        "-seed",
        "7",
    )
    assert done.stdout == "TRUE\n"
    for part in ("Total execution time:", "rand", "Heavy hitter", "peak"):
        assert part in done.stderr


def test_seeds_repeat(tmp_path: Path) -> None:
    script = "print(sum(rand(rows=10, cols=10)))"
    assert (
        sysmlc("run", "-s", script, "-seed", "5").stdout == sysmlc("run", "-s", script, "-seed", "5").stdout
    )


def test_configuration(tmp_path: Path) -> None:
    config = tmp_path / "config.xml"
    config.write_text(
        "<root><sysml.optlevel>1</sysml.optlevel><sysds.cp.parallel.ops>false</sysds.cp.parallel.ops><odd>1</odd></root>"
    )
    done = sysmlc("run", "-s", "print(1)", "-config", str(config))
    assert done.stdout == "1\n"
    assert "unknown setting 'odd'" in done.stderr
    config.write_text("<root>")
    assert "not well-formed" in sysmlc("run", "-s", "print(1)", "-config", str(config)).stderr


def test_emits_every_kind(tmp_path: Path) -> None:
    (tmp_path / "a.dml").write_text("print(sum(matrix($x, 3, 3) * 2))\n")
    for kind, made in (("obj", "a.o"), ("asm", "a.s"), ("llvm", "a.ll"), ("ir", "a.ir")):
        assert sysmlc("a.dml", f"--emit={kind}", cwd=tmp_path).returncode == 0
        assert (tmp_path / made).stat().st_size > 0
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.dml", "a.ir", "a.ll", "a.o", "a.s"]


def test_nothing_half_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    script = tmp_path / "a.dml"
    script.write_text("x = \n")
    assert main([str(script), "-o", str(tmp_path / "prog")]) == 1
    script.write_text("print(1)\n")
    assert main([str(script), "-o", str(tmp_path)]) == 1
    assert main([str(script), "-o", str(script)]) == 1
    assert main([str(script), "-o", str(tmp_path / "no" / "prog")]) == 1
    assert "error:" in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["a.dml"]
    assert script.read_text() == "print(1)\n"


def test_interrupts_stop_the_program() -> None:
    command = [sys.executable, "-m", "sysmlc.tools.sysmlc", "run", "-s"]
    script = "print('started')\ns = 0\nwhile (s >= 0) { s = s + 1\n if (s > 1000) { s = 0 } }\nprint(s)"
    running = subprocess.Popen([*command, script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    time.sleep(2.0)
    os.kill(running.pid, signal.SIGINT)
    _, errors = running.communicate(timeout=30)
    assert running.returncode == 130
    assert errors.strip() == "interrupted"


def test_a_second_interrupt_does_not_wait() -> None:
    script = (
        "import threading\n"
        "from sysmlc.runtime.bridge import Context\n"
        "from sysmlc.runtime.running import interruptible\n"
        "context = Context()\n"
        "context.stop_on_signals()\n"
        "print('started', flush=True)\n"
        "interruptible(threading.Event().wait, context)\n"  # never checks whether it shall end
    )
    running = subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    assert running.stdout is not None
    assert running.stdout.readline() == "started\n"
    while running.poll() is None:  # the second one counts, whenever it comes
        time.sleep(0.5)
        running.terminate()
    _, errors = running.communicate(timeout=30)
    assert (running.returncode, errors) == (130, "interrupted\n")


def test_a_closed_pipe_is_no_crash() -> None:
    command = f"{sys.executable} -m sysmlc.tools.sysmlc run -s 'for (i in 1:200000) {{ print(i) }}' | head -1"
    done = subprocess.run(["bash", "-c", command], capture_output=True, text=True, timeout=60)
    assert done.stdout == "1\n"
    assert "Traceback" not in done.stderr


LOADING = """
import importlib.abc, os, runpy, signal, sys
class Interrupt(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == "{module}":
            os.kill(os.getpid(), signal.SIGINT)
sys.meta_path.insert(0, Interrupt())
sys.argv = ["sysmlc", "run", "-s", "print('started')"]
if {installed}:
    from sysmlc.tools.start import sysmlc
    sys.exit(sysmlc())
runpy.run_module("sysmlc.tools.sysmlc", run_name="__main__", alter_sys=True)
"""


@pytest.mark.parametrize("installed", [True, False])
@pytest.mark.parametrize(("module", "told"), [("sysmlc.tools.usage", ""), ("sysmlc.api", "interrupted\n")])
def test_interrupts_while_the_compiler_loads(module: str, told: str, installed: bool) -> None:
    command = [sys.executable, "-c", LOADING.format(module=module, installed=installed)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", told)


def test_ignored_interrupts_stay_ignored() -> None:
    text = LOADING.format(module="sysmlc.tools.usage", installed=True)
    ignoring = "import signal\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\n" + text
    done = subprocess.run([sys.executable, "-c", ignoring], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout, done.stderr) == (0, "started\n", "")


def test_the_command_begins_before_anything_is_loaded() -> None:
    text = (
        "import sys, sysmlc.tools.start\nprint(*{'typing', 're', 'enum', 'signal'}.intersection(sys.modules))"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-S", "-c", text], capture_output=True, text=True, env=environment)
    assert (done.stdout, done.stderr) == ("\n", "")


def test_text_is_compiled_where_a_file_is_named(tmp_path: Path) -> None:
    made = tmp_path / "hello"
    assert main(["-s", 'print("hello")', "-o", str(made)]) == 0
    assert subprocess.run([made], capture_output=True, text=True, check=True).stdout == "hello\n"


def test_running_makes_no_file(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["run", "-s", 'print("hello")', "-o", str(tmp_path / "hello")]) == 2
    shown = capsys.readouterr()
    assert shown.out == ""
    assert "-o is for compiled programs" in shown.err
