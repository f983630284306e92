"""A server with HTTPS under a domain of its own, and the names below it."""

from __future__ import annotations

import re
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from harness.names import Names
from harness.plugin import started
from harness.server import Server

NAME = "box.test"
OPTIONS = ("--domain", NAME, "--tls-local", "--tls-listen", "127.0.0.1:0", "--pool", "code-interpreter-v1=1")


@dataclass
class Domain:
    server: Server
    names: Names
    port: int
    # Connections that were made first of all and have said nothing since.
    silent: list[socket.socket]

    @property
    def authority(self) -> Path:
        return self.server.data / "tls" / NAME / "ca.pem"

    def settings(self) -> dict[str, str]:
        """All that a client is told."""
        return {
            "E2B_DOMAIN": f"{NAME}:{self.port}",
            "E2B_API_KEY": self.server.key,
            "SSL_CERT_FILE": str(self.authority),
            "NODE_EXTRA_CA_CERTS": str(self.authority),
        }


@pytest.fixture(scope="package")
def domain() -> Iterator[Domain]:
    server = started(OPTIONS)
    port = re.search(rf"https://api\.{NAME}:(\d+)", server.output.read_text())
    names = Names(NAME)
    assert port, server.output.read_text()
    silent = [socket.create_connection(("127.0.0.1", int(port[1])), timeout=60) for _ in range(20)]
    yield Domain(server, names, int(port[1]), silent)
    for one in silent:
        one.close()
    names.close()
    server.stop()
