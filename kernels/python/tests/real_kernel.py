"""A kernel as the agent starts it: the real launcher in its own process, spoken to over ipc."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from jupyter_client import BlockingKernelClient
from jupyter_client.connect import write_connection_file

LAUNCHER = Path(__file__).resolve().parents[1] / "launch.py"
#: Seconds. Machines that run these tests are often busy with builds.
START_TIMEOUT = 120
CELL_TIMEOUT = 60


@dataclass
class Run:
    """What one execution answered."""

    reply: dict[str, Any]
    messages: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def of(self, kind: str) -> list[dict[str, Any]]:
        return [content for name, content in self.messages if name == kind]

    @property
    def bundles(self) -> list[tuple[str, dict[str, Any]]]:
        """The results in their order: message type and formats."""
        kinds = ("execute_result", "display_data")
        return [(name, content["data"]) for name, content in self.messages if name in kinds]

    @property
    def main(self) -> dict[str, Any]:
        """The formats of the value of the last expression."""
        (result,) = self.of("execute_result")
        return result["data"]

    @property
    def text(self) -> str:
        return self.main["text/plain"]

    @property
    def stdout(self) -> str:
        return "".join(c["text"] for c in self.of("stream") if c["name"] == "stdout")

    @property
    def error(self) -> dict[str, Any]:
        (error,) = self.of("error")
        return error


class RealKernel:
    """One kernel process and a client of it."""

    def __init__(self, directory: Path, *arguments: str, argv: list[str] | None = None) -> None:
        file, _ = write_connection_file(
            str(directory / "connection.json"),
            transport="ipc",
            key=b"a key of this test",
            ip=str(directory / "s"),
            **{f"{name}_port": at for at, name in enumerate(CHANNELS, start=1)},
        )
        self.directory = directory
        started = time.monotonic()
        # ipykernel leaves the file descriptors alone when it thinks that pytest is its process.
        env = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        command = [*(argv or [sys.executable, str(LAUNCHER)]), "-f", file, *arguments]
        self.process = subprocess.Popen(command, cwd=directory, env=env)
        self.client = BlockingKernelClient(connection_file=file)
        self.client.load_connection_file()
        # Without the heartbeat: on a busy machine a beat that comes a second late would count
        # as a death, while the process is in our own hands.
        self.client.start_channels(hb=False)
        self.client.wait_for_ready(timeout=START_TIMEOUT)
        self.ready_after = time.monotonic() - started

    def begin(self, code: str, env: Any = None, **content: Any) -> str:
        """Sends an execution and returns the id of its message."""
        request = {
            "code": code,
            "silent": False,
            "store_history": True,
            "user_expressions": {},
            "allow_stdin": False,
            "stop_on_error": False,
        }
        metadata = {} if env is None else {"soulbox": {"env": env}}
        message = self.client.session.msg("execute_request", request | content, metadata=metadata)
        self.client.shell_channel.send(message)
        return message["header"]["msg_id"]

    def finish(self, message_id: str) -> Run:
        """Collects everything until the execution's idle status, and its reply."""
        messages = []
        while True:
            message = self.client.get_iopub_msg(timeout=CELL_TIMEOUT)
            if message["parent_header"].get("msg_id") != message_id:
                continue
            if message["content"].get("execution_state") == "idle":
                break
            messages.append((message["msg_type"], message["content"]))
        return Run(self._reply(self.client.shell_channel, message_id), messages)

    def run(self, code: str, env: Any = None, **content: Any) -> Run:
        return self.finish(self.begin(code, env, **content))

    def wait_for_output(self, text: str) -> None:
        """Returns once the running cell has printed `text`."""
        while True:
            message = self.client.get_iopub_msg(timeout=CELL_TIMEOUT)
            if message["msg_type"] == "stream" and text in message["content"]["text"]:
                return

    def environment(self, content: dict[str, Any], channel: str = "control") -> dict[str, Any]:
        """Sends an environment request and returns the reply's content."""
        message = self.client.session.msg("soulbox_environment_request", content)
        sender = getattr(self.client, f"{channel}_channel")
        sender.send(message)
        return self._reply(sender, message["header"]["msg_id"])

    def interrupt(self) -> None:
        """Asks for an interrupt by message and returns when it was answered."""
        message = self.client.session.msg("interrupt_request", {})
        self.client.control_channel.send(message)
        self._reply(self.client.control_channel, message["header"]["msg_id"])

    def signal(self) -> None:
        """Sends the bare signal."""
        self.process.send_signal(signal.SIGINT)

    def _reply(self, channel: Any, message_id: str) -> dict[str, Any]:
        while True:
            message = channel.get_msg(timeout=CELL_TIMEOUT)
            if message["parent_header"].get("msg_id") == message_id:
                return message["content"]

    def stop(self) -> None:
        self.client.stop_channels()
        self.process.kill()
        self.process.wait()


CHANNELS = ("shell", "iopub", "stdin", "hb", "control")
