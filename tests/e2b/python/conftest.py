"""Sandboxes for the Python stories, made and killed through the stock client."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest
from e2b_code_interpreter import Sandbox

# Long enough for a module of stories on a busy two-core machine, short enough to end by itself.
LIFETIME_SECONDS = 600


@pytest.fixture(scope="module")
def sandbox(server) -> Iterator[Sandbox]:
    """One code interpreter for all stories of a file that do not disturb each other."""
    made = Sandbox.create(timeout=LIFETIME_SECONDS)
    yield made
    made.kill()


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


@pytest.fixture
def mark() -> dict[str, str]:
    """Metadata that nobody else's sandbox carries, so that lists show this story's only."""
    return {"story": uuid.uuid4().hex}
