"""What hostile code in a sandbox tries with the only way out that it has."""

from __future__ import annotations

import pytest
from conftest import PROXY
from e2b_code_interpreter import Sandbox
from harness.patience import eventually
from harness.wire import routing
from outside import ADDRESS, Flood, Names

# A program that asks for one destination after the other, each in three ways, and prints what
# it was told: the status of CONNECT, the status of a plain request, the reply of SOCKS.
ASKING = r"""
import socket, sys

def proxy():
    return socket.create_connection(("127.0.0.1", 28128), timeout=60)

def first_line(request):
    with proxy() as s:
        s.sendall(request)
        line = b""
        while piece := s.recv(4096):
            line += piece
            if b"\r\n" in line:
                break
        return line.split(b" ")[1].decode() if b" " in line else "closed"

def socks(host, port):
    with proxy() as s:
        name = host.strip("[]").encode()
        s.sendall(b"\x05\x01\x00" + b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big"))
        answer = b""
        while len(answer) < 4 and (piece := s.recv(4096)):
            answer += piece
        return str(answer[3])

port = int(sys.argv[1])
for host in sys.argv[2:]:
    there = f"{host}:{port}"
    connect = first_line(f"CONNECT {there} HTTP/1.1\r\nHost: {there}\r\n\r\n".encode())
    plain = first_line(f"GET http://{there}/health HTTP/1.1\r\nHost: open.test\r\n\r\n".encode())
    print(host, connect, plain, socks(host, port), sep="\t")
"""

# Opens a thousand connections, asks for the same place on each, and holds them.
CROWD = r"""
import pathlib, resource, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))
held = []
for n in range(1000):
    s = socket.socket()
    s.setblocking(False)
    s.connect_ex(("127.0.0.1", 28128))
    held.append(s)
for s in held:
    try:
        s.settimeout(0.2)
        s.sendall(f"CONNECT open.test:{sys.argv[1]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
    except OSError:
        pass
pathlib.Path("/tmp/crowded").touch()
time.sleep(600)
"""

# The gateway's own address, the clouds' metadata and private networks, in every dress.
PLACES = [
    *(
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f.0.0.1",
        "0177.0.0.01",
        "127.0.0.1.",
        "localhost",
        "LOCALHOST.",
    ),
    *("0.0.0.0", "0", "[::1]", "[::]", "[::ffff:127.0.0.1]", "[::ffff:7f00:1]", "[::127.0.0.1]"),
    *("[64:ff9b::127.0.0.1]", "[2002:7f00:1::]", "%31%32%37.0.0.1", "gateway.test", "GATEWAY.test."),
    *(
        "169.254.169.254",
        "2852039166",
        "0xa9fea9fe",
        "[::ffff:169.254.169.254]",
        "[fd00:ec2::254]",
        "metadata.test",
    ),
    *("10.0.0.1", "172.16.0.1", "192.168.1.1", "100.100.100.200", "168.63.129.16", "[fe80::1]", "224.0.0.1"),
    *("255.255.255.255", "192.0.2.1", "198.18.0.1", "x@127.0.0.1", "open.test@127.0.0.1"),
]
# Refused, malformed, unknown: and never connected.
TOLD = {"403", "400", "502", "closed"}
SOCKS_TOLD = {"1", "2", "4"}


@pytest.fixture(scope="module")
def hostile(inside: Sandbox) -> Sandbox:
    inside.files.write("/tmp/asking.py", ASKING)
    return inside


def test_no_spelling_reaches_this_machine_or_its_neighbours(hostile, gate):
    words = " ".join(f"'{place}'" for place in PLACES)
    done = hostile.commands.run(f"python3 /tmp/asking.py {gate.wire.port} {words}", timeout=120)
    rows = [line.split("\t") for line in done.stdout.splitlines()]
    assert [row[0] for row in rows] == PLACES
    for place, connect, plain, socks in rows:
        assert connect in TOLD and plain in TOLD and socks in SOCKS_TOLD, (place, connect, plain, socks)


def test_allowing_a_private_address_does_not_open_it(hostile, gate, fetch):
    here = f"http://127.0.0.1:{gate.wire.port}/health"
    hostile.update_network({"allow_out": ["127.0.0.0/8", "gateway.test"], "deny_out": ["0.0.0.0/0"]})
    proxied = ("--noproxy", "-", "-x", f"http://{PROXY}")
    told = [fetch(hostile, url, *proxied) for url in (here, here.replace("127.0.0.1", "gateway.test"))]
    hostile.update_network({})
    assert [answer[:3] for answer in told] == ["403", "403"]


def test_a_name_that_changes_its_mind_leads_only_to_what_was_judged(hostile, outside, gate, fetch):
    port = outside.port("pages")
    told = {fetch(hostile, f"http://flips.test:{port}/")[:3] for _ in range(6)}
    # Never an answer of this machine: its port would say something else than 200 or 403.
    assert told <= {"200", "403"} and Names.asked["flips.test"] > 1
    assert fetch(hostile, f"http://flips.test:{gate.wire.port}/health")[:3] in {"403", "502"}


def test_a_redirect_is_judged_like_any_destination(hostile, outside, gate, fetch):
    target = f"http://gateway.test:{gate.wire.port}/health"
    assert fetch(hostile, outside.url(f"/away?{target}"), "-L").startswith("403")


def test_strangers_cannot_go_out_through_a_sandbox(hostile, gate, outside):
    """The proxy's port is no port of the sandbox for whoever may reach those."""
    headers = routing(hostile.sandbox_id, 28128)
    answer = gate.wire.send("GET", outside.url(), headers=headers)
    assert answer.status == 502 and b"port is not open" in answer.body


def test_a_head_without_end_is_given_up(hostile, outside, fetch):
    code = """
import itertools, socket
s = socket.create_connection(("127.0.0.1", 28128))
s.sendall(b"GET http://open.test/ HTTP/1.1\\r\\n")
try:
    for n in range(1_000_000):
        s.sendall(b"X-%d: y\\r\\n" % n)
    print("took all")
except OSError as error:
    print("given up")
"""
    assert hostile.run_code(code).logs.stdout == ["given up\n"]
    assert fetch(hostile, outside.url()).startswith("200")


def test_a_thousand_connections_hurt_nobody_else(hostile, create, outside, fetch):
    hostile.files.write("/tmp/crowd.py", CROWD)
    crowd = hostile.commands.run(f"python3 /tmp/crowd.py {outside.port('echo')}", background=True, timeout=0)
    eventually(lambda: hostile.files.exists("/tmp/crowded"))
    assert fetch(create(template="base"), outside.url()).startswith("200")
    crowd.kill()
    # Places are free as soon as the closed ones are noticed; curl waits for one.
    assert fetch(hostile, outside.url()).startswith("200")


def test_a_reader_that_stalls_stops_its_sender(hostile, outside, fetch):
    begun = Flood.taken
    code = f"""
import socket
s = socket.create_connection(("127.0.0.1", 28128))
s.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 65536)
s.sendall(b"CONNECT {ADDRESS}:{outside.port("flood")} HTTP/1.1\\r\\nHost: x\\r\\n\\r\\n")
print(s.recv(4096).split(b" ")[1])
"""
    assert hostile.run_code(code).logs.stdout == ["b'200'\n"]
    # Others pass it meanwhile, and what it holds up is what the buffers between hold.
    assert len([fetch(hostile, outside.url()) for _ in range(3)]) == 3
    assert Flood.taken - begun < 32 << 20
    hostile.run_code("s.close()")
