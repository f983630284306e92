"""The pytest side of the harness: one server per session and tier, sandboxes by module.

The tier is chosen by one variable, SOULBOX_ISOLATION. The server is stopped, and the machine
checked for what it left, in the teardown; `atexit` catches a session that dies before that.
"""

from __future__ import annotations

import atexit
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from . import javascript
from .server import ISOLATION, Server
from .wire import Wire

# A story never waits for longer than this for something that should have happened.
PATIENCE_SECONDS = 30
# Sandboxes that a story forgets end by themselves after this.
LIFETIME_SECONDS = 600


def pytest_report_header() -> str:
    return f"soulbox isolation: {ISOLATION}"


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> pytest.Collector | None:
    if file_path.name.endswith(".test.mjs"):
        return javascript.StoryFile.from_parent(parent, path=file_path)
    return None


def started(options: tuple[str, ...] = ()) -> Server:
    server = Server(options=options)
    atexit.register(server.destroy)
    try:
        return server.start()
    except BaseException:
        server.destroy()
        raise


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The one server of this session. Stock clients find it through the environment."""
    running = started()
    before = {name: os.environ.get(name) for name in running.settings()}
    os.environ.update(running.settings())
    yield running
    for name, value in before.items():
        os.environ.pop(name, None)
        if value is not None:
            os.environ[name] = value
    running.stop()


@pytest.fixture
def own_server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """A server for one story that is going to hurt it; options come by indirect parameters."""
    running = started(getattr(request, "param", ()))
    yield running
    running.stop()


@pytest.fixture
def create(server: Server) -> Iterator[Callable[..., Any]]:
    """Creates sandboxes, through the stock client, that are killed when the story ends."""
    # Not every suite has the client installed.
    from e2b_code_interpreter import Sandbox

    made: list[Sandbox] = []

    def create(*arguments: Any, **options: Any) -> Sandbox:
        options.setdefault("timeout", LIFETIME_SECONDS)
        made.append(Sandbox.create(*arguments, **options))
        return made[-1]

    yield create
    for sandbox in made:
        sandbox.kill()


@pytest.fixture(scope="session")
def wire(server: Server) -> Wire:
    return server.wire


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """The asynchronous SDKs are written for asyncio."""
    return "asyncio"


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Iterator[None]:
    """Adds the end of the server's log to a failed story."""
    outcome = yield
    report = outcome.get_result()
    if report.failed:
        for name in ("server", "own_server"):
            running = getattr(item, "funcargs", {}).get(name)
            if isinstance(running, Server):
                report.sections.append((f"log of {name}", running.tail()))
