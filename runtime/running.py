"""Running programs from Python: where their output goes, and how an interrupt reaches them."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from typing import Any, TypeVar

from sysmlc.runtime.bridge import Context

T = TypeVar("T")
STACK_SIZE = 32 << 20
AGAIN = 0.05
"""Seconds after which a program that was interrupted is told so once more."""


def print_to_python(context: Context) -> None:
    """Programs print to the process's output themselves unless `sys.stdout` is something else."""
    if sys.stdout is None:  # it is closed, and printing is an error of the script
        return
    try:
        direct = sys.stdout.fileno() == 1
        sys.stdout.flush()
    except (OSError, ValueError, AttributeError):
        direct = False
    if not direct:
        context.print_to(sys.stdout.write)


def interruptible(start: Callable[[], T], context: Context) -> T:
    """Run on another thread while this one, the main thread, waits for signals."""
    if threading.current_thread() is not threading.main_thread():
        return start()
    outcome: list[Any] = [None, None]
    # Not Thread.join(): interrupted, that of Python 3.11 takes a running thread for stopped.
    finished = threading.Event()

    def body() -> None:
        try:
            outcome[0] = start()
        except BaseException as error:
            outcome[1] = error
        finally:
            finished.set()

    before = threading.stack_size(STACK_SIZE)
    try:
        thread = threading.Thread(target=body, name="sysmlc", daemon=True)
        thread.start()
    finally:
        threading.stack_size(before)
    interrupted = ended = False
    while not ended:
        try:
            if interrupted:  # again and again: a program that is only about to start forgets it
                context.interrupt()
            ended = finished.wait(AGAIN if interrupted else None)
        except KeyboardInterrupt:
            interrupted = True
    if interrupted:
        raise KeyboardInterrupt
    if outcome[1] is not None:
        raise outcome[1]
    result: T = outcome[0]
    return result
