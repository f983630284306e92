"""`soulbox port-forward`: a port of a sandbox as one of this machine, whatever is spoken on it."""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Iterator

import pytest
from harness.commandline import environment
from harness.patience import eventually
from harness.server import BINARY
from harness.wire import routing

# Sends everything back, and ends when the other side does.
ECHO = """
import socketserver
class Echo(socketserver.BaseRequestHandler):
    def handle(self):
        while piece := self.request.recv(65536):
            self.request.sendall(piece)
socketserver.ThreadingTCPServer.allow_reuse_address = True
socketserver.ThreadingTCPServer(("127.0.0.1", 7000), Echo).serve_forever()
"""


@pytest.fixture(scope="module")
def port(server, wire, sandbox) -> Iterator[int]:
    """The local port that leads to an echo server in the sandbox."""
    words = [str(BINARY), "exec", sandbox, "--", "sh", "-c", 'nohup python3 -c "$0" >/dev/null 2>&1 &', ECHO]
    assert (
        subprocess.run(words, env=environment(server), timeout=60, stdin=subprocess.DEVNULL).returncode == 0
    )
    running = subprocess.Popen(
        [str(BINARY), "port-forward", sandbox, "7000", "0"], stdout=subprocess.PIPE, env=environment(server)
    )
    assert running.stdout
    said = re.match(rb"127\.0\.0\.1:(\d+) leads to port 7000 of ", running.stdout.readline())
    assert said
    number = int(said.group(1))
    eventually(lambda: talk(number, b"x") == b"x", 30)
    yield number
    running.terminate()
    running.wait(10)


def talk(port: int, what: bytes) -> bytes:
    """Says something, then that there is no more, and reads to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=30) as connection:
        connection.sendall(what)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while piece := connection.recv(65536):
            answer += piece
        return answer


def test_bytes_pass_both_ways_and_so_does_their_end(port):
    payload = bytes(range(256)) * 512
    assert talk(port, payload) == payload


def test_connections_do_not_disturb_each_other(port):
    opened = [socket.create_connection(("127.0.0.1", port), timeout=30) for _ in range(20)]
    for number, connection in enumerate(opened):
        connection.sendall(str(number).encode())
    for number, connection in enumerate(opened):
        assert connection.recv(100) == str(number).encode()
        connection.close()


def test_a_port_where_nobody_listens_ends_the_connection(server, sandbox, port):
    running = subprocess.Popen(
        [str(BINARY), "port-forward", sandbox, "7999", "0"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(server),
    )
    assert running.stdout and running.stderr
    local = int(running.stdout.readline().split()[0].rsplit(b":", 1)[1])
    assert talk(local, b"") == b""
    assert b"port is not open" in running.stderr.readline()
    running.terminate()
    running.wait(10)


def test_the_route_wants_a_key_and_an_upgrade(wire, sandbox):
    path = f"/soulbox/v1/sandboxes/{sandbox}/ports/7000"
    upgrade = {"Connection": "Upgrade", "Upgrade": "tcp"}
    assert wire.send("GET", path, headers=upgrade).status == 401
    assert wire.api("GET", path).status == 426
    assert wire.api("GET", f"/soulbox/v1/sandboxes/{sandbox}/ports/0", **upgrade).status == 400
    unknown = wire.api("GET", "/soulbox/v1/sandboxes/iaaaaaaaaaaaaaaaaaaaa/ports/7000", **upgrade)
    assert unknown.status == 404
    # Routing headers would make it a request to the sandbox, not to us.
    assert wire.send("GET", path, headers=routing(sandbox, 7998)).status == 502
