"""A forked kernel as the agent makes it: the real fork server, spoken to over its two wires.

It has the face of `RealKernel`, so that the same tests run over ZeroMQ and over wires.
"""

from __future__ import annotations

import json
import os
import queue
import select
import signal
import socket
import subprocess
import sys
import time
from collections import defaultdict, deque
from pathlib import Path
from typing import Any

from jupyter_client.session import Session

from real_kernel import LAUNCHER, START_TIMEOUT, RealKernel
from soulbox_kernel.wire import CONTROL, IOPUB, SHELL, STDIN, Frames, packed

#: Bytes of one read.
READ = 1 << 20


class ForkServer:
    """The warmed process, and what it says about its kernels."""

    def __init__(self) -> None:
        self.socket, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        env = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        command = [sys.executable, str(LAUNCHER), "--fork-server"]
        self.process = subprocess.Popen(command, stdin=theirs, env=env)
        theirs.close()
        self.socket.settimeout(START_TIMEOUT)
        self.ends: dict[int, int] = {}
        self._forks = 0
        assert self._told() == {"ready": True}

    def fork(self, cwd: Path, exercise: bool) -> tuple[socket.socket, socket.socket, int]:
        """A new kernel's two wires and its pid."""
        (cells, their_cells), (control, their_control) = socket.socketpair(), socket.socketpair()
        self._forks += 1
        request = {"fork": {"id": self._forks, "exercise": exercise}}
        descriptors = [their_cells.fileno(), their_control.fileno(), 2]
        socket.send_fds(self.socket, [json.dumps(request).encode()], descriptors)
        their_cells.close()
        their_control.close()
        env = {name: value for name, value in os.environ.items() if "PYTEST" not in name}
        birth = {"env": env, "cwd": str(cwd), "entropy": "00"}
        control.sendall(packed(CONTROL, [json.dumps(birth).encode()]))
        told = self._told()
        assert told["id"] == self._forks
        return cells, control, told["pid"]

    def end_of(self, pid: int) -> int:
        """How a kernel ended: its status, or minus the signal. It is a zombie until then."""
        while pid not in self.ends:
            self._note(json.loads(self.socket.recv(READ)))
        assert Path(f"/proc/{pid}").exists()
        self.socket.send(json.dumps({"reap": pid}).encode())
        return self.ends[pid]

    def _told(self) -> dict[str, Any]:
        while True:
            message = json.loads(self.socket.recv(READ))
            if not self._note(message):
                return message

    def _note(self, message: dict[str, Any]) -> bool:
        if "exit" in message:
            self.ends[message["exit"]] = message["status"]
        return "exit" in message

    def stop(self) -> None:
        self.socket.close()
        self.process.kill()
        self.process.wait()


class Stream:
    """One wire: a socket that carries some channels."""

    def __init__(self, connection: socket.socket, session: Session) -> None:
        self._socket = connection
        self._session = session
        self._frames = Frames()
        self._arrived: dict[int, deque[Any]] = defaultdict(deque)

    def send(self, channel: int, message: dict[str, Any]) -> None:
        parts = [*self._session.serialize(message), *message.get("buffers", ())]
        self._socket.sendall(packed(channel, parts))

    def get(self, channel: int, timeout: float | None) -> Any:
        until = time.monotonic() + (timeout or START_TIMEOUT)
        while not self._arrived[channel]:
            ready, _, _ = select.select([self._socket], [], [], max(0, until - time.monotonic()))
            if not ready:
                raise queue.Empty
            data = self._socket.recv(READ)
            assert data, "the kernel has hung up"
            for number, parts in self._frames.feed(data):
                _, rest = self._session.feed_identities(parts)
                self._arrived[number].append(self._session.deserialize(rest))
        return self._arrived[channel].popleft()

    def close(self) -> None:
        self._socket.close()


class Channel:
    """One channel, with the two methods of jupyter_client's that the tests use."""

    def __init__(self, stream: Stream, number: int) -> None:
        self._stream, self._number = stream, number

    def send(self, message: dict[str, Any]) -> None:
        self._stream.send(self._number, message)

    def get_msg(self, timeout: float | None = None) -> Any:
        return self._stream.get(self._number, timeout)


class Client:
    """What the tests use of a `BlockingKernelClient`."""

    def __init__(self, cells: socket.socket, control: socket.socket) -> None:
        self.session = Session(key=b"")
        self._streams = [Stream(cells, self.session), Stream(control, self.session)]
        self.shell_channel = Channel(self._streams[0], SHELL)
        self.iopub_channel = Channel(self._streams[0], IOPUB)
        self.control_channel = Channel(self._streams[1], CONTROL)
        self.stdin_channel = Channel(self._streams[1], STDIN)

    def get_iopub_msg(self, timeout: float | None = None) -> Any:
        return self.iopub_channel.get_msg(timeout)

    def stop_channels(self) -> None:
        for stream in self._streams:
            stream.close()


class Process:
    """A kernel's process, which is the fork server's child."""

    def __init__(self, server: ForkServer, pid: int) -> None:
        self.server, self.pid = server, pid

    def send_signal(self, number: int) -> None:
        assert self.pid > 1
        os.kill(self.pid, number)

    def wait(self) -> int:
        return self.server.end_of(self.pid)


class WireKernel(RealKernel):
    """One forked kernel and a client of it."""

    def __init__(self, server: ForkServer, directory: Path, exercise: bool = False) -> None:
        self.directory = directory
        started = time.monotonic()
        cells, control, pid = server.fork(directory, exercise)
        self.process = Process(server, pid)  # type: ignore[assignment]
        self.client = Client(cells, control)  # type: ignore[assignment]
        message = self.client.session.msg("kernel_info_request", {})
        self.client.shell_channel.send(message)
        self._reply(self.client.shell_channel, message["header"]["msg_id"])
        self.ready_after = time.monotonic() - started

    def stop(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        self.process.wait()
        self.client.stop_channels()
