"""A program on a terminal of this machine, into which a story types."""

from __future__ import annotations

import fcntl
import os
import pty
import select
import signal
import struct
import subprocess
import termios
import time
from typing import Any

# A program that shows nothing for longer than this hangs.
PATIENCE_SECONDS = 60


class Typed:
    """What a person sees and does in front of a terminal."""

    def __init__(self, command: list[str], environment: dict[str, str], rows: int, columns: int):
        self.terminal, inside = pty.openpty()
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.terminal)
        self.seen = b""
        self.process = subprocess.Popen(
            command,
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={**environment, "TERM": "xterm"},
            **self.further(),
        )
        os.close(inside)

    def further(self) -> dict[str, Any]:
        """What else the program is started with."""
        return {}

    def resize(self, rows: int, columns: int, tell: bool = True) -> None:
        fcntl.ioctl(self.terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
        if tell:
            # The kernel tells the foreground group of a controlling terminal; this one is nobody's.
            self.process.send_signal(signal.SIGWINCH)

    def type(self, keys: bytes) -> None:
        os.write(self.terminal, keys)

    def await_text(self, text: bytes, patience: float = PATIENCE_SECONDS) -> bytes:
        """What was shown up to and with the text, since the last time."""
        deadline = time.monotonic() + patience
        while text not in self.seen:
            assert time.monotonic() < deadline, self.seen
            if select.select([self.terminal], [], [], 0.5)[0]:
                self.seen += self._read()
        shown, _, self.seen = self.seen.partition(text)
        return shown + text

    def _read(self) -> bytes:
        try:
            return os.read(self.terminal, 4096)
        except OSError as gone:
            raise AssertionError(f"the terminal has ended; it had shown {self.seen!r}") from gone

    def end(self) -> int:
        status = self.process.wait(PATIENCE_SECONDS)
        assert termios.tcgetattr(self.terminal) == self.before, "the terminal is as it was"
        return status

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self.terminal)
