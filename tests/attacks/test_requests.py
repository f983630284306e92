"""What a client sends to hurt the agent: forged envelopes, deep or huge JSON, endless bodies,
hundreds of streams. Everything has a bound and an answer, and the sandbox goes on."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from harness.wire import ENVD_PORT, Answer, Wire, routing

# What the agent takes in one message (`connect/envelope.rs`).
MESSAGE_BYTES = 64 << 20
# More than a client has open by any accident.
STALLED = 600

STREAM = {"Content-Type": "application/connect+json"}
UNARY = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def target(wire: Wire) -> Iterator[dict[str, Any]]:
    sandbox = wire.create("base", timeout=600)
    yield sandbox
    wire.kill(sandbox["sandboxID"])


@pytest.fixture(scope="module")
def call(wire: Wire, target) -> Callable[..., Answer]:
    def call(path: str, body: bytes, kind: dict[str, str] = UNARY, **headers: str) -> Answer:
        token = {"X-Access-Token": target["envdAccessToken"]}
        return wire.data(target["sandboxID"], ENVD_PORT, "POST", path, body, **token, **kind, **headers)

    return call


def envelope(payload: bytes, flags: int = 0, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    return bytes([flags]) + size.to_bytes(4, "big") + payload


def start(command: str) -> bytes:
    process = {"cmd": "/bin/bash", "args": ["-c", command]}
    return json.dumps({"process": process, "stdin": False}).encode()


def ending(answer: Answer) -> str | None:
    """The code with which a stream ended."""
    rest, last = answer.body, b""
    while rest:
        size = int.from_bytes(rest[1:5], "big")
        flags, last, rest = rest[0], rest[5 : 5 + size], rest[5 + size :]
        assert flags in (0, 2)
    return json.loads(last).get("error", {}).get("code")


@pytest.fixture(autouse=True)
def survives(call) -> Iterator[None]:
    """After every attack a command runs, and its output is its own."""
    yield
    answer = call("/process.Process/Start", envelope(start("echo alive")), STREAM)
    assert base64.b64encode(b"alive\n") in answer.body and ending(answer) is None


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "invalid_argument"),
        (b"\x00", "invalid_argument"),
        (envelope(b"{", length=100), "invalid_argument"),
        (envelope(b"not json"), "invalid_argument"),
        (envelope(b"\xff\xfe"), "invalid_argument"),
        (envelope(b"x", flags=1), "unimplemented"),
        (envelope(b"", length=0xFFFFFFFF), "resource_exhausted"),
        (envelope(b"", length=MESSAGE_BYTES + 1), "resource_exhausted"),
        (envelope(b"[" * 1_000_000), "invalid_argument"),
        (envelope(b'{"process":' * 10_000), "invalid_argument"),
        (envelope(start("true").replace(b"true", b"a\\u0000b")), "invalid_argument"),
    ],
)
def test_a_forged_envelope_is_refused(call, body, code):
    answer = call("/process.Process/Start", body, STREAM)
    assert (answer.status, ending(answer)) == (200, code)


def test_envelopes_of_a_client_that_never_end_are_read_one_by_one(call):
    select = envelope(b'{"start":{"process":{"pid":999999}}}')
    assert ending(call("/process.Process/StreamInput", select * 50_000, STREAM)) == "not_found"
    empty = envelope(b'{"keepalive":{}}')
    assert ending(call("/process.Process/StreamInput", empty * 50_000, STREAM)) is None


@pytest.mark.parametrize(
    "body", [b"[" * 1_000_000, b'{"a":' * 100_000, b'"' + b"x" * 1_000_000, b"\xff" * 1000]
)
def test_json_that_makes_no_sense_is_refused(call, body):
    for path in ("/filesystem.Filesystem/Stat", "/process.Process/SendInput"):
        answer = call(path, body)
        assert (answer.status, answer.json()["code"]) == (400, "invalid_argument")


def test_a_unary_message_has_a_largest_size(call):
    answer = call("/filesystem.Filesystem/Stat", b'{"path":"' + b"x" * MESSAGE_BYTES + b'"}')
    assert answer.json()["code"] == "resource_exhausted"


@pytest.mark.parametrize("headers", [10_000, 200_000])
def test_endless_headers_are_cut_off(wire, target, headers):
    connection = wire.connect()
    try:
        connection.putrequest("GET", "/health")
        for name, value in routing(target["sandboxID"], ENVD_PORT).items():
            connection.putheader(name, value)
        for number in range(headers):
            connection.putheader(f"X-{number}", "y")
        connection.endheaders()
        assert connection.getresponse().status in (400, 431)
    except (ConnectionError, http.client.HTTPException):
        pass  # It was cut off before all of them were sent.
    finally:
        connection.close()


def test_hundreds_of_streams_that_never_end_hold_up_nobody(wire, target, call):
    """Uploads that stand still, each in a stream of its own, beside which everything goes on."""
    head = {**routing(target["sandboxID"], ENVD_PORT), "X-Access-Token": target["envdAccessToken"]}
    head |= {"Content-Type": "application/octet-stream", "Content-Length": "1000000"}
    opened: list[http.client.HTTPConnection] = []
    try:
        for number in range(STALLED):
            connection = wire.connect()
            opened.append(connection)
            connection.request("POST", f"/files?path=/tmp/stalled-{number}", body=b"x", headers=head)
        assert wire.data(target["sandboxID"], ENVD_PORT, "GET", "/health").status == 204
        answer = call("/process.Process/Start", envelope(start("echo beside")), STREAM)
        assert base64.b64encode(b"beside\n") in answer.body
    finally:
        for connection in opened:
            connection.close()
