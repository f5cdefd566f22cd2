"""How the command `sysmlc` begins: as long as it loads, an interrupt ends it at once, and shows nobody what was being loaded.

So this module loads next to nothing itself: `_signal` is what `signal` wraps in enumerations.
"""

from __future__ import annotations

import _signal as signal
import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import FrameType

INTERRUPTED = 130
"""The exit status of what an interrupt ended, as shells have it."""


def sysmlc() -> int:
    """The command as it is installed."""
    leave_silently()
    from sysmlc.tools.sysmlc import main

    return main()


def leave_silently() -> None:
    """Until `answer_interrupts`: there is nothing yet to stop, to tell, or to clean up. Who ignores interrupts keeps doing so."""
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
        signal.signal(signal.SIGINT, _leave)


def answer_interrupts() -> None:
    """From now on an interrupt is a KeyboardInterrupt."""
    if signal.getsignal(signal.SIGINT) is _leave:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def _leave(number: int, frame: FrameType | None) -> None:
    os._exit(INTERRUPTED)
