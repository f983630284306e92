"""stdout and stderr that hold little: a cell that prints faster than it is read waits.

ipykernel's stream collects text without bound until its thread has sent it, and makes one message
of a text of any size. Here text leaves in pieces, and the writer waits for the thread once a piece
is full, so 1 GB of output costs no more memory than 1 MB. Nothing is cut or dropped. What child
processes write to the file descriptors comes this way as well, decoded across the borders of reads.
"""

from __future__ import annotations

import array
import codecs
import fcntl
import os
import select
import sys
import termios
import threading
import time

from ipykernel.control import ControlThread
from ipykernel.iostream import OutStream

#: Characters in one message, and at most that many unsent. A print of a usual size is one message.
PIECE = 256 << 10
#: Bytes of one read from child processes; what a pipe holds.
PIPE_READ = 64 << 10
#: Seconds that the end of a cell waits for the output of its children; most have ended by then.
DRAIN_WITHIN = 0.2
DRAIN_STEP = 0.001


class BoundedStream(OutStream):
    """One of the two output streams of a kernel."""

    #: Seconds until text is sent that nobody flushes. Readers watch programs at work.
    flush_interval = 0.05
    #: Seconds that a flush waits for the reader. The agent always reads; it may be paused.
    flush_timeout = 3600

    _unsent = 0
    _copying = False

    def write(self, string: str) -> int | None:
        if not isinstance(string, str) or len(string) <= PIECE:
            return self._write_piece(string)
        for start in range(0, len(string), PIECE):
            self._write_piece(string[start : start + PIECE])
        return len(string)

    def _write_piece(self, piece: str) -> int | None:
        written = super().write(piece)
        # A race between threads may put one flush too many or too few, and costs nothing.
        self._unsent += len(piece)
        if self._unsent >= PIECE:
            self.flush()
        return written

    def flush(self) -> None:
        """Waits until what was written is sent; but the control thread never waits.

        ipykernel flushes after each control message. While a cell waits for its reader that would
        hold back the reply to an interrupt, which is what the reader may be waiting for.
        """
        if not isinstance(threading.current_thread(), ControlThread):
            super().flush()

    def _flush(self) -> None:
        self._unsent = 0
        super()._flush()

    def drain(self) -> None:
        """Waits until what child processes have written is in this stream, if that is soon."""
        until = time.monotonic() + DRAIN_WITHIN
        while self._fid is not None and (self._copying or _unread(self._fid)):
            if time.monotonic() > until:
                return
            time.sleep(DRAIN_STEP)

    def _watch_pipe_fd(self) -> None:
        """Copies what arrives at the file descriptor into this stream, in a thread of its own."""
        if self._fid is None:
            return
        decoder = codecs.getincrementaldecoder("utf-8")(errors="replace")
        try:
            while self._should_watch:
                # At every moment the data is in the pipe, or `_copying`, or in the stream.
                select.select([self._fid], [], [])
                self._copying = True
                data = os.read(self._fid, PIPE_READ)
                if not data or not self._should_watch:
                    break
                text = decoder.decode(data)
                if text:
                    self.write(text)
                self._copying = False
        except Exception:
            self._exc = sys.exc_info()
        finally:
            self._copying = False


def _unread(descriptor: int) -> int:
    """The number of bytes that a pipe holds."""
    buffer = array.array("i", [0])
    fcntl.ioctl(descriptor, termios.FIONREAD, buffer)
    return buffer[0]
