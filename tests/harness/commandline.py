"""What the command line needs to find a server that the stories have started."""

from __future__ import annotations

import os

from .server import Server

# A command that takes longer than this hangs.
PATIENCE_SECONDS = 60


def environment(server: Server) -> dict[str, str]:
    return {**os.environ, "SOULBOX_URL": server.url, "SOULBOX_API_KEY": server.key}
