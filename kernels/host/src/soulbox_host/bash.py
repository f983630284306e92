"""bash: one interactive shell that controls no terminal, so that an interrupt ends the cell and not it.

A cell travels as data through a file in memory, with its variables; what the shell reads on its
standard input are the constant lines below. `eval` at the top level keeps what a cell declares, and
its redirections keep our descriptors from it and from the programs that it starts.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from soulbox_host.runner import (
    BadVariableError,
    Done,
    Event,
    Failure,
    Pipes,
    Runner,
    Variables,
    interrupt_group,
)

#: Descriptors of the shell, above those that scripts use.
REQUEST, STATUS, STDOUT, STDERR = 201, 202, 203, 204

#: One cell. The number tells a late answer from the present one.
ENTER = "__soulbox_enter\n"
RUN = 'builtin eval "${__soulbox_code}" </dev/null >&203 2>&204 201<&- 202>&- 203>&- 204>&-\n'
LEAVE = "__soulbox_leave %d $?\n"

NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
#: What the shell keeps to itself, and does not let anybody set.
OWN = frozenset({"BASHOPTS", "BASH_VERSINFO", "EUID", "PPID", "SHELLOPTS", "UID"})

#: Calls of `tick` after an interrupt before the shell is asked once more how the cell ended.
PATIENCE = 3
#: Bytes of one read of statuses, of which there is one a cell.
STATUS_BYTES = 4096
INTERRUPTED = 128 + signal.SIGINT


class Bash(Runner):
    """One shell."""

    resources = "bash"
    language_info: ClassVar = {
        "name": "bash",
        "mimetype": "text/x-sh",
        "file_extension": ".sh",
        "codemirror_mode": "shell",
        "pygments_lexer": "bash",
    }

    def __init__(self, resources: Path, environment: Mapping[str, str]) -> None:
        self._number = 0
        self._waited: int | None = None
        self._changes: dict[str, str | None] = {}
        self._said = b""
        self._request = os.memfd_create("cell")
        self._channel, status = os.pipe()
        self.channels = [self._channel]
        os.set_blocking(self._channel, False)
        self.pipes = Pipes.make()
        ours = {REQUEST: self._request, STATUS: status}
        ours |= dict(zip((STDOUT, STDERR), self.pipes.theirs, strict=True))

        for number, source in ours.items():
            os.dup2(source, number, inheritable=False)
        # After a program that a signal has ended the shell restores the terminal that it was started
        # on, and complains into the cell's errors if that is none. Nothing else is done with it.
        self._terminal, terminal = os.openpty()
        self.process = subprocess.Popen(
            ["bash", "--noprofile", "--rcfile", str(resources / "shell.bash"), "--noediting", "-i"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=terminal,
            env=dict(environment),
            pass_fds=tuple(ours),
        )
        for number in ours:
            os.close(number)
        os.close(status)
        os.close(terminal)
        self.pipes.close_theirs()

    def execute(self, code: str, variables: Variables) -> None:
        for name in variables:
            if not NAME.fullmatch(name) or name in OWN:
                raise BadVariableError(f"{name!r} cannot be set in bash")
        if "\0" in code:
            raise BadVariableError("the code holds a NUL character")
        self._number += 1
        self._waited = None
        lasting = {
            name: value for name, value in self._changes.items() if NAME.fullmatch(name) and name not in OWN
        }
        self._changes = {}
        gone = [name for name, value in lasting.items() if value is None]
        kept = [text for name, value in lasting.items() if value is not None for text in (name, value)]
        own = [text for pair in variables.items() for text in pair]
        fields = [str(len(gone)), str(len(kept)), *gone, *kept, code, *own]
        data = b"".join(text.encode("utf-8", "surrogateescape") + b"\0" for text in fields)
        os.ftruncate(self._request, 0)
        os.lseek(self._request, 0, os.SEEK_SET)
        view = memoryview(data)
        while view:
            view = view[os.write(self._request, view) :]
        os.lseek(self._request, 0, os.SEEK_SET)
        self._tell(ENTER + RUN + LEAVE % self._number)

    def events(self) -> Iterator[Event]:
        try:
            data = os.read(self._channel, STATUS_BYTES)
            self._said += data
            self.closed = not data
        except BlockingIOError:
            pass
        while b"\n" in self._said:
            line, _, self._said = self._said.partition(b"\n")
            number, status = map(int, line.split())
            if number == self._number:
                # Nothing of a cell is kept: it may hold secrets.
                os.ftruncate(self._request, 0)
                yield Done(failed(status))

    def interrupt(self) -> None:
        self._waited = 0
        interrupt_group()

    def tick(self) -> None:
        # An interrupt may have hit the line that was to tell the end.
        if self._waited is not None:
            self._waited += 1
            if self._waited == PATIENCE:
                self._tell(f"__soulbox_leave {self._number} {INTERRUPTED}\n")

    def update(self, changes: Mapping[str, str | None]) -> None:
        self._changes |= changes

    def close(self) -> None:
        super().close()
        os.close(self._request)
        os.close(self._terminal)
        assert self.process.stdin
        self.process.stdin.close()

    def _tell(self, lines: str) -> None:
        assert self.process.stdin
        try:
            self.process.stdin.write(lines.encode())
            self.process.stdin.flush()
        except BrokenPipeError:
            pass  # It has ended, which the host sees by itself.


def failed(status: int) -> Failure | None:
    """The exit status of a cell's last command as an error, if it is one."""
    if status == 0:
        return None
    if status == INTERRUPTED:
        why = "Interrupted"
    elif 128 < status <= 128 + signal.SIGRTMAX and status - 128 in set(signal.Signals):
        why = f"The last command was ended by {signal.Signals(status - 128).name}"
    else:
        why = f"The last command ended with exit status {status}"
    return Failure("ExitStatus", str(status), [why])
