"""A server that knows our little world outside, and a sandbox that may reach it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2b_code_interpreter import Sandbox
from harness.plugin import started
from harness.server import Server

sys.path.insert(0, str(Path(__file__).parent))
from outside import ADDRESS, Outside

LIFETIME_SECONDS = 900

# Talks to the sandbox's own proxy, as a program without an HTTP library would.
PROXY = "127.0.0.1:28128"


@pytest.fixture(scope="package")
def outside() -> Iterator[Outside]:
    world = Outside()
    yield world
    world.close()


@pytest.fixture(scope="package")
def gate(outside: Outside) -> Iterator[Server]:
    """The server of these stories. Stock clients find it through the environment."""
    running = started(outside.options)
    where = {"name": "open.test", "address": ADDRESS, "port": outside.port("pages")}
    settings = {**running.settings(), "SOULBOX_OUTSIDE": json.dumps(where)}
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    yield running
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    running.stop()


@pytest.fixture(scope="package")
def server(gate: Server) -> Server:
    """The same under the name by which the JavaScript stories ask for it."""
    return gate


@pytest.fixture(scope="package")
def inside(gate: Server) -> Iterator[Sandbox]:
    """A sandbox with the default rules. Stories leave it as they find it."""
    sandbox = Sandbox.create(timeout=LIFETIME_SECONDS)
    yield sandbox
    sandbox.kill()


@pytest.fixture
def create(gate: Server) -> Iterator[Callable[..., Sandbox]]:
    made: list[Sandbox] = []

    def create(**options) -> Sandbox:
        made.append(Sandbox.create(timeout=LIFETIME_SECONDS, **options))
        return made[-1]

    yield create
    for sandbox in made:
        sandbox.kill()


@pytest.fixture
def fetch() -> Callable[..., str]:
    """Status and body of a URL, asked by curl in a sandbox: `200 hello`, or `failed 7`."""

    def fetch(sandbox: Sandbox, url: str, *options: str) -> str:
        words = " ".join(f"'{word}'" for word in (*options, url))
        script = f"out=$(curl -sS -m 60 -w '\\n%{{http_code}}' {words}); code=$?; "
        script += (
            "if [ $code = 0 ]; then echo \"${out##*$'\\n'} ${out%$'\\n'*}\"; else echo \"failed $code\"; fi"
        )
        return sandbox.commands.run(script, timeout=90).stdout.strip()

    return fetch
