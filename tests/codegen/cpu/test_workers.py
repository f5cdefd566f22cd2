"""Processes that compile: results and errors come back, and nothing is lost when one ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from sysmlc.codegen.cpu.workers import Task, WorkerDiedError, Workers, workers
from sysmlc.ir.source import Diagnostic, Source
from sysmlc.tools.sysmlc import main


def double(value: int) -> int:
    return 2 * value


def complain(text: str) -> None:
    source = Source("a.dml", text)
    raise Diagnostic("this is wrong", source.location(2, 5), hint="try something else")


def note(file: str, text: str) -> str:
    with open(file, "a") as log:
        log.write(text)
    return text


def kill_itself() -> None:
    os.kill(os.getpid(), signal.SIGSEGV)


def folder() -> str:
    print("this does not get between the answers")
    return os.getcwd()


@pytest.fixture
def some() -> object:
    made = Workers()
    yield made
    made.close()


def test_results_come_in_order(some: Workers) -> None:
    assert some.each([(double, (i,)) for i in range(20)]) == [2 * i for i in range(20)]
    assert some.call(os.getpid) != os.getpid()


@pytest.mark.parametrize("here", [False, True])
def test_each_result_is_kept_once(some: Workers, monkeypatch: pytest.MonkeyPatch, here: bool) -> None:
    if here:
        monkeypatch.setenv("SYSMLC_WORKERS", "0")
        some = Workers()
    kept: list[tuple[int, int]] = []
    some.each([(double, (i,)) for i in range(9)], lambda number, result: kept.append((number, result)))
    assert sorted(kept) == [(i, 2 * i) for i in range(9)]
    kept.clear()
    with pytest.raises(Diagnostic):
        some.each(
            [(double, (1,)), (complain, ("x = 1\n",))], lambda number, result: kept.append((number, result))
        )
    assert kept == [(0, 2)]


def test_errors_are_those_of_the_task(some: Workers) -> None:
    first = some.call(os.getpid)
    with pytest.raises(Diagnostic) as caught:
        some.call(complain, "x = 1\n")
    assert (
        str(caught.value) == "a.dml:1:3: error: this is wrong\n  x = 1\n    ^~~\n  hint: try something else"
    )
    with pytest.raises(Diagnostic):
        some.each([(double, (1,)), (complain, ("x = 1\n",)), (double, (2,))])
    assert some.call(os.getpid) == first


def test_a_crash_is_an_error_and_the_next_task_works(some: Workers) -> None:
    with pytest.raises(WorkerDiedError, match="SIGSEGV"):
        some.call(kill_itself)
    assert some.call(double, 4) == 8


def test_a_worker_that_has_ended_is_replaced(some: Workers) -> None:
    first = some.call(os.getpid)
    os.kill(first, signal.SIGTERM)
    while os.waitid(os.P_PID, first, os.WEXITED | os.WNOWAIT) is None:
        time.sleep(0.01)
    assert some.call(os.getpid) not in (first, os.getpid())


def test_they_work_where_this_process_is(
    some: Workers, tmp_path: object, monkeypatch: pytest.MonkeyPatch
) -> None:
    some.call(folder)
    monkeypatch.chdir(str(tmp_path))
    assert some.call(folder) == os.getcwd()


def test_what_was_begun_is_not_done_again(some: Workers, tmp_path: Path) -> None:
    log = tmp_path / "log"
    some.start(1)
    assert some.begin((note, (str(log), "a")))
    assert some.each([(note, (str(log), text)) for text in "xay"]) == ["x", "a", "y"]
    assert sorted(log.read_text()) == ["a", "x", "y"]
    # What nobody asks for afterwards is in nobody's way, not even if it fails.
    assert some.begin((complain, ("x = 1\n",)))
    assert some.each([(double, (i,)) for i in range(5)]) == [0, 2, 4, 6, 8]
    # An error is told to who asks for the result.
    assert some.begin((complain, ("x = 1\n",)))
    with pytest.raises(Diagnostic):
        some.call(complain, "x = 1\n")


def test_no_more_is_begun_than_there_are_workers(some: Workers, monkeypatch: pytest.MonkeyPatch) -> None:
    assert not some.begin((double, (4,)))
    count = len(os.sched_getaffinity(0))
    some.start(count)
    begun = [some.begin((time.sleep, (0.1 * i,))) for i in range(count + 1)]
    assert begun == [True] * count + [False]
    assert some.call(double, 4) == 8
    monkeypatch.setenv("SYSMLC_WORKERS", "0")
    assert not Workers().begin((double, (4,)))


def test_kernels_of_executables_are_begun_and_made_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SYSMLC_CACHE_DIR", str(tmp_path / "cache"))
    begun, asked = [], []
    begin, each = Workers.begin, Workers.each

    def noted_begin(self: Workers, task: Task) -> bool:
        begun.append(task)
        return begin(self, task)

    def noted_each(self: Workers, tasks: Sequence[Task], *rest: Any) -> list[Any]:
        asked.extend(tasks)
        return each(self, tasks, *rest)

    monkeypatch.setattr(Workers, "begin", noted_begin)
    monkeypatch.setattr(Workers, "each", noted_each)
    script = tmp_path / "a.dml"
    script.write_text("X = read($X)\nP = X %*% read($B)\nprint(sum(exp(P - rowMaxs(P)) / rowSums(P)))\n")
    assert main([str(script), "-o", str(tmp_path / "a")]) == 0
    assert begun
    assert all(task in asked for task in begun)


def test_without_workers_this_process_compiles(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SYSMLC_WORKERS", "0")
    assert Workers().call(os.getpid) == os.getpid()


def test_a_forked_process_has_its_own() -> None:
    ours = workers().call(os.getpid)
    ours_in, theirs_out = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(theirs_out, str(workers().call(os.getpid)).encode())
        os._exit(0)
    os.waitpid(child, 0)
    assert int(os.read(ours_in, 100)) not in (ours, child, os.getpid())
    os.close(ours_in)
    os.close(theirs_out)
    assert workers().call(os.getpid) == ours


BUSY = """
import sys, time
from sysmlc.codegen.cpu.workers import workers
workers().start(2)
print("started", flush=True)
workers().each([(time.sleep, (600,)), (time.sleep, (600,))])
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGINT])
def test_busy_workers_end_with_the_process_they_belong_to(end: signal.Signals) -> None:
    command = [sys.executable, "-c", BUSY]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(0.5)
        process.send_signal(end)
        process.communicate(timeout=60)  # they hold its standard error as long as they live


def test_what_a_worker_still_has_to_do_is_done(some: Workers) -> None:
    """The thread that waits for the end of this process disturbs nobody."""
    assert some.each([(time.sleep, (0.2,)), (double, (4,)), (double, (5,))]) == [None, 8, 10]


def test_waiting_workers_find_out_the_processor(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("SYSMLC_CACHE_DIR", str(tmp_path))
    script = "from sysmlc.codegen.cpu import objects; objects.prepare()"
    subprocess.run([sys.executable, "-c", script], check=True)
    assert len([p for p in tmp_path.rglob("*") if p.is_file()]) == 1
