"""The command line in a terminal of its own, which a test types into and looks at."""

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
from collections.abc import Callable
from pathlib import Path

from .commandline import PATIENCE_SECONDS, environment
from .server import BINARY, Server


class Terminal:
    """A command of `soulbox` on a terminal."""

    def __init__(self, server: Server, *words: str, rows: int = 30, columns: int = 100, **more: str):
        self.terminal, inside = pty.openpty()
        self.resize(rows, columns, tell=False)
        self.before = termios.tcgetattr(self.terminal)
        self.seen = b""
        self.process = subprocess.Popen(
            [str(BINARY), *words],
            stdin=inside,
            stdout=inside,
            stderr=inside,
            start_new_session=True,
            env={**environment(server), "TERM": "xterm", **more},
            **self.further(),
        )
        os.close(inside)

    def further(self) -> dict[str, object]:
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


class OwnTerminal(Terminal):
    """The same, where Ctrl-C of a terminal that is not raw is a signal to the command."""

    def __init__(self, server: Server, *words: str, directory: Path, columns: int = 100):
        self.directory = directory
        super().__init__(server, *words, columns=columns, XDG_STATE_HOME=str(directory / "state"))

    def further(self) -> dict[str, object]:
        take: Callable[[], None] = lambda: fcntl.ioctl(0, termios.TIOCSCTTY, 0)  # noqa: E731
        return {"preexec_fn": take, "cwd": self.directory}
