"""The kernel: one loop that waits for clients, for the runner's output and for its words.

A cell runs while the shell channel is not read, so requests wait in order as with any kernel;
control is always read. The cell's output is read to its end before its end is told. A runner whose
process ends under a cell (`exit`, a crash) ends that cell, and the next one finds a new process.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import zmq

from soulbox_host.bash import Bash
from soulbox_host.jupyter import Java, R
from soulbox_host.node import JavaScript, TypeScript
from soulbox_host.output import Output
from soulbox_host.runner import BadVariableError, Display, Done, Failure, Left, Runner, Text
from soulbox_host.wire import PROTOCOL, Request, Wire

LANGUAGES: Mapping[str, type[Runner]] = {
    "bash": Bash,
    "javascript": JavaScript,
    "typescript": TypeScript,
    "r": R,
    "java": Java,
}

#: Milliseconds between two looks at the runner while a cell runs, besides what wakes the loop.
TICK = 100
#: Milliseconds before broadcasts that nobody took are tried again.
FULL = 5


class Host:
    """One kernel."""

    def __init__(self, language: str, connection_file: str) -> None:
        self._language = language
        self._kind = LANGUAGES[language]
        self._resources = Path(__file__).resolve().parents[3] / self._kind.resources
        self._environment = dict(os.environ)
        self._wire = Wire(connection_file)
        self._runner: Runner | None = None
        self._outputs: list[Output] = []
        # With what the runner's process said that it ends.
        self._status: int | None = None
        self._cell: Request | None = None
        self._silent = False
        self._count = 0
        self._last: Request | None = None

    def run(self) -> None:
        """Serves until somebody asks for the end."""
        wire = self._wire
        wire.publish(None, "status", {"execution_state": "starting"})
        try:
            # Ahead of the first cell, while clients still connect.
            self._begin()
        except OSError:
            pass  # The first cell will say why.
        while True:
            poller = zmq.Poller()
            poller.register(wire.control, zmq.POLLIN)
            poller.register(wire.heartbeat, zmq.POLLIN)
            poller.register(wire.iopub, zmq.POLLIN)
            out = wire.flush()
            # While broadcasts wait nothing that makes more of them is read.
            if out and not self._cell:
                poller.register(wire.shell, zmq.POLLIN)
            if out and self._runner:
                for channel in self._runner.channels:
                    poller.register(channel, zmq.POLLIN)
                for output in self._outputs:
                    if not output.ended:
                        poller.register(output.descriptor, zmq.POLLIN)
            ready = dict(poller.poll(FULL if not out else TICK if self._cell else None))
            if wire.iopub in ready:
                wire.iopub.recv_multipart()
            if wire.heartbeat in ready:
                wire.heartbeat.send(wire.heartbeat.recv())
            if wire.control in ready and self._control():
                return
            if out and self._runner:
                self._listen(self._runner)
            if wire.shell in ready and not self._cell and self._serve():
                return

    # Clients

    def _control(self) -> bool:
        request = self._wire.receive(self._wire.control)
        if request is None:
            return False
        wire = self._wire
        if request.kind == "interrupt_request":
            if self._runner and self._cell:
                self._runner.interrupt()
            wire.reply(wire.control, request, "interrupt_reply", {"status": "ok"})
        elif request.kind == "soulbox_environment_request":
            self._update(request.content.get("env") or {})
            wire.reply(wire.control, request, "soulbox_environment_reply", {"status": "ok"})
        else:
            return self._ask(wire.control, request)
        return False

    def _serve(self) -> bool:
        request = self._wire.receive(self._wire.shell)
        if request is None:
            return False
        if request.kind == "execute_request":
            self._execute(request)
            return False
        return self._ask(self._wire.shell, request)

    def _ask(self, socket: zmq.Socket[bytes], request: Request) -> bool:
        """Answers what is no code. Whether it asked for the end."""
        wire = self._wire
        name = request.kind.removesuffix("_request")
        answers: dict[str, Callable[[], dict[str, Any]]] = {
            "kernel_info": self._info,
            "shutdown": lambda: {"restart": bool(request.content.get("restart"))},
            "is_complete": lambda: {"status": "unknown"},
            "comm_info": lambda: {"comms": {}},
            "history": lambda: {"history": []},
            "inspect": lambda: {"found": False, "data": {}, "metadata": {}},
            "complete": lambda: _no_completion(request),
        }
        answer = answers.get(name)
        if answer is None:
            return False
        wire.publish(request, "status", {"execution_state": "busy"})
        wire.reply(socket, request, f"{name}_reply", {"status": "ok"} | answer())
        wire.publish(request, "status", {"execution_state": "idle"})
        if name != "shutdown":
            return False
        if self._runner:
            self._runner.end()
        wire.close()
        return True

    def _info(self) -> dict[str, Any]:
        return {
            "protocol_version": PROTOCOL,
            "implementation": "soulbox",
            "implementation_version": "1",
            "language_info": {"version": "", **self._kind.language_info},
            "banner": f"{self._language} (SoulBox)",
            "help_links": [],
        }

    # Cells

    def _execute(self, request: Request) -> None:
        wire, content = self._wire, request.content
        wire.publish(request, "status", {"execution_state": "busy"})
        self._cell = self._last = request
        self._silent = bool(content.get("silent"))
        code = str(content.get("code", ""))
        if not self._silent:
            if content.get("store_history", True):
                self._count += 1
            wire.publish(request, "execute_input", {"code": code, "execution_count": self._count})
        if self._runner and self._runner.process.poll() is not None:
            self._replace()
        try:
            if self._runner is None:
                self._begin()
            assert self._runner
            self._runner.execute(code, _variables(request.metadata))
        except BadVariableError as problem:
            self._finish(Failure(type(problem).__name__, str(problem), [str(problem)]))
        except OSError as problem:
            name = self._kind.__name__
            self._finish(Failure("NotStarted", f"{name} could not be started: {problem.strerror}", []))

    def _begin(self) -> None:
        self._runner = self._kind(self._resources, self._environment)
        pipes = self._runner.pipes
        self._outputs = [Output("stdout", pipes.stdout), Output("stderr", pipes.stderr)]

    def _replace(self) -> None:
        if self._runner:
            self._runner.end()
        self._runner, self._outputs, self._status = None, [], None

    def _listen(self, runner: Runner) -> None:
        """Passes on what the runner's process has written and said."""
        ended = runner.closed or runner.process.poll() is not None
        events = list(runner.events())
        # What was written before it was said comes first: one read takes all that a pipe holds.
        for output in self._outputs:
            if text := output.read():
                self._publish("stream", {"name": output.name, "text": text})
        for event in events:
            match event:
                case Display(data, main):
                    kind = "execute_result" if main else "display_data"
                    count = {"execution_count": self._count} if main else {}
                    self._publish(kind, {"data": data, "metadata": {}, **count})
                case Text(name, text):
                    self._publish("stream", {"name": name, "text": text})
                case Done(failure):
                    self._finish(failure)
                case Left(status):
                    self._status, ended = status, True
        if ended:
            cell, status = self._cell, self._status
            self._replace()
            if cell:
                ended_with = runner.process.returncode if status is None else status
                self._finish(_ended(self._language, ended_with))
        elif self._cell:
            runner.tick()

    def _finish(self, failure: Failure | None) -> None:
        request = self._cell
        if request is None:
            return
        for output in self._outputs:
            if text := output.rest():
                self._publish("stream", {"name": output.name, "text": text})
        self._cell = None
        reply: dict[str, Any] = {
            "status": "ok",
            "execution_count": self._count,
            "payload": [],
            "user_expressions": {},
        }
        if failure:
            error = {"ename": failure.name, "evalue": failure.value, "traceback": failure.traceback}
            if not self._silent:
                self._wire.publish(request, "error", error)
            reply = {"status": "error", "execution_count": self._count, **error}
        self._wire.reply(self._wire.shell, request, "execute_reply", reply)
        self._wire.publish(request, "status", {"execution_state": "idle"})
        if failure and request.content.get("stop_on_error", True):
            self._abort()

    def _abort(self) -> None:
        """Cells that wait behind one that failed are not run."""
        wire = self._wire
        while request := wire.receive(wire.shell):
            if request.kind != "execute_request":
                self._ask(wire.shell, request)
                continue
            wire.publish(request, "status", {"execution_state": "busy"})
            wire.reply(
                wire.shell, request, "execute_reply", {"status": "aborted", "execution_count": self._count}
            )
            wire.publish(request, "status", {"execution_state": "idle"})

    def _publish(self, kind: str, content: Mapping[str, Any]) -> None:
        if not (self._silent and self._cell):
            self._wire.publish(self._cell or self._last, kind, content)

    def _update(self, changes: Mapping[str, str | None]) -> None:
        for name, value in changes.items():
            if value is None:
                self._environment.pop(name, None)
            else:
                self._environment[name] = value
        if self._runner:
            self._runner.update(changes)


