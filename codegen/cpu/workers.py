"""Compiling in processes of its own: LLVM is large, and allows one thread a process.

So a process that runs programs stays small, and several kernels are compiled at once. Workers are started when the cache
does not have something, and end when they have had nothing to do for a while, or at once with the process they belong to. They
are asked for calls of functions, by name, with arguments that can be pickled. Where no process can be started, the
functions are called here; SYSMLC_WORKERS=0 asks for that.
"""

from __future__ import annotations

import atexit
import contextlib
import fcntl
import gc
import importlib
import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Collection, Sequence
from functools import cache
from typing import Any, BinaryIO

IDLE_SECONDS = 10.0
_PIPE = 1 << 20
"""Bytes that a pipe holds: more than most tasks."""
_START = "import sys; sys.path[:] = {path!r}; from sysmlc.codegen.cpu.workers import serve; serve()"

_TUNABLES = {"GLIBC_TUNABLES": "glibc.malloc.hugetlb=1"}
"""Large pages for what LLVM allocates: its objects lie all over the memory, and it takes 8 % less time."""

Task = tuple[Callable[..., Any], tuple[Any, ...]]
"""A function of a module, and what to call it with."""


class WorkerDiedError(RuntimeError):
    """A worker was killed, or crashed, while it compiled."""


class _Worker:
    """One process, and the pipes to and from it."""

    def __init__(self) -> None:
        if not sys.executable:
            raise OSError("this process does not know its interpreter")
        theirs_in, ours_out = os.pipe()
        ours_in, theirs_out = os.pipe()
        with contextlib.suppress(OSError):  # a task is left there, whether or not the worker is ready for it
            fcntl.fcntl(ours_out, fcntl.F_SETPIPE_SZ, _PIPE)
        self.tasks = os.fdopen(ours_out, "wb")
        self.replies = os.fdopen(ours_in, "rb")
        actions = [(os.POSIX_SPAWN_DUP2, theirs_in, 0), (os.POSIX_SPAWN_DUP2, theirs_out, 1)]
        command = [sys.executable, "-c", _START.format(path=sys.path)]
        try:
            # The process at the terminal decides what an interrupt means: this one does not see it.
            self.pid = os.posix_spawn(
                sys.executable,
                command,
                {**_TUNABLES, **os.environ},
                file_actions=actions,
                setsigmask=[signal.SIGINT],
            )
        except BaseException:
            self.close()
            raise
        finally:
            os.close(theirs_in)
            os.close(theirs_out)

    def alive(self) -> bool:
        """Whether it has not ended."""
        with contextlib.suppress(ChildProcessError):
            return os.waitpid(self.pid, os.WNOHANG)[0] == 0
        return False

    def ask(self, task: Task) -> None:
        """Send a task; `answer` gets what comes of it."""
        import pickle

        with contextlib.suppress(BrokenPipeError):
            pickle.dump((_folder(), *task), self.tasks)
            self.tasks.flush()

    def answer(self) -> tuple[bool, Any]:
        """True and the result of the task, or False and what it raised. EOFError: the worker ended without an answer."""
        import pickle

        good, value = pickle.load(self.replies)
        return bool(good), value

    def fileno(self) -> int:
        """What to wait for."""
        return self.replies.fileno()

    def bury(self) -> None:
        """After it has ended; an error when it did not end by itself."""
        self.close()
        with contextlib.suppress(ChildProcessError):
            _, status = os.waitpid(self.pid, 0)
            if os.WIFSIGNALED(status):
                name = signal.Signals(os.WTERMSIG(status)).name
                raise WorkerDiedError(f"the process that compiles was ended by {name}")

    def close(self) -> None:
        """Let it end."""
        for pipe in (self.tasks, self.replies):
            with contextlib.suppress(OSError):  # what was left to write has no reader any more
                pipe.close()


