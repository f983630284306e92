"""A sandbox with a web server in it, made through the stock client."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.web import Web, serve

LIFETIME_SECONDS = 600


@pytest.fixture(scope="module")
def web(server, wire) -> Iterator[Web]:
    sandbox = Sandbox.create(timeout=LIFETIME_SECONDS)
    yield serve(wire, sandbox)
    sandbox.kill()


@pytest.fixture
def create(server) -> Iterator[Callable[..., Sandbox]]:
    """Creates sandboxes that are killed when the story ends, however it ends."""
    made: list[Sandbox] = []

    def create(*arguments, **options) -> Sandbox:
        options.setdefault("timeout", LIFETIME_SECONDS)
        made.append(Sandbox.create(*arguments, **options))
        return made[-1]

    yield create
    for sandbox in made:
        sandbox.kill()
