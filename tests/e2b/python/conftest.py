"""Sandboxes for the Python stories, made and killed through the stock client."""

from __future__ import annotations

import uuid
from collections.abc import Iterator

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
def mark() -> dict[str, str]:
    """Metadata that nobody else's sandbox carries, so that lists show this story's only."""
    return {"story": uuid.uuid4().hex}
