"""The kernel: ipykernel's, plus variables by message and interrupts that hit only the cell.

It knows no transport: sockets and streams are given to it by the application, so that the same
class serves over ZeroMQ and, after a fork, over a plain stream. It adds one message type and one
key of `execute_request` metadata (README.md); everything else is stock.
"""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ipykernel.ipkernel import IPythonKernel
from traitlets import Float, Type

from soulbox_kernel import display, entropy
from soulbox_kernel.environment import BadEnvironmentError, Environment, checked
from soulbox_kernel.interrupts import Interrupts
from soulbox_kernel.shell import SoulboxShell
from soulbox_kernel.streams import BoundedStream
from soulbox_kernel.wirestreams import WireStream

#: Asks for variables, a working directory or fresh random state; allowed on shell and control.
ENVIRONMENT_REQUEST = "soulbox_environment_request"
ENVIRONMENT_REPLY = "soulbox_environment_reply"


class SoulboxKernel(IPythonKernel):
    """One Python context."""

    shell_class = Type(SoulboxShell)

    # ipykernel sleeps this long (seconds) after each cell to order messages of several sockets;
    # the agent waits for the idle status instead, and 0.5 ms is a quarter of a small cell.
    _execute_sleep = Float(0.0).tag(config=True)

    implementation = "soulbox"

    def __init__(self, **kwargs: Any) -> None:
        self.environment = Environment()
        self.interrupts = Interrupts()
        super().__init__(**kwargs)
        for handlers in (self.shell_handlers, self.control_handlers):
            handlers[ENVIRONMENT_REQUEST] = self.soulbox_environment_request
        display.install(self.shell)

    # Variables, working directory, random state

    async def soulbox_environment_request(self, stream: Any, ident: Any, parent: Any) -> None:
        """Applies the whole request, or nothing of it, and says which."""
        try:
            self.apply_environment(parent["content"])
            reply: dict[str, Any] = {"status": "ok"}
        except (OSError, ValueError) as problem:
            reply = _error_reply(problem)
        self.session.send(stream, ENVIRONMENT_REPLY, reply, parent, ident)

    def apply_environment(self, content: Mapping[str, Any]) -> None:
        """Takes `env`, `cwd` and `entropy` of a request. What can fail comes first."""
        changes = checked(content.get("env"))
        cwd, seed = content.get("cwd"), content.get("entropy")
        if not isinstance(cwd, str | None) or not isinstance(seed, str | None):
            raise BadEnvironmentError("cwd and entropy must be text")
        if cwd is not None:
            os.chdir(cwd)
            # IPython's list of visited directories starts where the context does.
            self.shell.history_manager.dir_hist[:] = [Path.cwd()]
        self.environment.update(changes)
        if seed is not None:
            entropy.reseed(seed)

    # Executions

    def pre_handler_hook(self) -> None:
        super().pre_handler_hook()
        if self.get_parent("shell").get("msg_type") == "execute_request":
            self.interrupts.expect()

    async def do_execute(
        self,
        code: str,
        silent: bool,
        store_history: bool = True,
        user_expressions: dict[str, str] | None = None,
        allow_stdin: bool = False,
        *,
        cell_meta: Mapping[str, Any] | None = None,
        cell_id: str | None = None,
    ) -> dict[str, Any]:
        try:
            changes = _execution_variables(cell_meta)
        except BadEnvironmentError as problem:
            return self._failed(problem, silent)
        try:
            with self.environment.execution(changes), self.interrupts.allowed():
                return await super().do_execute(
                    code,
                    silent,
                    store_history,
                    user_expressions,
                    allow_stdin,
                    cell_meta=cell_meta,
                    cell_id=cell_id,
                )
        except KeyboardInterrupt as problem:
            # Struck in the few lines around the user's code, where IPython reports nothing.
            return self._failed(problem, silent)
        finally:
            for stream in (self._stdout, self._stderr):
                if isinstance(stream, BoundedStream | WireStream):
                    stream.drain()

    async def interrupt_request(self, stream: Any, ident: Any, parent: Any) -> None:
        insist = self.interrupts.ask()
        await super().interrupt_request(stream, ident, parent)
        # Not awaited here: the control channel answers other requests meanwhile.
        self._insisting = asyncio.ensure_future(insist)

    def _cancel_on_sigint(self, future: Any) -> Any:
        return self.interrupts.cancelling(future)

    def _failed(self, problem: BaseException, silent: bool) -> dict[str, Any]:
        """Reports an execution that did not get as far as its code, in the usual two messages."""
        reply = _error_reply(problem)
        if not silent:
            error = {key: reply[key] for key in ("ename", "evalue", "traceback")}
            self.session.send(
                self.iopub_socket,
                "error",
                error,
                parent=self.get_parent("shell"),
                ident=self._topic("error"),
            )
        sys.stdout.flush()
        return {**reply, "execution_count": self.execution_count, "user_expressions": {}}


def _execution_variables(metadata: Mapping[str, Any] | None) -> dict[str, str | None]:
    ours = (metadata or {}).get("soulbox")
    if ours is None:
        return {}
    if not isinstance(ours, Mapping):
        raise BadEnvironmentError("metadata.soulbox must be an object")
    return checked(ours.get("env"))


def _error_reply(problem: BaseException) -> dict[str, Any]:
    name = type(problem).__name__
    text = f"{name}: {problem}" if str(problem) else name
    return {"status": "error", "ename": name, "evalue": str(problem), "traceback": [text]}
