"""stdout and stderr of a kernel on a wire, and the pipes behind descriptors 1 and 2.

Text is collected and leaves as one message when there is much of it, when a line ends after a quiet
moment, when somebody flushes, or a moment later by the attendant, whichever is first: a single
`print` is one message at once, a loop of them a few. A writer waits while the agent does not read,
so memory stays flat and nothing is dropped. Child processes write to a pipe, which the attendant
copies in here while a cell runs, and the kernel itself at its end, so that nothing comes late. A
`print` of several values is several writes; nothing of a child comes in between.
"""

from __future__ import annotations

import codecs
import contextvars
import os
import threading
import time
from typing import Any

from ipykernel.iostream import OutStream

from soulbox_kernel.packing import stream_content
from soulbox_kernel.wire import IOPUB, Wire, packed

#: Characters in one message. A print of a usual size is one message.
PIECE = 256 << 10
#: Seconds that text waits for more of it.
SOON = 0.05
#: Bytes of one read from child processes; what a pipe holds.
PIPE_READ = 64 << 10
#: Seconds that the end of a cell spends on the output of children that go on writing.
DRAIN_WITHIN = 0.2

DELIMITER = b"<IDS|MSG>"


class WireStream(OutStream):
    """One of the two. A subclass for its parent headers and hooks; it has none of its threads."""

    _isatty = False

    def __init__(self, session: Any, name: str, wire: Wire) -> None:
        # Not the parent's: it would start threads and open sockets.
        self.session = session
        self.name = name
        self.topic = b"stream." + name.encode()
        self.echo = None
        self.attendant: Any = None
        self._wire = wire
        self._parent_header = contextvars.ContextVar("parent_header")
        self._parent_header.set({})
        self._parent_header_global: dict[str, Any] = {}
        self._local = threading.local()
        self._lock = threading.RLock()
        self._open = True
        #: Set in a child that the user's code has forked.
        self.foreign = False
        self._parts: list[str] = []
        self._length = 0
        self._owner: dict[str, Any] = {}
        self._packed_owner = (self._owner, b"{}")
        self._sent_at = 0.0
        self._due = False
        #: When the last write left a line unfinished, or 0 when it left none.
        self._unfinished_at = 0.0

    def fileno(self) -> int:
        return 1 if self.name == "stdout" else 2

    @property
    def closed(self) -> bool:
        return not self._open

    def close(self) -> None:
        self.flush()
        self._open = False

    def write(self, string: str) -> int:
        if not isinstance(string, str):
            raise TypeError(f"write() argument must be str, not {type(string).__name__}")
        if not self._open:
            raise ValueError("I/O operation on closed file")
        if self.foreign:
            return self._write_to_pipe(string)
        if len(string) > PIECE:
            for start in range(0, len(string), PIECE):
                self._collect(string[start : start + PIECE])
        else:
            self._collect(string)
        self._unfinished_at = 0.0 if string[-1:] == "\n" else time.monotonic()
        return len(string)

    def adopt(self, string: str) -> None:
        """Takes what a child has written."""
        self._collect(string)

    def flush(self) -> None:
        """Waits until what was written is sent; but the attendant never waits."""
        if not self._parts or self.foreign:
            return
        if self._is_attendant():
            self.flush_soon()
        else:
            self._wire.send_taken(self._take)

    def flush_soon(self) -> None:
        """The attendant's flush: what cannot be sent without waiting is tried again later."""
        self._due = False
        if self._parts and not self._wire.try_taken(self._take):
            self._arm()

    @property
    def full(self) -> bool:
        """Whether the attendant should add nothing more."""
        return self._length >= PIECE

    @property
    def within_line(self) -> bool:
        """Whether a line is just being written."""
        return time.monotonic() - self._unfinished_at < SOON

    def _flush(self) -> None:
        self.flush()

    def _collect(self, string: str) -> None:
        parent = self.parent_header
        # Text of another cell, from a thread that outlived it, is a message of its own.
        while not self._appended(string, parent):
            self.flush()
        if self._length >= PIECE:
            self.flush()
        elif not self._due:
            if string[-1:] == "\n" and time.monotonic() - self._sent_at > SOON:
                self.flush()
            else:
                self._arm()

    def _appended(self, string: str, parent: dict[str, Any]) -> bool:
        with self._lock:
            if parent is not self._owner:
                if self._parts and not self._is_attendant():
                    return False
                self._owner = parent
            self._parts.append(string)
            self._length += len(string)
            return True

    def _is_attendant(self) -> bool:
        return self.attendant is not None and self.attendant.is_this_thread()

    def _arm(self) -> None:
        if self.attendant is not None:
            self._due = True
            self.attendant.soon(SOON, self.flush_soon)

    def _take(self) -> bytes | None:
        """The collected text as one frame; it is the caller's from here on."""
        with self._lock:
            if not self._parts:
                return None
            # A handler of the user's may print in between; that stays for the next message.
            count = len(self._parts)
            text = "".join(self._parts[:count])
            data = self._frame(text)
            del self._parts[:count]
            self._length = max(0, self._length - len(text))
            self._sent_at = time.monotonic()
            return data

    def _frame(self, text: str) -> bytes | None:
        session = self.session
        if self._hooks:
            message = session.msg("stream", {"name": self.name, "text": text}, parent=self._owner)
            for hook in self._hooks:
                message = hook(message)
                if message is None:
                    return None
            return packed(IOPUB, session.serialize(message, self.topic))
        header = session.pack(session.msg_header("stream"))
        if self._packed_owner[0] is not self._owner:
            self._packed_owner = (self._owner, session.pack(self._owner))
        content = stream_content(self.name, text)
        signature = b""
        parts = (self.topic, DELIMITER, signature, header, self._packed_owner[1], b"{}", content)
        return packed(IOPUB, parts)

    def _write_to_pipe(self, string: str) -> int:
        # A child of the user's code: its output takes the way of every child's.
        data = memoryview(string.encode("utf-8", "replace"))
        while data:
            data = data[os.write(self.fileno(), data) :]
        return len(string)

    def drain(self) -> None:
        """Copies what child processes have written so far."""
        if self.pipe is not None:
            self.pipe.drain()

    #: What descriptor 1 or 2 leads to.
    pipe: Pipe | None = None


