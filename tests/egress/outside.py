"""The world as sandboxes see it: servers of our own on loopback addresses that no machine uses.

The server under test is told that sandboxes may reach 127.77.0.0/16, and to ask our name server.
Everything else of the machine, its other loopback addresses included, stays closed to them.
"""

from __future__ import annotations

import http.server
import io
import json
import socket
import socketserver
import struct
import tarfile
import threading
import zipfile
from collections import Counter
from collections.abc import Callable
from typing import ClassVar

# What the server under test opens.
BLOCK = "127.77.0.0/16"
ADDRESS = "127.77.0.1"
# Where nothing listens, in the opened block.
SILENT = "127.77.0.9"
PAGE = b"hello from outside\n"
LARGE_BYTES = 20_000_000
WHEEL = "tiny-1.0-py3-none-any.whl"
NPM_PACKAGE = "soulbox-tiny"
NPM_VERSIONS = ("1.0.0", "2.1.0")


def wheel() -> bytes:
    """The smallest package that pip takes."""
    made = io.BytesIO()
    with zipfile.ZipFile(made, "w") as archive:
        archive.writestr("tiny.py", "")
        about = "tiny-1.0.dist-info"
        archive.writestr(f"{about}/METADATA", "Metadata-Version: 2.1\nName: tiny\nVersion: 1.0\n")
        archive.writestr(f"{about}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{about}/RECORD", "")
    return made.getvalue()


def npm_package(version: str) -> bytes:
    """The smallest package that npm takes: it says its version."""
    made = io.BytesIO()
    files = {
        "package.json": json.dumps({"name": NPM_PACKAGE, "version": version, "main": "index.js"}),
        "index.js": f"module.exports = {{ version: {version!r} }}",
        "inside.js": "module.exports = 'a file of it'",
    }
    with tarfile.open(fileobj=made, mode="w:gz") as archive:
        for name, text in files.items():
            entry = tarfile.TarInfo(f"package/{name}")
            entry.size = len(text)
            archive.addfile(entry, io.BytesIO(text.encode()))
    return made.getvalue()


def npm_document(registry: str) -> bytes:
    """What a registry says of that package."""
    versions = {
        version: {
            "name": NPM_PACKAGE,
            "version": version,
            "dist": {"tarball": f"{registry}/{version}.tgz"},
        }
        for version in NPM_VERSIONS
    }
    tags = {"latest": NPM_VERSIONS[-1]}
    return json.dumps({"name": NPM_PACKAGE, "dist-tags": tags, "versions": versions}).encode()


class Pages(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        path = self.path.partition("?")[0]
        if path == "/large":
            self.answer(b"x" * LARGE_BYTES)
        elif path == "/half":
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"half")
            self.close_connection = True
        elif path == "/away":
            self.send_response(302)
            self.send_header("Location", self.path.partition("?")[2])
            self.send_header("Content-Length", "0")
            self.end_headers()
        elif path == "/headers":
            self.answer(str(self.headers).encode())
        elif path == "/simple/tiny/":
            self.answer(f'<a href="/{WHEEL}">{WHEEL}</a>'.encode(), "text/html")
        elif path == f"/{WHEEL}":
            self.answer(wheel())
        elif path == f"/npm/{NPM_PACKAGE}":
            self.answer(npm_document(f"http://{self.headers['Host']}/npm"), "application/json")
        elif path.startswith("/npm/") and path.endswith(".tgz"):
            self.answer(npm_package(path.removeprefix("/npm/").removesuffix(".tgz")))
        elif path == "/npm/silent":
            # Until the other side gives up.
            self.rfile.read(1)
            self.close_connection = True
        elif path.startswith("/npm/"):
            self.send_error(404)
        else:
            self.answer(PAGE)

    def do_POST(self) -> None:
        body = b""
        if self.headers.get("Transfer-Encoding") == "chunked":
            while size := int(self.rfile.readline(), 16):
                body += self.rfile.read(size)
                self.rfile.readline()
            self.rfile.readline()
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        self.answer(f"{len(body)} bytes\n".encode())

    def answer(self, body: bytes, kind: str = "text/plain") -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


class Echo(socketserver.BaseRequestHandler):
    """Says back what it hears, and how much that was once the other side has said all."""

    def handle(self) -> None:
        heard = 0
        try:
            while data := self.request.recv(65536):
                heard += len(data)
                self.request.sendall(data)
            self.request.sendall(b"heard %d" % heard)
        except OSError:
            pass


class Flood(socketserver.BaseRequestHandler):
    """Says zeros without end, and counts what was taken."""

    taken = 0

    def handle(self) -> None:
        try:
            while True:
                Flood.taken += self.request.send(bytes(65536))
        except OSError:
            pass


class Threads(socketserver.ThreadingTCPServer):
    allow_reuse_address = daemon_threads = True
    request_queue_size = 512


class Pageserver(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512


class Names(socketserver.BaseRequestHandler):
    """A name server for IPv4, which counts. `flips.test` means something else at each question."""

    asked: ClassVar[Counter[str]] = Counter()
    known: ClassVar[dict[str, Callable[[int], str]]] = {
        "open.test": lambda _: ADDRESS,
        "other.open.test": lambda _: ADDRESS,
        "closed.test": lambda _: ADDRESS,
        "gateway.test": lambda _: "127.0.0.1",
        "metadata.test": lambda _: "169.254.169.254",
        "flips.test": lambda times: ADDRESS if times % 2 else "127.0.0.1",
    }

    def handle(self) -> None:
        message, reply_to = self.request
        labels, at = [], 12
        while size := message[at]:
            labels.append(message[at + 1 : at + 1 + size].decode().lower())
            at += size + 1
        question = message[12 : at + 5]
        (kind,) = struct.unpack(">H", message[at + 1 : at + 3])
        name, answers = ".".join(labels), []
        meant = self.known.get(name)
        if kind == 1:
            Names.asked[name] += 1
            if meant:
                answers.append(socket.inet_aton(meant(Names.asked[name])))
        flags = 0x8180 if meant else 0x8183
        head = message[:2] + struct.pack(">HHHHH", flags, 1, len(answers), 0, 0)
        records = b"".join(b"\xc0\x0c" + struct.pack(">HHIH", 1, 1, 0, 4) + data for data in answers)
        reply_to.sendto(head + question + records, self.client_address)


class Outside:
    """All servers; each on a free port of its own."""

    def __init__(self) -> None:
        names = socketserver.ThreadingUDPServer((ADDRESS, 0), Names)
        self.servers = {
            "pages": Pageserver((ADDRESS, 0), Pages),
            "echo": Threads((ADDRESS, 0), Echo),
            "flood": Threads((ADDRESS, 0), Flood),
            "names": names,
        }
        for server in self.servers.values():
            threading.Thread(target=server.serve_forever, daemon=True).start()

    def port(self, name: str) -> int:
        return self.servers[name].server_address[1]

    def url(self, path: str = "/", host: str = "open.test") -> str:
        return f"http://{host}:{self.port('pages')}{path}"

    @property
    def options(self) -> tuple[str, ...]:
        """How the server under test is told of all this."""
        dns = f"{ADDRESS}:{self.port('names')}"
        return ("--egress-allow", BLOCK, "--egress-dns", dns, "--pool", "code-interpreter-v1=1")

    def close(self) -> None:
        for server in self.servers.values():
            server.shutdown()
            server.server_close()
