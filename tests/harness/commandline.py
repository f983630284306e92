"""What the command line needs to find a server that the stories have started."""

from __future__ import annotations

import os
import subprocess

from .server import BINARY, Server

# A command that takes longer than this hangs.
PATIENCE_SECONDS = 60


def environment(server: Server) -> dict[str, str]:
    return {**os.environ, "SOULBOX_URL": server.url, "SOULBOX_API_KEY": server.key}


def fed(server: Server, code: bytes, *words: str) -> subprocess.Popen[bytes]:
    """A command that runs, with the code on its standard input and all of its output to be read."""
    running = subprocess.Popen(
        [str(BINARY), *words],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(server),
    )
    assert running.stdin
    running.stdin.write(code)
    running.stdin.close()
    # `communicate` would write to it.
    running.stdin = None
    return running
