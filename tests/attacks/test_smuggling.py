"""Requests to a program in a sandbox that are two requests to somebody else: none gets through."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.patience import eventually
from harness.wire import Wire, routing

PORT = 9100

# Answers every connection with what it was sent, so that the story sees what got through.
MIRROR = """
import socketserver, time
class Mirror(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.settimeout(2)
        seen = b''
        try:
            while piece := self.request.recv(65536): seen += piece
        except TimeoutError: pass
        head = f'HTTP/1.1 200 OK\\r\\nContent-Length: {len(seen)}\\r\\nConnection: close\\r\\n\\r\\n'
        self.request.sendall(head.encode() + seen)
socketserver.ThreadingTCPServer.daemon_threads = True
socketserver.ThreadingTCPServer(('127.0.0.1', 9100), Mirror).serve_forever()
"""

HIDDEN = b"GET /hidden HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.fixture(scope="module")
def mirror(server, wire: Wire) -> Iterator[Sandbox]:
    sandbox = Sandbox.create("base", timeout=600)
    sandbox.files.write("mirror.py", MIRROR)
    sandbox.commands.run("python3 mirror.py", background=True, timeout=0)
    head = routing(sandbox.sandbox_id, PORT)
    eventually(lambda: wire.send("GET", "/", headers=head).status == 200, 30)
    yield sandbox
    sandbox.kill()


def raw(wire: Wire, sandbox: Sandbox, lines: list[bytes], body: bytes) -> bytes:
    """Sends exactly these bytes, and gives everything that comes back."""
    head = [b"POST /seen HTTP/1.1", b"Host: localhost", b"Connection: close"]
    head += [f"{name}: {value}".encode() for name, value in routing(sandbox.sandbox_id, PORT).items()]
    with socket.create_connection((wire.host, wire.port), timeout=30) as connection:
        connection.sendall(b"\r\n".join(head + lines) + b"\r\n\r\n" + body)
        answer = b""
        try:
            while piece := connection.recv(65536):
                answer += piece
        except ConnectionResetError:
            pass
        return answer


@pytest.mark.parametrize(
    "lines",
    [
        [b"Content-Length: 4", b"Transfer-Encoding: chunked"],
        [b"Transfer-Encoding: chunked", b"Content-Length: 4"],
        [b"Content-Length: 0", b"Content-Length: 4"],
        [b"Content-Length: +4"],
        [b"Content-Length: 4, 4, 5"],
        [b"Transfer-Encoding: xchunked"],
        [b"Transfer-Encoding: chunked, identity"],
        [b"Transfer-Encoding : chunked"],
        [b"X: a\r\n Transfer-Encoding: chunked"],
        [b"X: a\nTransfer-Encoding: chunked"],
        [b"X: a\rTransfer-Encoding: chunked"],
        [b"X: a\x00b"],
    ],
)
def test_one_request_stays_one(wire, mirror, lines):
    answer = raw(wire, mirror, lines, b"0\r\n\r\n" + HIDDEN)
    refused = answer.startswith((b"HTTP/1.1 4", b"HTTP/1.1 5")) or not answer
    seen = answer.partition(b"\r\n\r\n")[2]
    # What a program sees has one request line. Bytes of a body are no request as long as the head
    # that came with them says how many they are, in one way only.
    framing = seen.lower().count(b"\r\ncontent-length:") + seen.lower().count(b"\r\ntransfer-encoding:")
    assert refused or (framing <= 1 and b"GET /hidden" not in seen.partition(b"\r\n\r\n")[2]), answer


def test_a_chunked_body_arrives_as_it_was_meant(wire, mirror):
    answer = raw(wire, mirror, [b"Transfer-Encoding: chunked"], b"5\r\nhello\r\n0\r\n\r\n")
    assert answer.startswith(b"HTTP/1.1 200") and b"hello" in answer


def test_headers_of_ours_do_not_reach_the_program(wire, mirror):
    answer = raw(wire, mirror, [b"Content-Length: 0"], b"").lower()
    assert answer.startswith(b"http/1.1 200") and b"post /seen" in answer
    assert b"e2b-sandbox" not in answer
