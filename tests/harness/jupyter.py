"""A plain Jupyter client: REST by the standard library, and a kernel's channels in both framings.

Stock clients hide what is on the wire; the stories that need to see it use this one.
"""

from __future__ import annotations

import json
import struct
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from itertools import pairwise
from typing import Any
from urllib.parse import quote

from .wire import Answer, Wire

V1 = "v1.kernel.websocket.jupyter.org"
# Longer than a cold start on a busy machine.
PATIENCE_SECONDS = 90

Message = dict[str, Any]


class Jupyter:
    """The REST side of a server."""

    def __init__(self, wire: Wire, base: str = ""):
        self.wire, self.base = wire, base

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """One request with the key; a body that is bytes goes as it is."""
        sent = {"Authorization": f"token {self.wire.key}"}
        sent.update({name.replace("_", "-"): value for name, value in headers.items()})
        payload = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        return self.wire.send(method, self.base + path, payload, sent)

    def json(self, method: str, path: str, body: Any = None, status: int = 200) -> Any:
        answer = self.ask(method, path, body)
        assert answer.status == status, (method, path, answer.status, answer.body)
        return answer.json() if answer.body else None

    def start(self, **body: object) -> Kernel:
        model = self.json("POST", "/api/kernels", body, 201)
        return Kernel(self, model["id"], model)

    def kernel_ids(self) -> list[str]:
        return [model["id"] for model in self.json("GET", "/api/kernels")]


@dataclass
class Kernel:
    """A live kernel, as a client knows it."""

    jupyter: Jupyter
    id: str
    model: dict[str, Any]

    @property
    def path(self) -> str:
        return f"/api/kernels/{self.id}"

    @property
    def sandbox(self) -> str:
        return self.model["sandbox"]

    def now(self) -> dict[str, Any]:
        return self.jupyter.json("GET", self.path)

    def end(self) -> int:
        return self.jupyter.ask("DELETE", self.path).status

    def interrupt(self) -> None:
        assert self.jupyter.ask("POST", f"{self.path}/interrupt", {}).status == 204

    def restart(self) -> dict[str, Any]:
        return self.jupyter.json("POST", f"{self.path}/restart", {})

    def connect(self, session: str | None = None, *, v1: bool = True) -> Channels:
        return Channels(self, session or uuid.uuid4().hex, v1)


class Channels:
    """One WebSocket on a kernel."""

    def __init__(self, kernel: Kernel, session: str, v1: bool):
        # Only the venv of the Jupyter stories has it.
        import websocket

        wire = kernel.jupyter.wire
        self.session, self.v1 = session, v1
        url = f"ws://{wire.host}:{wire.port}{kernel.jupyter.base}{kernel.path}/channels"
        self.socket = websocket.create_connection(
            f"{url}?session_id={quote(session)}&token={wire.key}",
            timeout=PATIENCE_SECONDS,
            subprotocols=[V1] if v1 else None,
            enable_multithread=True,
        )

    def send(self, kind: str, content: Message, channel: str = "shell", **metadata: object) -> str:
        header = {
            "msg_id": uuid.uuid4().hex,
            "session": self.session,
            "username": "story",
            "date": "2026-01-31T12:34:56.789012Z",
            "msg_type": kind,
            "version": "5.4",
        }
        if self.v1:
            parts = [channel.encode(), *(json.dumps(p).encode() for p in (header, {}, metadata, content))]
            self.socket.send_binary(pack(parts))
        else:
            message = {"header": header, "parent_header": {}, "metadata": metadata, "content": content}
            self.socket.send(json.dumps({**message, "channel": channel, "buffers": []}))
        return header["msg_id"]

    def execute(self, code: str, **fields: object) -> str:
        content = {"code": code, "silent": False, "store_history": True, "user_expressions": {}}
        return self.send(
            "execute_request", {**content, "allow_stdin": False, "stop_on_error": True, **fields}
        )

    def receive(self, seconds: float = PATIENCE_SECONDS) -> Message:
        """The next message. Raises when the socket is closed or time is up."""
        self.socket.settimeout(seconds)
        opcode, data = self.socket.recv_data()
        if opcode == 8:
            raise ConnectionResetError("the server closed the WebSocket")
        return unpack(data) if self.v1 else json.loads(data)

    def until(self, wanted: Callable[[Message], bool], seconds: float = PATIENCE_SECONDS) -> list[Message]:
        """Messages up to the first that is wanted."""
        deadline = time.monotonic() + seconds
        got: list[Message] = []
        while not got or not wanted(got[-1]):
            left = deadline - time.monotonic()
            assert left > 0, f"not within {seconds} s; got {[m['header']['msg_type'] for m in got]}"
            got.append(self.receive(left))
        return got

    def finish(self, parent: str, seconds: float = PATIENCE_SECONDS) -> list[Message]:
        """All that belongs to one request, up to its reply and idle."""
        replied = idle = False
        got = []
        while not (replied and idle):
            message = self.until(lambda m: m["parent_header"].get("msg_id") == parent, seconds)[-1]
            got.append(message)
            replied = replied or message["header"]["msg_type"].endswith("_reply")
            idle = idle or message["content"].get("execution_state") == "idle"
        return got

    def run(self, code: str, seconds: float = PATIENCE_SECONDS) -> list[Message]:
        return self.finish(self.execute(code), seconds)

    def text(self, code: str) -> str:
        """What a cell prints, or else its result."""
        messages = self.run(code)
        return printed(messages) or result(messages)

    def close(self) -> None:
        self.socket.close()

    def __enter__(self) -> Channels:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def kinds(messages: list[Message]) -> list[str]:
    return [message["header"]["msg_type"] for message in messages]


def printed(messages: list[Message], name: str = "stdout") -> str:
    streams = [m["content"] for m in messages if m["header"]["msg_type"] == "stream"]
    return "".join(content["text"] for content in streams if content["name"] == name)


def result(messages: list[Message]) -> str:
    found = [
        m["content"]["data"]["text/plain"] for m in messages if m["header"]["msg_type"] == "execute_result"
    ]
    return "".join(found)


def pack(parts: list[bytes]) -> bytes:
    offsets = [8 * (len(parts) + 2)]
    for part in parts:
        offsets.append(offsets[-1] + len(part))
    return struct.pack(f"<{len(offsets) + 1}Q", len(offsets), *offsets) + b"".join(parts)


def unpack(frame: bytes) -> Message:
    (count,) = struct.unpack_from("<Q", frame)
    offsets = struct.unpack_from(f"<{count}Q", frame, 8)
    parts = [frame[a:b] for a, b in pairwise(offsets)]
    header, parent, metadata, content = (json.loads(part) for part in parts[1:5])
    message = {"header": header, "parent_header": parent, "metadata": metadata, "content": content}
    return {**message, "channel": parts[0].decode(), "buffers": parts[5:]}
