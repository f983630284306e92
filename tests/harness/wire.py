"""Plain HTTP to the server, for what no SDK sends and for what no SDK shows.

Only the standard library: an HTTP client that normalises anything would hide exactly the
bytes that these stories are about.
"""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

ENVD_PORT = 49983
INTERPRETER_PORT = 49999
# Longer than anything that a healthy server lets a client wait for.
TIMEOUT_SECONDS = 120


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


class Wire:
    """A server's front door, with a key."""

    def __init__(self, url: str, key: str):
        parts = urlsplit(url)
        self.host, self.port, self.key = parts.hostname or "", parts.port or 80, key

    def connect(self, timeout: float = TIMEOUT_SECONDS) -> http.client.HTTPConnection:
        return http.client.HTTPConnection(self.host, self.port, timeout=timeout)

    def send(
        self, method: str, path: str, body: bytes | None = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """One request on one connection, with exactly these headers."""
        connection = self.connect()
        try:
            connection.request(method, path, body=body, headers=headers or {})
            response = connection.getresponse()
            got = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, got, response.read())
        finally:
            connection.close()

    def api(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        """A control-plane request with the key."""
        sent = {"X-API-Key": self.key, **{k.replace("_", "-"): v for k, v in headers.items()}}
        payload = None
        if body is not None:
            payload = body if isinstance(body, bytes) else json.dumps(body).encode()
            sent.setdefault("Content-Type", "application/json")
        return self.send(method, path, payload, sent)

    def create(self, template: str = "code-interpreter-v1", **fields: Any) -> dict[str, Any]:
        answer = self.api("POST", "/v2/sandboxes", {"templateID": template, **fields})
        assert answer.status == 201, (answer.status, answer.body)
        return answer.json()

    def kill(self, sandbox: str) -> int:
        return self.api("DELETE", f"/sandboxes/{sandbox}").status

    def death_of(self, sandbox: str) -> dict[str, Any]:
        """What our own route tells of a dead sandbox; E2B's routes have no words for it."""
        answer = self.api("GET", f"/soulbox/v1/sandboxes/{sandbox}")
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def data(
        self, sandbox: str, port: int, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> Answer:
        """A data-plane request, routed by headers."""
        return self.send(method, path, body, {**routing(sandbox, port), **headers})

    def execute(self, sandbox: str, code: str, timeout: float = TIMEOUT_SECONDS) -> Execution:
        """Starts a cell and gives its lines as they come."""
        connection = self.connect(timeout)
        headers = {**routing(sandbox, INTERPRETER_PORT), "Content-Type": "application/json"}
        connection.request("POST", "/execute", json.dumps({"code": code}).encode(), headers)
        return Execution(connection, connection.getresponse())


class Execution:
    """A running cell. Closing it early is what a client that hangs up does."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse):
        self.connection, self.response = connection, response
        self.status = response.status

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for line in self.response:
            yield json.loads(line)

    def items(self) -> list[dict[str, Any]]:
        try:
            return list(self)
        finally:
            self.close()

    def close(self) -> None:
        self.response.close()
        self.connection.close()


def routing(sandbox: str, port: int) -> dict[str, str]:
    return {"E2b-Sandbox-Id": sandbox, "E2b-Sandbox-Port": str(port)}


def text_of(items: list[dict[str, Any]], kind: str = "stdout") -> str:
    return "".join(item["text"] for item in items if item["type"] == kind)
