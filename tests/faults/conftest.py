"""A victim, and a neighbour that must not notice what happens to it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.neighbour import Neighbour
from harness.wire import Wire


@pytest.fixture
def neighbour(wire: Wire) -> Iterator[Neighbour]:
    made = Neighbour(wire)
    made.start()
    yield made
    made.judge()
    wire.kill(made.sandbox)


@pytest.fixture
def victim(wire: Wire) -> Iterator[str]:
    sandbox = wire.create(timeout=900)["sandboxID"]
    yield sandbox
    wire.kill(sandbox)