class Pipe:
    """The reading end of what children of the kernel inherit as descriptor 1 or 2."""

    def __init__(self, stream: WireStream) -> None:
        self.reader, writer = os.pipe()
        os.dup2(writer, stream.fileno(), inheritable=True)
        os.close(writer)
        os.set_blocking(self.reader, False)
        self._stream = stream
        self._decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        self._lock = threading.Lock()
        self._patient_until = 0.0
        stream.pipe = self

    def copy(self, wait: bool = True) -> bool:
        """Copies one read's worth; whether there may be more. The attendant does not wait."""
        if not self._lock.acquire(blocking=wait):
            return False
        try:
            data = os.read(self.reader, PIPE_READ)
            text = self._decoder.decode(data)
            if text:
                self._stream.adopt(text)
            return bool(data)
        except (BlockingIOError, InterruptedError):
            return False
        finally:
            self._lock.release()

    def is_held_back(self) -> bool:
        """Whether the attendant should leave it to fill up for now. The end of a line is waited
        for as well, but no longer than a line takes."""
        if self._stream.full or self._lock.locked():
            return True
        now = time.monotonic()
        if self._stream.within_line and self._patient_until == 0.0:
            self._patient_until = now + SOON
        if now < self._patient_until and self._stream.within_line:
            return True
        self._patient_until = 0.0
        return False

    def drain(self) -> None:
        until = time.monotonic() + DRAIN_WITHIN
        while self.copy() and time.monotonic() < until:
            pass
