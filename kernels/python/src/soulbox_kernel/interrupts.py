"""When a SIGINT may strike, and that it does.

ipykernel lets it raise anywhere in a message handler, so one that arrives in the instant before or
after the cell kills the reply instead of the cell, and one that arrives while a cell with `await`
computes (rather than waits) is never seen. Clients interrupt by hanging up, which makes both
common. Here a SIGINT raises inside the cell only; before it, it is remembered; after it, ignored.
Python itself loses one that arrives just before a blocking call (the call blocks all the same), so
an interrupt that was asked for by message is repeated until the cell has taken it, and not longer:
the cell's own clean-up is not struck again.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Any

#: Seconds between two tries to interrupt the same cell. Far above what a handler needs to start.
REPEAT_AFTER = 0.1
#: Tries. A cell that holds the interpreter for longer sees the signal when it lets go of it.
REPEATS = 50


class Interrupts:
    """The SIGINT handler of one kernel. Threads other than the main one are left alone."""

    def __init__(self) -> None:
        self._pending = False
        self._taken = False
        # Counts cells, so that a repeated interrupt never strikes the next one; None between cells.
        self._cell: int | None = None
        self._cells = 0
        self._held = Held(self)

    def expect(self) -> None:
        """An execution was received and its cell starts soon: remember what arrives till then."""
        self._pending = False
        if _in_main_thread():
            signal.signal(signal.SIGINT, self._remember)

    @contextmanager
    def allowed(self) -> Iterator[None]:
        """Around the cell: raises `KeyboardInterrupt` in it, at once if one was remembered."""
        if not _in_main_thread():
            yield
            return
        self._taken = False
        # A user's own handler may have thrown the last cell out of a held region.
        self._held.depth, self._held.late = 0, False
        self._cells += 1
        self._cell = self._cells
        signal.signal(signal.SIGINT, self._raise)
        try:
            if self._pending:
                self._raise(signal.SIGINT, None)
            yield
        finally:
            signal.signal(signal.SIGINT, signal.SIG_IGN)
            self._pending = False
            self._cell = None

    @contextmanager
    def cancelling(self, task: asyncio.Future[Any]) -> Iterator[None]:
        """Around a cell that awaits: raises where the cell computes, cancels where it waits.

        Raising is safe while the task itself is on the stack, since IPython catches it around the
        user's code. Outside of it the exception would hit the event loop and end the kernel.
        """
        if not _in_main_thread():
            yield
            return
        loop = asyncio.get_running_loop()

        def strike(number: int, frame: FrameType | None) -> None:
            if asyncio.current_task(loop) is task:
                self._raise(number, frame)
            self._taken = True
            loop.call_soon_threadsafe(task.cancel)

        before = signal.signal(signal.SIGINT, strike)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)

    @property
    def running(self) -> bool:
        """Whether a cell runs, so that an interrupt may strike."""
        return self._cell is not None

    def ask(self) -> Coroutine[Any, Any, None]:
        """Call this before the signal is sent; what it returns then repeats it until it is taken.

        For the control thread.
        """
        self._taken = False
        return self._insist(self._cell)

    async def _insist(self, cell: int | None) -> None:
        for _ in range(REPEATS):
            await asyncio.sleep(REPEAT_AFTER)
            if self._taken or self._cell is None or self._cell != cell:
                return
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)

    def _remember(self, _number: int, _frame: FrameType | None) -> None:
        self._pending = True

    def held(self) -> Held:
        """Around a few lines that must not be torn apart: an interrupt strikes after them."""
        return self._held

    def _raise(self, number: int, frame: FrameType | None) -> None:
        if self._held.depth:
            self._held.late = True
            return
        self._taken = True
        signal.default_int_handler(number, frame)


class Held:
    """A context manager that is entered often, by the main thread; elsewhere it does nothing."""

    def __init__(self, interrupts: Interrupts) -> None:
        self._interrupts = interrupts
        self.depth = 0
        self.late = False

    def __enter__(self) -> None:
        if _in_main_thread():
            self.depth += 1

    def __exit__(self, *_: object) -> None:
        if not _in_main_thread():
            return
        self.depth -= 1
        if self.late and not self.depth:
            self.late = False
            if self._interrupts.running:
                self._interrupts._raise(signal.SIGINT, None)


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()
