"""The command line against a running server, as an ordinary user calls it from a shell."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Iterator

import pytest
from harness.commandline import PATIENCE_SECONDS, environment
from harness.server import BINARY, Server
from harness.wire import Wire


@pytest.fixture(scope="module")
def sandbox(wire: Wire) -> Iterator[str]:
    """The id of a sandbox for all stories of a file."""
    made = wire.create("base", timeout=600)["sandboxID"]
    yield made
    wire.kill(made)


@pytest.fixture
def soulbox(server: Server) -> Callable[..., subprocess.CompletedProcess[bytes]]:
    """Runs a command to its end."""

    def run(*words: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [str(BINARY), *words],
            input=input,
            capture_output=True,
            timeout=PATIENCE_SECONDS,
            env=environment(server),
        )

    return run
