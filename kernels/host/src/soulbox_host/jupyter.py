"""A language that has a Jupyter kernel of its own: R and Java.

That kernel is started as the runner's process and spoken with over its own sockets (on ipc where it
can, else on the sandbox's loopback, signed with a key of its own). What it lacks is made up for
here: variables of one cell, R's main result, output that went past it.

Variables never become code. They lie in a file in memory that the kernel's process inherits; a text
that is the same for every cell reads them from there, silently, before the cell, and once more,
with nothing in the file, to put the former values back.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections import deque
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, ClassVar

from soulbox_host.runner import (
    BadVariableError,
    Display,
    Done,
    Event,
    Failure,
    Pipes,
    Runner,
    Text,
    Variables,
    interrupt_group,
)
from soulbox_host.wire import Client, Request

#: Descriptor of the file with the variables; the texts of kernels/r and kernels/java name it.
VARIABLES = 201
#: Ticks between two questions to a kernel that has not answered yet.
ASK_AGAIN = 3
#: Longest text that is held back because it may turn out to be the main result, in bytes.
HELD_BYTES = 64 << 20


class Jupyter(Runner):
    """One kernel of somebody else's."""

    argv: tuple[str, ...]
    #: File under `resources` with the text that takes the variables over.
    variables_code: str
    #: What runs silently before the first cell.
    prepare = ""
    transport = "ipc"
    interrupts_by_message = False
    #: Whether a value is told as display data, so that the only one of a cell is its main result.
    shows_values = False

    def __init__(self, resources: Path, environment: Mapping[str, str]) -> None:
        self._code = (resources / self.variables_code).read_text()
        self._directory = Path(tempfile.mkdtemp(prefix="kernel-", dir=_private()))
        self._memory = os.memfd_create("variables")
        connection = self._connection()
        path = self._directory / "connection.json"
        path.touch(mode=0o600)
        path.write_text(json.dumps(connection))
        self.pipes = Pipes.make()
        stdout, stderr = self.pipes.theirs
        os.dup2(self._memory, VARIABLES, inheritable=False)
        try:
            self.process = subprocess.Popen(
                [argument.replace("{connection_file}", str(path)) for argument in self.argv],
                stdin=subprocess.DEVNULL,
                stdout=stdout,
                stderr=stderr,
                env=dict(environment),
                pass_fds=(VARIABLES,),
            )
        finally:
            os.close(VARIABLES)
            self.pipes.close_theirs()
        self._client = Client(connection)
        self.channels = self._client.sockets
        self._ready = [False, False]
        self._ticks = 0
        # Codes to run, of which the cell's own is the one that is heard.
        self._steps: deque[tuple[str, bytes, bool]] = deque()
        self._asked: str | None = None
        self._prepared = False
        self._heard = False
        self._over = [False, False]
        self._failure: Failure | None = None
        self._held: Display | None = None
        self._several = False
        self._interrupted = False
        self._client.ask("kernel_info_request", {})

    def _connection(self) -> dict[str, Any]:
        names = ("shell_port", "iopub_port", "stdin_port", "control_port", "hb_port")
        ports: dict[str, int] = {name: number for number, name in enumerate(names, 1)}
        ip = str(self._directory / "k")
        if self.transport == "tcp":
            ip = "127.0.0.1"
            # Held together, so that no two are the same; another program may take one before the
            # kernel does, which then ends, and the next cell tries again.
            held = [socket.create_server((ip, 0)) for _ in names]
            ports = {name: each.getsockname()[1] for name, each in zip(names, held, strict=True)}
            for each in held:
                each.close()
        key = {"key": secrets.token_hex(32), "signature_scheme": "hmac-sha256", "kernel_name": "soulbox"}
        return {"transport": self.transport, "ip": ip, **ports, **key}

    def execute(self, code: str, variables: Variables) -> None:
        for name in variables:
            if not name or "=" in name:
                raise BadVariableError(f"{name!r} cannot be the name of a variable")
        data = b"".join(text.encode() + b"\0" for pair in variables.items() for text in pair)
        self._failure, self._held, self._several, self._interrupted = None, None, False, False
        self._steps.clear()
        if self.prepare and not self._prepared:
            self._steps.append((self.prepare, b"", False))
        self._prepared = True
        if data:
            self._steps.append((self._code, data, False))
        self._steps.append((code, b"", True))
        if data:
            self._steps.append((self._code, b"", False))
        self._next()

    def _next(self) -> None:
        """Hands the next code over, if the kernel is there and free."""
        if not all(self._ready) or self._asked or not self._steps:
            return
        code, data, self._heard = self._steps.popleft()
        os.ftruncate(self._memory, 0)
        os.pwrite(self._memory, data, 0)
        self._over = [False, False]
        content = {
            "code": code,
            "silent": not self._heard,
            "store_history": self._heard,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        self._asked = self._client.ask("execute_request", content)

    def events(self) -> Iterator[Event]:
        for source, message in self._client.messages():
            parent = message.parent.get("msg_id")
            if not all(self._ready):
                self._greet(source, message)
            elif parent == self._asked:
                yield from self._take(source, message)

    def _greet(self, source: str, message: Request) -> None:
        self._ready[source == "iopub"] = True
        if all(self._ready):
            self._next()

    def _take(self, source: str, message: Request) -> Iterator[Event]:
        content = message.content
        match source, message.kind:
            case "shell", "execute_reply":
                self._over[0] = True
                if content.get("status") == "error" and self._heard:
                    self._failure = self._failure or _failure(content)
            case "iopub", "status":
                self._over[1] |= content.get("execution_state") == "idle"
            case "iopub", "stream" if self._heard:
                name, text = content.get("name", "stdout"), content.get("text", "")
                for part in self.parts(text):
                    yield Text(name, part)
            case "iopub", "execute_result" if self._heard:
                yield Display(content.get("data", {}), main=True)
            case "iopub", "display_data" | "update_display_data" if self._heard:
                yield from self._show(Display(content.get("data", {})))
            case "iopub", "error" if self._heard:
                self._failure = _failure(content)
        if all(self._over):
            self._asked = None
            if self._heard and self._held:
                yield Display(self._held.data, main=True)
                self._held = None
            if self._heard and self._interrupted:
                # R says nothing of it.
                self._failure = self._failure or Failure("Interrupted", "The execution was interrupted", [])
            if not self._steps:
                os.ftruncate(self._memory, 0)
                yield Done(self._failure)
            self._next()

    def _show(self, display: Display) -> Iterator[Event]:
        if not self.shows_values or self._several:
            yield display
        elif self._held is None and len(str(display.data)) <= HELD_BYTES:
            self._held = display
        else:
            self._several = True
            if self._held:
                yield self._held
                self._held = None
            yield display

    def parts(self, text: str) -> tuple[str, ...]:
        """The texts that clients are told of one that the kernel told."""
        return (text,)

    def interrupt(self) -> None:
        self._interrupted = True
        if self.interrupts_by_message:
            self._client.ask("interrupt_request", {}, control=True)
        else:
            interrupt_group()

    def update(self, changes: Mapping[str, str | None]) -> None:
        """They are seen after the next start of the process: its environment is its own."""

    def tick(self) -> None:
        self._ticks += 1
        if not all(self._ready) and self._ticks % ASK_AGAIN == 0:
            self._client.ask("kernel_info_request", {})

    def close(self) -> None:
        self.pipes.close()
        self._client.close()
        os.close(self._memory)
        shutil.rmtree(self._directory, ignore_errors=True)


class R(Jupyter):
    """Debian's IRkernel."""

    resources = "r"
    argv = ("R", "--slave", "-e", "IRkernel::main()", "--args", "{connection_file}")
    variables_code = "variables.R"
    shows_values = True
    language_info: ClassVar = {
        "name": "R",
        "mimetype": "text/x-r-source",
        "file_extension": ".r",
        "pygments_lexer": "r",
    }


class Java(Jupyter):
    """jjava, without its launcher, which would be a second virtual machine."""

    resources = "java"
    argv = (
        "java",
        "--add-opens",
        "jdk.jshell/jdk.jshell=ALL-UNNAMED",
        "-jar",
        "/usr/local/share/jupyter/kernels/java/jjava.jar",
        "{connection_file}",
    )
    variables_code = "variables.jsh"
    # The sandbox's variables as properties, which is where Java's users expect them.
    prepare = "System.getenv().forEach((name, value) -> System.getProperties().putIfAbsent(name, value));"
    transport = "tcp"
    interrupts_by_message = True
    language_info: ClassVar = {
        "name": "java",
        "mimetype": "text/x-java",
        "file_extension": ".jshell",
        "pygments_lexer": "java",
    }

    def parts(self, text: str) -> tuple[str, ...]:
        """`println` is a text and an end of line, in one since JDK 17; clients expect two."""
        return (text[:-1], "\n") if len(text) > 1 and text.endswith("\n") else (text,)


def _private() -> str:
    """Where sockets of kernels lie: short, for a socket's path may have 107 bytes."""
    for directory in ("/run/soulbox", "/tmp"):
        if Path(directory).is_dir():
            return directory
    return tempfile.gettempdir()


def _failure(content: Mapping[str, Any]) -> Failure:
    traceback = content.get("traceback") or []
    return Failure(
        str(content.get("ename", "")), str(content.get("evalue", "")), [str(line) for line in traceback]
    )
