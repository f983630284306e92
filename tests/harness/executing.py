"""The verbs of `/executions`, as kernels/protocol/openapi/executions.json has them."""

from __future__ import annotations

import http.client
import json
from collections.abc import Iterator
from typing import Any

from .patience import eventually
from .wire import INTERPRETER_PORT, Answer, Wire, routing

# A kernel that has to be restarted on a busy machine.
PATIENCE_SECONDS = 120


class Interpreter:
    """Port 49999 of one sandbox."""

    def __init__(self, wire: Wire, sandbox: str):
        self.wire, self.sandbox = wire, sandbox

    def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        payload = None if body is None else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", **headers}
        return self.wire.data(self.sandbox, INTERPRETER_PORT, method, path, payload, **sent)

    def start(self, code: str, **fields: Any) -> dict[str, Any]:
        answer = self.ask("POST", "/executions", {"code": code, **fields})
        assert answer.status in (200, 201), (answer.status, answer.body)
        return answer.json()

    def shown(self, execution: str) -> dict[str, Any]:
        answer = self.ask("GET", f"/executions/{execution}")
        assert answer.status == 200, (answer.status, answer.body)
        return answer.json()

    def state(self, execution: str, state: str) -> dict[str, Any]:
        """Waits until it stands there."""

        def there() -> dict[str, Any] | None:
            shown = self.shown(execution)
            return shown if shown["state"] == state else None

        return eventually(there, PATIENCE_SECONDS)

    def events(self, execution: str, start: int = 1) -> list[dict[str, Any]]:
        """All events from a number to the end, signs of life left out."""
        answer = self.ask("GET", f"/executions/{execution}/events?from={start}")
        assert answer.status == 200, (answer.status, answer.body)
        lines = [json.loads(line) for line in answer.body.splitlines()]
        return [line for line in lines if line["type"] != "keepalive"]

    def follow(self, execution: str, query: str = "", **headers: str) -> Follower:
        connection = self.wire.connect(PATIENCE_SECONDS)
        sent = {**routing(self.sandbox, INTERPRETER_PORT), **headers}
        connection.request("GET", f"/executions/{execution}/events{query}", headers=sent)
        return Follower(connection, connection.getresponse())

    def run(self, code: str, **fields: Any) -> list[dict[str, Any]]:
        return self.events(self.start(code, **fields)["id"])


class Follower:
    """A reader that can leave."""

    def __init__(self, connection: http.client.HTTPConnection, response: http.client.HTTPResponse):
        self.connection, self.response = connection, response

    def lines(self) -> Iterator[str]:
        for line in self.response:
            yield line.decode().rstrip("\n")

    def until(self, kind: str) -> None:
        """Reads on to an event of this type."""
        for line in self.lines():
            if json.loads(line)["type"] == kind:
                return
        raise AssertionError(f"ended before {kind}")

    def leave(self) -> None:
        self.response.close()
        self.connection.close()


def printed(events: list[dict[str, Any]]) -> str:
    return "".join(event["text"] for event in events if event["type"] == "stdout")


def numbers(events: list[dict[str, Any]]) -> list[int]:
    return [event["seq"] for event in events]
