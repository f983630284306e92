"""When a SIGINT may strike.

ipykernel lets it raise anywhere in a message handler, so one that arrives in the instant before or
after the cell kills the reply instead of the cell, and one that arrives while a cell with `await`
computes (rather than waits) is never seen. Clients interrupt by hanging up, which makes both
common. Here a SIGINT raises inside the cell only; before it, it is remembered; after it, ignored.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any


class Interrupts:
    """The SIGINT handler of one kernel. Threads other than the main one are left alone."""

    def __init__(self) -> None:
        self._pending = False

    def expect(self) -> None:
        """An execution was received and its cell starts soon: remember what arrives till then."""
        self._pending = False
        if _in_main_thread():
            signal.signal(signal.SIGINT, self._remember)

    def _remember(self, _signal: int, _frame: FrameType | None) -> None:
        self._pending = True

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Around the cell: raises `KeyboardInterrupt` in it, at once if one was remembered."""
        if not _in_main_thread():
            yield
            return
        signal.signal(signal.SIGINT, signal.default_int_handler)
        try:
            if self._pending:
                raise KeyboardInterrupt
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._pending = False


@contextmanager
def cancelling(task: asyncio.Future[Any]) -> Iterator[None]:
    """Around a cell that awaits: SIGINT raises where the cell computes and cancels where it waits.

    Raising is safe while the task itself is on the stack, since IPython catches it around the
    user's code. Outside of it the exception would hit the event loop and end the kernel.
    """
    loop = asyncio.get_running_loop()

    def handle(_signal: int, frame: FrameType | None) -> None:
        if asyncio.current_task(loop) is task:
            signal.default_int_handler(_signal, frame)
        else:
            loop.call_soon_threadsafe(task.cancel)

    if not _in_main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handle)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
