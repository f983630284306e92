"""The vendor's own command line, stock, against this server: sandboxes, commands, terminals, logs.

Contract: section 1, and rows 14 and 16 of the table in section 2.1.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator

import pytest
from harness.javascript import CACHE, GENERATIONS
from harness.patience import eventually
from harness.server import Server
from harness.typed import Typed
from harness.wire import Wire

# A command of this tool that takes longer hangs.
PATIENCE_SECONDS = 120


class Tool:
    """One generation of the package, with a home of its own, so that it finds no login."""

    def __init__(self, generation: str, server: Server, home: str):
        program = CACHE / f"npm/cli-{generation}/node_modules/@e2b/cli/dist/index.js"
        assert program.exists(), f"{program} is missing: run tests/setup.sh"
        self.command = [str(CACHE / "node"), str(program)]
        self.environment = {**os.environ, **server.settings(), "HOME": home}

    def __call__(self, *words: str, input: str = "") -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*self.command, *words],
            input=input,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            env=self.environment,
        )

    def told(self, *words: str) -> str:
        done = self(*words)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def listed(self) -> dict[str, dict]:
        return {item["sandboxId"]: item for item in json.loads(self.told("sandbox", "list", "-f", "json"))}


@pytest.fixture(params=GENERATIONS)
def e2b(request, server: Server, tmp_path) -> Tool:
    return Tool(request.param, server, str(tmp_path))


@pytest.fixture(scope="module")
def sandbox(wire: Wire) -> Iterator[str]:
    made = wire.create("base", timeout=900)["sandboxID"]
    yield made
    wire.kill(made)


def test_a_sandbox_from_its_start_to_its_end(e2b):
    said = e2b.told("sandbox", "create", "base", "--detach")
    identity = next(name for name in e2b.listed() if name in said)
    assert e2b.listed()[identity]["state"] == "running"
    assert identity in e2b.told("sandbox", "info", identity)
    assert "has been killed" in e2b.told("sandbox", "kill", identity)
    assert "wasn't found" in e2b("sandbox", "kill", identity).stderr
    assert identity not in e2b.told("sandbox", "list")


def test_a_command_has_its_streams_and_its_status(e2b, sandbox):
    done = e2b("sandbox", "exec", sandbox, "sh -c 'cat; echo why >&2; exit 7'", input="what went in\n")
    assert (done.returncode, done.stdout) == (7, "what went in\n") and "why\n" in done.stderr
    options = ["--user", "root", "--cwd", "/tmp", "--env", "WORD=said"]
    assert e2b.told("sandbox", "exec", *options, sandbox, "whoami; pwd; echo $WORD") == "root\n/tmp\nsaid\n"


def test_logs_and_metrics_are_read(e2b, sandbox):
    e2b.told("sandbox", "exec", sandbox, "true")
    lines = e2b.told("sandbox", "logs", sandbox, "--format", "json").splitlines()
    logs = [json.loads(line) for line in lines if line.startswith("{")]
    assert {"logger": "envd", "level": "info", "message": "a process was started"}.items() <= logs[-1].items()
    assert "a process was started" in e2b.told("sandbox", "logs", sandbox)

    def metrics() -> list[str]:
        shown = e2b.told("sandbox", "metrics", sandbox, "--format", "json")
        return [line for line in shown.splitlines() if line.startswith("{")]

    sample = json.loads(eventually(metrics)[-1])
    assert sample["cpuCount"] > 0 and 0 < sample["memUsed"] <= sample["memTotal"]
    assert "Memory:" in e2b.told("sandbox", "metrics", sandbox)


@pytest.fixture
def typed(e2b, sandbox) -> Iterator[Callable[..., Typed]]:
    opened: list[Typed] = []

    def typed(*words: str) -> Typed:
        opened.append(Typed([*e2b.command, *words], e2b.environment, rows=30, columns=101))
        return opened[-1]

    yield typed
    for one in opened:
        one.close()


def test_a_terminal_in_a_sandbox(typed, sandbox):
    terminal = typed("sandbox", "connect", sandbox)
    terminal.await_text(b"$ ")
    terminal.type(b"tput cols; whoami\r")
    shown = terminal.await_text(b"user\r")
    assert b"101\r" in shown
    terminal.type(b"exit\r")
    terminal.await_text(b"Closing terminal connection")
    assert terminal.end() == 0
