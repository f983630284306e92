"""The command line in a terminal of its own, which a test types into and looks at."""

from __future__ import annotations

import fcntl
import termios
from pathlib import Path

from .commandline import environment
from .server import BINARY, Server
from .typed import Typed


class Terminal(Typed):
    """A command of `soulbox` on a terminal."""

    def __init__(self, server: Server, *words: str, rows: int = 30, columns: int = 100, **more: str):
        super().__init__([str(BINARY), *words], {**environment(server), **more}, rows, columns)


class OwnTerminal(Terminal):
    """The same, where Ctrl-C of a terminal that is not raw is a signal to the command."""

    def __init__(self, server: Server, *words: str, directory: Path, columns: int = 100):
        self.directory = directory
        super().__init__(server, *words, columns=columns, XDG_STATE_HOME=str(directory / "state"))

    def further(self) -> dict[str, object]:
        return {"preexec_fn": self._take, "cwd": self.directory}

    @staticmethod
    def _take() -> None:
        fcntl.ioctl(0, termios.TIOCSCTTY, 0)
