"""What the host asks of a language: a process, how it is given a cell, and what it says.

A runner's process has its output in two pipes, which the host reads, and a channel of its own for
everything else. It is started at the first cell, and again after it ended.
"""

from __future__ import annotations

import os
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar

#: Variables that come and go with one cell.
Variables = Mapping[str, str]


class BadVariableError(ValueError):
    """The language cannot have a variable of this name; says which, never its value."""


@dataclass
class Failure:
    """How a cell failed, in the words of Jupyter's `error`."""

    name: str
    value: str
    traceback: list[str]


@dataclass
class Display:
    """A value to show; the main one is the value of the cell."""

    data: dict[str, Any]
    main: bool = False


@dataclass
class Done:
    """The cell is over."""

    failure: Failure | None = None


@dataclass
class Text:
    """Output that did not come through the pipes."""

    name: str
    text: str


@dataclass
class Left:
    """The process is about to end with this status."""

    status: int


Event = Display | Text | Done | Left


@dataclass
class Pipes:
    """Our ends of a process's output."""

    stdout: int
    stderr: int
    theirs: tuple[int, int] = field(default=(-1, -1))

    @classmethod
    def make(cls) -> Pipes:
        (stdout, out), (stderr, err) = os.pipe(), os.pipe()
        for end in (stdout, stderr):
            os.set_blocking(end, False)
        return cls(stdout, stderr, (out, err))

    def close(self) -> None:
        for end in (self.stdout, self.stderr):
            os.close(end)

    def close_theirs(self) -> None:
        for end in self.theirs:
            os.close(end)


def interrupt_group() -> None:
    """SIGINT to everything that runs in this kernel. The host itself does not mind it.

    One group holds the host, the language's process and the programs of cells, so that nothing of a
    kernel outlives it, however it is ended.
    """
    os.killpg(os.getpgrp(), signal.SIGINT)


class Runner(ABC):
    """One process of a language."""

    #: Directory under `kernels/` with its files.
    resources: str
    #: What `kernel_info` says of the language.
    language_info: ClassVar[Mapping[str, Any]] = {}

    process: subprocess.Popen[bytes]
    pipes: Pipes
    #: Where the runner's own words come from: descriptors or sockets.
    channels: list[Any]
    #: Whether the process has closed that, without which it is of no use.
    closed = False

    @abstractmethod
    def execute(self, code: str, variables: Variables) -> None:
        """Hands a cell over. Raises `BadVariableError` before anything happened."""

    @abstractmethod
    def events(self) -> Iterator[Event]:
        """What the process said since the last call; never waits."""

    @abstractmethod
    def interrupt(self) -> None:
        """Interrupts the cell. May be called again."""

    @abstractmethod
    def update(self, changes: Mapping[str, str | None]) -> None:
        """Changes variables for good, from the next cell on."""

    def tick(self) -> None:  # noqa: B027 - most have nothing to do then
        """Called a few times a second while a cell runs."""

    def end(self) -> None:
        """Ends the process. What it started ends with the kernel, like a shell's jobs."""
        self.process.kill()
        self.process.wait()
        self.close()

    def close(self) -> None:
        """Gives back what belongs to a process that has ended."""
        self.pipes.close()
        for channel in self.channels:
            os.close(channel)