def _variables(metadata: Mapping[str, Any]) -> dict[str, str]:
    ours = metadata.get("soulbox") or {}
    return dict(ours.get("env") or {})


def _no_completion(request: Request) -> dict[str, Any]:
    at = request.content.get("cursor_pos", 0)
    return {"matches": [], "cursor_start": at, "cursor_end": at, "metadata": {}}


def _ended(language: str, status: int) -> Failure | None:
    """How a process that ended by itself ended its cell. Leaving with 0 is no failure."""
    if status == 0:
        return None
    how = f"by {signal.Signals(-status).name}" if status < 0 else f"with exit status {status}"
    value = str(status if status > 0 else 128 - status)
    return Failure(
        "ExitStatus",
        value,
        [f"The process of this {language} context ended {how}; the next cell starts a new one"],
    )


def main(language: str, connection_file: str) -> None:
    """Runs one kernel until it is shut down."""
    # An interrupt comes by message; a stray signal must not end the kernel with its state. A
    # handler rather than SIG_IGN, which the runner would inherit.
    signal.signal(signal.SIGINT, lambda *_: None)
    if os.getpgrp() != os.getpid():
        os.setpgid(0, 0)
    Host(language, connection_file).run()
    # Programs that cells left behind are in our group, and end with it.
    os.killpg(0, signal.SIGKILL)
