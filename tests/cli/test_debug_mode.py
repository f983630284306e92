"""`E2B_DEBUG=true`: stock clients skip the control plane and expect a sandbox on this machine's own
ports 49983 and 49999 (section 1.2 of the contract). `soulbox port-forward` puts one there.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import tempfile
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from harness.commandline import PATIENCE_SECONDS, environment
from harness.patience import eventually
from harness.server import BINARY

# The clients know these numbers only, so one story at a time has them.
PORTS = (49983, 49999)
LOCK = Path(tempfile.gettempdir()) / "soulbox-debug-ports.lock"
PROGRAM = """
from e2b_code_interpreter import Sandbox
sandbox = Sandbox.create()
sandbox.files.write("/tmp/here", "kept")
print(sandbox.sandbox_id, sandbox.commands.run("cat /tmp/here").stdout, sandbox.run_code("6 * 7").text)
"""


def healthy(port: int) -> bool:
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/health", timeout=5) as answer:
        return answer.status in (200, 204)


@pytest.fixture
def forwarded(server, create) -> Iterator[None]:
    sandbox = create()
    with LOCK.open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        words = [str(BINARY), "port-forward", sandbox.sandbox_id]
        running = [subprocess.Popen([*words, str(port)], env=environment(server)) for port in PORTS]
        for port in PORTS:
            eventually(lambda port=port: healthy(port))
        yield
        for one in running:
            one.terminate()
            one.wait(10)


def test_a_stock_client_in_debug_mode_works_in_a_forwarded_sandbox(forwarded):
    theirs = {name: value for name, value in os.environ.items() if not name.startswith("E2B_")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        env={**theirs, "E2B_DEBUG": "true"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
    )
    assert done.stdout.split() == ["debug_sandbox_id", "kept", "42"], done.stderr
