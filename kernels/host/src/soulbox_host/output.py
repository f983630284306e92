"""A pipe's bytes as texts of `stream` messages: characters are never torn, and nothing waits.

A read takes what is there, up to one message. Bytes that are no UTF-8 become replacement
characters; the beginning of a character waits for its rest, or for the end of the cell.
"""

from __future__ import annotations

import codecs
import os

#: Bytes of one read, and so of one message: what a pipe holds.
CHUNK_BYTES = 64 << 10


class Output:
    """One of the two outputs of a process."""

    def __init__(self, name: str, descriptor: int) -> None:
        self.name = name
        self.descriptor = descriptor
        self.ended = False
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")

    def read(self) -> str | None:
        """The next text; None when there is nothing to read now."""
        if self.ended:
            return None
        try:
            data = os.read(self.descriptor, CHUNK_BYTES)
        except BlockingIOError:
            return None
        self.ended = not data
        return self._decoder.decode(data, final=self.ended)

    def rest(self) -> str:
        """What of a character was written and never finished."""
        text = self._decoder.decode(b"", final=True)
        self._decoder.reset()
        return text
