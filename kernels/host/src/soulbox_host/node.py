"""JavaScript and TypeScript: a node process that runs `kernels/javascript/runner.mjs`.

Cells and what the runner says are lines of JSON on two pipes; variables travel beside the code. A
byte on a third pipe interrupts: a thread of the runner reads it, since the main one is busy.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import ClassVar

from soulbox_host.runner import (
    BadVariableError,
    Display,
    Done,
    Event,
    Failure,
    Left,
    Pipes,
    Runner,
    Variables,
)

#: Descriptors of the runner, in the order of its arguments.
REQUEST, EVENTS, INTERRUPT = 201, 202, 203
#: Bytes of one read from the runner.
CHUNK = 1 << 20
#: Longest line of the runner, in bytes: what one message of a kernel may have.
LONGEST = 96 << 20


class JavaScript(Runner):
    """One node process."""

    resources = "javascript"
    typescript = False
    language_info: ClassVar = {
        "name": "javascript",
        "mimetype": "text/javascript",
        "file_extension": ".js",
        "codemirror_mode": "javascript",
        "pygments_lexer": "javascript",
    }

    def __init__(self, resources: Path, environment: Mapping[str, str]) -> None:
        self._said = bytearray()
        self._changes: dict[str, str | None] = {}
        request, self._request = os.pipe()
        self._channel, events = os.pipe()
        interrupt, self._interrupt = os.pipe()
        self.channels = [self._channel]
        os.set_blocking(self._channel, False)
        self.pipes = Pipes.make()
        theirs = {REQUEST: request, EVENTS: events, INTERRUPT: interrupt}
        for number, source in theirs.items():
            os.dup2(source, number, inheritable=False)
        stdout, stderr = self.pipes.theirs
        self.process = subprocess.Popen(
            ["node", "--no-warnings", str(resources / "runner.mjs"), "ts" if self.typescript else "js"],
            stdin=subprocess.DEVNULL,
            stdout=stdout,
            stderr=stderr,
            env=dict(environment),
            pass_fds=tuple(theirs),
        )
        for end in (*theirs, *theirs.values()):
            os.close(end)
        self.pipes.close_theirs()

    def execute(self, code: str, variables: Variables) -> None:
        for name in variables:
            if not name or "=" in name:
                raise BadVariableError(f"{name!r} cannot be the name of a variable")
        changes, self._changes = self._changes, {}
        line = json.dumps({"code": code, "env": variables, "lasting": changes}) + "\n"
        view = memoryview(line.encode())
        try:
            while view:
                view = view[os.write(self._request, view) :]
        except BrokenPipeError:
            pass  # It has ended, which the host sees by itself.

    def events(self) -> Iterator[Event]:
        try:
            while data := os.read(self._channel, CHUNK):
                self._said += data
                if len(self._said) > LONGEST:
                    self._said.clear()
            self.closed = True
        except BlockingIOError:
            pass
        while (end := self._said.find(b"\n")) >= 0:
            line = bytes(self._said[:end])
            del self._said[: end + 1]
            try:
                yield _event(json.loads(line))
            except (ValueError, KeyError, TypeError):
                continue

    def interrupt(self) -> None:
        try:
            os.write(self._interrupt, b"!")
        except BrokenPipeError:
            pass

    def update(self, changes: Mapping[str, str | None]) -> None:
        self._changes |= changes

    def close(self) -> None:
        super().close()
        os.close(self._request)
        os.close(self._interrupt)


class TypeScript(JavaScript):
    """The same, with the types taken off first."""

    typescript = True
    language_info: ClassVar = {
        "name": "typescript",
        "mimetype": "text/x.typescript",
        "file_extension": ".ts",
        "codemirror_mode": "typescript",
        "pygments_lexer": "typescript",
    }


def _event(said: dict) -> Event:
    if "done" in said:
        error = said.get("error")
        return Done(Failure(error["name"], error["value"], error["traceback"]) if error else None)
    if "exit" in said:
        return Left(int(said["exit"]))
    return Display(said["data"], bool(said.get("main")))
