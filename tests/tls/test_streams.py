"""Thousands of streams of HTTP/2, held open or taken back at once: their sender's own affair."""

from __future__ import annotations

import json
import os
from pathlib import Path

from harness import processes
from harness.javascript import CACHE

HERE = Path(__file__).parent
CLIENT_SECONDS = 300
# Heads, windows and buffers of some thousand streams that say nothing.
FLAT_BYTES = 256 << 20


def test_thousands_of_streams_hurt_nobody_else(domain):
    plain = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    command = [str(CACHE / "node"), str(HERE / "streams.mjs")]
    done = domain.names.run(command, {**plain, **domain.settings()}, CLIENT_SECONDS)
    assert done.returncode == 0, done.stderr[-3000:]
    seen = json.loads(done.stdout)
    # A sandbox takes 2048 at a time.
    assert seen.pop("refused") >= 3000 - 2048
    assert seen == {"others": [200, 200, 200], "victim": 200}
    gateway = sum(processes.resident_bytes(one.pid) for one in domain.server.gateways())
    assert gateway < FLAT_BYTES, f"{gateway >> 20} MB"
