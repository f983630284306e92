"""Jupyter messages on a plain Unix socket: what a forked kernel speaks instead of ZeroMQ.

A frame is `u8 channel, u16 parts, parts x u32 length, the parts`, in little endian; the parts are
Jupyter's multipart message with an empty signature. There is no thread: whoever sends writes to the
socket, and waits while the agent does not read. An exception can strike a sender at any point (an
interrupt, a user's SIGALRM), so the message on its way and how much of it has left are kept here
and not in the sender's locals: the next sender finishes it, and the stream never loses its frames.
"""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from typing import Any

#: Numbers of the channels, the same on the agent's side.
SHELL, IOPUB, CONTROL, STDIN = range(4)

HEAD = struct.Struct("<BH")
#: Bytes of one read. The agent's requests are small; a widget's state is not.
READ = 256 << 10
#: Milliseconds of one wait for room; a wait is repeated, this only bounds a missed wake-up.
WAIT = 1000
#: Milliseconds for the rest of a message that has begun, and for one that is only on its way.
REST = 1000
SETTLE = 2
#: Whole messages of the attendant that may wait for the socket before it takes on no more.
MOST_ASIDE = 256


def packed(channel: int, parts: Sequence[bytes]) -> bytes:
    """One frame."""
    lengths = struct.pack(f"<{len(parts)}I", *map(len, parts))
    return b"".join((HEAD.pack(channel, len(parts)), lengths, *parts))


class Frames:
    """Takes bytes as they come and gives whole messages."""

    def __init__(self) -> None:
        self._rest = bytearray()

    @property
    def partial(self) -> bool:
        """Whether a message has begun and not ended."""
        return bool(self._rest)

    def feed(self, data: bytes) -> Iterator[tuple[int, list[bytes]]]:
        rest = self._rest
        rest += data
        while len(rest) >= HEAD.size:
            channel, count = HEAD.unpack_from(rest)
            at = HEAD.size + 4 * count
            if len(rest) < at:
                return
            lengths = struct.unpack_from(f"<{count}I", rest, HEAD.size)
            if len(rest) < at + sum(lengths):
                return
            parts = []
            for length in lengths:
                parts.append(bytes(rest[at : at + length]))
                at += length
            del rest[:at]
            yield channel, parts


class Wire:
    """One socket to the agent. Any thread may send; only one reads."""

    def __init__(
        self,
        connection: socket.socket,
        held: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext,
    ) -> None:
        """`held` keeps interrupts away for the few lines in which a message changes hands."""
        connection.setblocking(False)
        self._socket = connection
        self._held = held
        self._frames = Frames()
        # Taken again by a signal handler that prints while its own thread is sending.
        self._lock = threading.RLock()
        # The message on its way, and how many bytes of it each call has sent.
        self._out: tuple[memoryview, list[int]] = (memoryview(b""), [])
        self._aside: deque[bytes] = deque()
        self.closed = False

    def fileno(self) -> int:
        return self._socket.fileno()

    def close(self) -> None:
        """For a child that the user's code has forked: nothing it says goes out here."""
        self.closed = True
        self._lock = threading.RLock()
        with contextlib.suppress(OSError):
            self._socket.close()

    # Receiving

    def receive(self) -> list[tuple[int, list[bytes]]]:
        """The messages that have arrived. Raises `EOFError` when the agent has hung up."""
        try:
            data = self._socket.recv(READ)
        except (BlockingIOError, InterruptedError):
            return []
        except OSError as gone:
            raise EOFError from gone
        if not data:
            raise EOFError
        return list(self._frames.feed(data))

    def receive_waiting(self) -> list[tuple[int, list[bytes]]]:
        """Everything that the agent has sent so far, or has begun to send."""
        more = select.poll()
        more.register(self._socket, select.POLLIN)
        messages = self.receive()
        while more.poll(REST if self._frames.partial else SETTLE):
            messages += self.receive()
        return messages

    # Sending

    def send(self, channel: int, parts: Sequence[bytes]) -> None:
        """Sends one message, and waits while there is no room for it."""
        data = packed(channel, parts)
        self.send_taken(lambda: data)

    def send_taken(self, take: Callable[[], bytes | None]) -> None:
        """Sends what `take` gives once it is its turn; from then on the message is the wire's."""
        with self._lock:
            if not self.closed:
                self._finish()
                self._begin(take)
                self._finish()

    def try_taken(self, take: Callable[[], bytes | None]) -> bool:
        """The same for the attendant: without waiting. `False` when nothing was taken."""
        if not self._lock.acquire(blocking=False):
            return False
        try:
            if self.closed or not self._push_all():
                return self.closed
            self._begin(take)
            self._push_all()
            return True
        finally:
            self._lock.release()

    def finish(self) -> None:
        """Waits until everything has left."""
        with self._lock:
            if not self.closed:
                self._finish()

    def _begin(self, take: Callable[[], bytes | None]) -> None:
        with self._held():
            data = take()
            if data is not None:
                self._out = (memoryview(data), [])

    def offer(self, data: bytes) -> bool:
        """A frame of the attendant, to leave when it can. `False` asks for a `nudge` soon."""
        self._aside.append(data)
        return self.nudge()

    def nudge(self) -> bool:
        """Sends what can be sent at once; whether nothing is left aside."""
        if not self._aside and len(self._out[0]) == sum(self._out[1]):
            return True
        # A sender that has the lock takes along what lies aside.
        if not self._lock.acquire(blocking=False):
            return False
        try:
            return self.closed or self._push_all()
        finally:
            self._lock.release()

    @property
    def crowded(self) -> bool:
        """Whether the attendant should take on nothing more."""
        return len(self._aside) >= MOST_ASIDE

    def _finish(self) -> None:
        """Sends everything that was begun or lies aside, and waits where there is no room."""
        while not self._push_all():
            room = select.poll()
            room.register(self._socket, select.POLLOUT)
            room.poll(WAIT)

    def _push_all(self) -> bool:
        while self._push():
            if not self._aside:
                return True
            self._out = (memoryview(self._aside.popleft()), [])
        return False

    def _push(self) -> bool:
        """Sends as much of the message on its way as there is room for; whether that is all."""
        while True:
            view, counts = self._out
            done = sum(counts)
            if done == len(view):
                return True
            try:
                # Between the system call and the note of its result no other code can run.
                counts.extend(map(self._socket.send, (view[done:],)))
            except (BlockingIOError, InterruptedError):
                return False
            except OSError:
                # The agent is gone; this process is about to learn that from its reading side.
                self._out = (memoryview(b""), [])
                return True


class Channel:
    """One channel of a wire, as much of a ZeroMQ socket as ipykernel and `Session` ask for."""

    def __init__(self, wire: Wire, number: int, attendant: Any = None) -> None:
        self.wire = wire
        self.number = number
        self.attendant = attendant

    def send_multipart(self, parts: Sequence[Any], *_: Any, **__: Any) -> None:
        pieces = [part if isinstance(part, bytes) else bytes(part) for part in parts]
        if self.attendant is not None and self.attendant.is_this_thread():
            self.attendant.offer(packed(self.number, pieces))
        else:
            self.wire.send(self.number, pieces)

    def flush(self, *_: Any, **__: Any) -> None:
        """Nothing waits here."""