class Workers:
    """The workers of this process, as many as it may use processors."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._workers: list[_Worker] = []
        self._begun: dict[_Worker, Task] = {}
        """What workers were asked for ahead of `each`."""
        given = os.environ.get("SYSMLC_WORKERS", "")
        self._most = int(given) if given.isdecimal() else len(os.sched_getaffinity(0))

    def start(self, count: int) -> None:
        """Start workers ahead of use, if there are processors for them: they load the compiler while they wait."""
        with self._lock:
            there = set(self._begun)
            while len(there) < count and (worker := self._free(there, count)) is not None:
                there.add(worker)

    def begin(self, task: Task) -> bool:
        """Let a worker that was started and has nothing to do begin with a task that `each` will be asked for; whether there was
        one. No more are started, because this process is busy itself."""
        with self._lock:
            worker = self._free(self._begun, 0)
            if worker is not None:
                self._begun[worker] = task
                worker.ask(task)
            return worker is not None

    def call(self, function: Callable[..., Any], *arguments: Any) -> Any:
        """What a function gives, called by a worker."""
        return self.each([(function, arguments)])[0]

    def each(self, tasks: Sequence[Task], keep: Callable[[int, Any], object] | None = None) -> list[Any]:
        """What functions give, called by all workers at once; the results in the order of the tasks.

        `keep` gets the number and the result of each task that is done, while workers do the others.
        """
        results: list[Any] = [None] * len(tasks)
        with self._lock:
            try:
                failure = self._each(tasks, results, keep or (lambda number, result: None))
            except BaseException:
                self.close()  # answers may be on their way that nobody waits for
                raise
        if failure is not None:
            raise failure
        return results

    def _each(
        self, tasks: Sequence[Task], results: list[Any], keep: Callable[[int, Any], object]
    ) -> Exception | None:
        waiting = list(reversed(range(len(tasks))))
        done: list[int] = []
        busy: dict[_Worker, int | None] = {}
        """The number of the task that a worker does, None where nobody asks for it any more."""
        for worker, task in self._begun.items():
            busy[worker] = next((number for number in waiting if tasks[number] == task), None)
        self._begun.clear()
        waiting = [number for number in waiting if number not in busy.values()]
        failure: Exception | None = None
        while (waiting and not failure) or busy:
            worker = self._free(busy, 1 + len(tasks) // 4) if waiting and not failure else None
            if worker is not None:
                busy[worker] = number = waiting.pop()
                worker.ask(tasks[number])
                continue
            for number in done:
                keep(number, results[number])
            done = []
            here = [] if busy else [waiting.pop()]
            for worker in _answering(busy):
                asked = busy.pop(worker)
                try:
                    good, answer = worker.answer()
                except EOFError:
                    self._workers.remove(worker)
                    worker.bury()
                    here += [] if asked is None else [asked]
                    continue
                if asked is not None and good:
                    results[asked] = answer
                    done.append(asked)
                elif asked is not None:
                    failure = answer
            for number in here:
                function, arguments = tasks[number]
                results[number] = function(*arguments)
                done.append(number)
        for number in done:
            keep(number, results[number])
        return failure

    def _free(self, busy: Collection[_Worker], worth: int) -> _Worker | None:
        """A worker with nothing to do, perhaps a new one, while there are fewer than are worth their start."""
        for worker in list(self._workers):
            if worker not in busy:
                if worker.alive():
                    return worker
                worker.close()
                self._workers.remove(worker)
        if len(self._workers) < min(self._most, worth):
            try:
                self._workers.append(_Worker())
            except OSError:
                self._most = len(self._workers)
            else:
                return self._workers[-1]
        return None

    def close(self) -> None:
        """Let all workers end."""
        for worker in self._workers:
            worker.close()
        self._workers.clear()
        self._begun.clear()


@cache
def workers() -> Workers:
    """The workers of this process; a forked process has its own."""
    made = Workers()
    os.register_at_fork(after_in_child=_forget)
    atexit.register(made.close)
    return made


def _forget() -> None:
    workers().close()
    workers.cache_clear()


def _answering(busy: Collection[_Worker]) -> list[_Worker]:
    """Those with something to read; waits for one, if there are any."""
    poll = select.poll()
    for worker in busy:
        poll.register(worker, select.POLLIN)
    ready = {number for number, _ in poll.poll()} if busy else set()
    return [worker for worker in busy if worker.fileno() in ready]


def _folder() -> str:
    try:
        return os.getcwd()
    except OSError:  # it is gone; names of files will be absolute
        return "/"


# -- in the worker -----------------------------------------------------------------------------------------------------


def serve() -> None:
    """Do tasks until nobody can send any more, or has sent none for a while."""
    import pickle

    tasks, replies = os.fdopen(os.dup(0), "rb"), os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what is printed must not get between the answers
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.environ["SYSMLC_WORKERS"] = "0"
    threading.Thread(target=_end_with, args=(tasks.fileno(),), daemon=True).start()
    gc.disable()  # IR is full of cycles: collecting while it grows takes longer than compiling
    if not _readable(tasks, 0):
        _load_compiler()
    with contextlib.suppress(EOFError, BrokenPipeError):
        while _readable(tasks, IDLE_SECONDS):
            folder, function, arguments = pickle.load(tasks)
            with contextlib.suppress(OSError):
                os.chdir(folder)
            pickle.dump(_outcome(function, arguments), replies)
            replies.flush()
            if not _readable(tasks, 0):
                _load_compiler()
            if not _readable(tasks, 0.5):
                gc.collect()
    os._exit(0)


def _end_with(tasks: int) -> None:
    """End this process when nobody is left who could send a task, even if it is busy: nobody waits for the answer then."""
    poll = select.poll()
    poll.register(tasks, 0)
    poll.poll()
    os._exit(0)


def _readable(file: BinaryIO, seconds: float) -> bool:
    return bool(select.select([file], [], [], seconds)[0])


def _outcome(function: Callable[..., Any], arguments: tuple[Any, ...]) -> tuple[bool, Any]:
    import pickle

    try:
        return True, function(*arguments)
    except Exception as error:
        if os.environ.get("SYSMLC_DEBUG"):
            import traceback

            error.add_note(traceback.format_exc())
        try:
            pickle.loads(pickle.dumps(error))
        except Exception:
            return False, RuntimeError(f"{type(error).__name__}: {error}")
        return False, error


def _load_compiler() -> None:
    """Bring into memory what every task on kernels needs; where there is none left, a task will say so."""
    with contextlib.suppress(OSError, MemoryError):
        importlib.import_module("sysmlc.codegen.cpu.objects").prepare()
