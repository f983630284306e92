"""Jupyter's messages over ZeroMQ, as much as a kernel needs (section 5 of the wire contract).

Sockets are bound here, messages signed and checked. Broadcasts are never dropped: a reader that
lags makes `publish` keep them, and the host stops reading from its runner until they are out, so
what waits is bounded by what one read gives.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import uuid
from collections import deque
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import zmq

PROTOCOL = "5.3"
DELIMITER = b"<IDS|MSG>"
#: Broadcasts that ZeroMQ holds for the agent before we do; a stream's message has 64 KiB.
UNSENT_MESSAGES = 64
#: Messages that are read from one socket before the others are looked at.
TAKEN_AT_ONCE = 64


@dataclass
class Request:
    """A message of a client, and what its answers need of it."""

    identities: list[bytes]
    header: dict[str, Any]
    parent: dict[str, Any]
    metadata: dict[str, Any]
    content: dict[str, Any]

    @property
    def kind(self) -> str:
        return str(self.header.get("msg_type", ""))


class Signed:
    """Messages as frames, signed with one key."""

    def __init__(self, key: str) -> None:
        self._key = key.encode()
        self._session = uuid.uuid4().hex

    def pack(
        self, parent: Mapping[str, Any], kind: str, content: Mapping[str, Any]
    ) -> tuple[str, list[bytes]]:
        """The id and the frames of a new message."""
        header = {
            "msg_id": uuid.uuid4().hex,
            "session": self._session,
            "username": "soulbox",
            "date": datetime.now(timezone.utc).isoformat(),
            "msg_type": kind,
            "version": PROTOCOL,
        }
        parts = [json.dumps(part).encode() for part in (header, parent, {}, content)]
        return header["msg_id"], [DELIMITER, self._sign(parts), *parts]

    def receive(self, socket: zmq.Socket[bytes]) -> Request | None:
        """The next message, or None when there is none, or one that is not signed with our key."""
        try:
            frames = socket.recv_multipart(zmq.NOBLOCK)
        except zmq.Again:
            return None
        try:
            at = frames.index(DELIMITER)
            parts = frames[at + 2 : at + 6]
            if not hmac.compare_digest(self._sign(parts), frames[at + 1]):
                return None
            header, parent, metadata, content = (json.loads(part) for part in parts)
        except (ValueError, IndexError):
            return None
        return Request(frames[:at], header, parent, metadata, content)

    def _sign(self, parts: list[bytes]) -> bytes:
        if not self._key:
            return b""
        return hmac.new(self._key, b"".join(parts), hashlib.sha256).hexdigest().encode()


def address(connection: Mapping[str, Any], port: str) -> str:
    """Where a socket of a connection file is."""
    between = "-" if connection["transport"] == "ipc" else ":"
    return f"{connection['transport']}://{connection['ip']}{between}{connection[port]}"


class Client:
    """The other side, for a kernel that is behind this one."""

    def __init__(self, connection: Mapping[str, Any]) -> None:
        self._signed = Signed(connection["key"])
        self._context = zmq.Context()
        self._sockets = {
            "iopub": self._context.socket(zmq.SUB),
            "shell": self._context.socket(zmq.DEALER),
            "control": self._context.socket(zmq.DEALER),
        }
        self._sockets["iopub"].subscribe(b"")
        self.sockets = list(self._sockets.values())
        for name, each in self._sockets.items():
            each.linger = 0
            # A kernel that starts is looked for every few milliseconds.
            each.reconnect_ivl = 10
            each.connect(address(connection, f"{name}_port"))

    def ask(self, kind: str, content: Mapping[str, Any], *, control: bool = False) -> str:
        """Sends a request; its answers name the id that is given back."""
        number, frames = self._signed.pack({}, kind, content)
        self._sockets["control" if control else "shell"].send_multipart(frames)
        return number

    def messages(self) -> Iterator[tuple[str, Request]]:
        """What has come since the last call, of each socket a bounded number."""
        for name, each in self._sockets.items():
            for _ in range(TAKEN_AT_ONCE):
                message = self._signed.receive(each)
                if message is None:
                    break
                yield name, message

    def close(self) -> None:
        """Leaves at once."""
        self._context.destroy(linger=0)


class Wire:
    """The five sockets of one kernel."""

    def __init__(self, connection_file: str) -> None:
        connection = json.loads(Path(connection_file).read_text())
        self._signed = Signed(connection["key"])
        self._pending: deque[list[bytes]] = deque()
        self._context = zmq.Context()
        self.iopub = self._bind(zmq.XPUB, connection, "iopub_port")
        self.shell = self._bind(zmq.ROUTER, connection, "shell_port")
        self.control = self._bind(zmq.ROUTER, connection, "control_port")
        self.stdin = self._bind(zmq.ROUTER, connection, "stdin_port")
        self.heartbeat = self._bind(zmq.REP, connection, "hb_port")

    def _bind(self, kind: int, connection: Mapping[str, Any], port: str) -> zmq.Socket[bytes]:
        socket = self._context.socket(kind)
        socket.linger = 1000
        if kind == zmq.XPUB:
            socket.sndhwm = UNSENT_MESSAGES
            socket.setsockopt(zmq.XPUB_NODROP, 1)
        socket.bind(address(connection, port))
        return socket

    def receive(self, socket: zmq.Socket[bytes]) -> Request | None:
        """The next message of clients, if there is a good one."""
        return self._signed.receive(socket)

    def reply(
        self, socket: zmq.Socket[bytes], request: Request, kind: str, content: Mapping[str, Any]
    ) -> None:
        """Answers whoever asked."""
        socket.send_multipart([*request.identities, *self._message(request, kind, content)])

    def publish(self, request: Request | None, kind: str, content: Mapping[str, Any]) -> None:
        """Tells everybody."""
        self._pending.append([kind.encode(), *self._message(request, kind, content)])
        self.flush()

    def flush(self) -> bool:
        """Sends what the readers have room for; whether everything is out."""
        while self._pending:
            try:
                self.iopub.send_multipart(self._pending[0], zmq.NOBLOCK)
            except zmq.Again:
                return False
            self._pending.popleft()
        return True

    def _message(self, request: Request | None, kind: str, content: Mapping[str, Any]) -> list[bytes]:
        return self._signed.pack(request.header if request else {}, kind, content)[1]

    def close(self) -> None:
        """Waits a moment for what is unsent."""
        self._context.destroy(linger=500)
