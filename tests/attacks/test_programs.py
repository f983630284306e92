"""A hostile program on a port of a sandbox: what it answers hurts nobody but itself."""

from __future__ import annotations

import http.client
from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.patience import eventually
from harness.web import serve
from harness.wire import Wire, routing

# `nodeclient` and node agree on this (soulbox_runtime::api::TUNNELS).
TUNNELS = 400

# One attack per port: sends it, on and on where it is a generator, until the other side is gone.
ATTACKER = r"""
import itertools, socketserver, threading, time
ATTACKS = {
    9001: lambda: itertools.chain([b"HTTP/1.1 200 OK\r\n"], (b"X-%d: y\r\n" % n for n in itertools.count())),
    9002: lambda: itertools.chain([b"HTTP/1.1 200 OK\r\nX: "], itertools.repeat(b"y" * 65536)),
    9003: lambda: [b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: x\r\n\r\nraw"],
    9004: lambda: [b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nxx"],
    9005: lambda: [b"HTTP/1.1 999999 What\r\n\r\n"],
    9006: lambda: [b"\x00" * 100_000],
    9007: lambda: [],
}
class Attack(socketserver.BaseRequestHandler):
    def handle(self):
        self.request.recv(65536)
        for piece in ATTACKS[self.server.server_address[1]]():
            self.request.sendall(piece)
socketserver.ThreadingTCPServer.daemon_threads = True
for port in ATTACKS:
    server = socketserver.ThreadingTCPServer(("127.0.0.1", port), Attack)
    threading.Thread(target=server.serve_forever).start()
"""


@pytest.fixture(scope="module")
def hostile(server, wire: Wire) -> Iterator[Sandbox]:
    sandbox = Sandbox.create(timeout=600)
    sandbox.files.write("/home/user/attacker.py", ATTACKER)
    sandbox.commands.run("python3 attacker.py", background=True, timeout=0)
    last = routing(sandbox.sandbox_id, 9007)
    eventually(lambda: b"not open" not in wire.send("GET", "/", headers=last).body, 30)
    yield sandbox
    sandbox.kill()


@pytest.mark.parametrize("port", range(9001, 9008))
def test_an_answer_that_makes_no_sense_is_a_502(hostile, wire, port):
    answer = wire.send("GET", "/", headers=routing(hostile.sandbox_id, port))
    assert answer.status == 502
    assert answer.json()["code"] == 502
    assert hostile.is_running()


def test_connections_to_one_sandbox_have_a_limit_and_processes_none_of_it(wire, hostile):
    web = serve(wire, hostile)
    opened: list[http.client.HTTPConnection] = []
    refused = None
    try:
        for _ in range(TUNNELS + 20):
            connection, response = web.stream("/events")
            opened.append(connection)
            if response.status != 200:
                refused = response.status, response.read()
                break
        assert refused and refused[0] == 429, refused
        assert f'"connectionLimit":{TUNNELS}'.encode() in refused[1]
        assert hostile.commands.run("echo still here").stdout == "still here\n"
    finally:
        for connection in opened:
            connection.close()
    eventually(lambda: web.send("GET", "/").status == 200, 30)
