"""The one thread beside a wire kernel's main thread: what must go on while a cell runs.

It answers the control channel, takes the answers to `input()`, copies what child processes print,
and sends text that nobody flushes. It never waits for the agent to read broadcasts: an interrupt
must be heard while the cell itself waits for that. Stock ipykernel has eleven threads for the same.
"""

from __future__ import annotations

import asyncio
import os
import queue
import selectors
import threading
from collections.abc import Callable
from typing import Any

import zmq
from ipykernel.control import CONTROL_THREAD_NAME

from soulbox_kernel.wire import CONTROL, STDIN, Wire
from soulbox_kernel.wirestreams import Pipe

#: Seconds until the attendant tries again to send or to copy what there was no room for.
AGAIN = 0.01
#: Answers to `input()` that wait for it. One is asked for at a time.
MOST_ANSWERS = 16


class Attendant(threading.Thread):
    """Serves the second wire of a kernel and everything that is timed."""

    def __init__(self, kernel: Any, cells: Wire, control: Wire) -> None:
        # By this name ipykernel knows that a message's parent is a control message.
        super().__init__(name=CONTROL_THREAD_NAME, daemon=True)
        self.loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        self.answers: queue.SimpleQueue[list[bytes]] = queue.SimpleQueue()
        self._kernel = kernel
        self._cells = cells
        self._control = control
        self._pipes: list[Pipe] = []
        self._nudging = False

    def watch(self, pipe: Pipe) -> None:
        """Copies from this pipe as well. Called before the start."""
        self._pipes.append(pipe)

    def is_this_thread(self) -> bool:
        return threading.get_ident() == self.ident

    def soon(self, seconds: float, call: Callable[[], Any]) -> None:
        """Calls something in this thread after a while. From any thread."""
        if self.is_this_thread():
            self.loop.call_later(seconds, call)
        else:
            self.loop.call_soon_threadsafe(self.loop.call_later, seconds, call)

    def offer(self, data: bytes) -> None:
        """Broadcasts a frame without waiting. From this thread."""
        if not self._cells.offer(data):
            self._nudge_later()

    def run(self) -> None:
        asyncio.set_event_loop(self.loop)
        self._kernel._control_lock = asyncio.Lock()
        self.loop.add_reader(self._control.fileno(), self._receive)
        for pipe in self._pipes:
            self.loop.add_reader(pipe.reader, self._copy, pipe)
        self.loop.run_forever()

    def _receive(self) -> None:
        try:
            messages = self._control.receive()
        except EOFError:
            # The agent has let go of this kernel, and a cell may run for ever.
            os._exit(0)
        for channel, parts in messages:
            if channel == CONTROL:
                frames = [zmq.Frame(part) for part in parts]
                self.loop.create_task(self._kernel.dispatch_control(frames))
            elif channel == STDIN and self.answers.qsize() < MOST_ANSWERS:
                self.answers.put(parts)
        if self._cells.crowded:
            self._pause(self._control.fileno(), self._receive)

    def _copy(self, pipe: Pipe) -> None:
        if pipe.is_held_back() or not pipe.copy(wait=False):
            self._pause(pipe.reader, self._copy, pipe)

    def _pause(self, descriptor: int, call: Callable[..., None], *arguments: Any) -> None:
        """Looks at a descriptor again a little later."""
        self.loop.remove_reader(descriptor)
        self.loop.call_later(AGAIN, self.loop.add_reader, descriptor, call, *arguments)

    def _nudge_later(self) -> None:
        if not self._nudging:
            self._nudging = True
            self.loop.call_later(AGAIN, self._nudge)

    def _nudge(self) -> None:
        self._nudging = False
        if not self._cells.nudge():
            self._nudge_later()
