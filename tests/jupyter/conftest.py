"""Jupyter clients against the one server, and kernels that end with their story."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from harness.jupyter import Jupyter, Kernel
from harness.server import Server


@pytest.fixture(scope="session")
def jupyter(server: Server) -> Jupyter:
    """The REST side of the server."""
    return Jupyter(server.wire)


@pytest.fixture
def start(jupyter: Jupyter) -> Iterator[Callable[..., Kernel]]:
    """Starts kernels that are ended when the story ends, however it ends."""
    made: list[Kernel] = []

    def start(**body: object) -> Kernel:
        made.append(jupyter.start(**body))
        return made[-1]

    yield start
    for kernel in made:
        kernel.end()


@pytest.fixture(scope="module")
def kernel(jupyter: Jupyter) -> Iterator[Kernel]:
    """One kernel for all stories of a file that do not disturb each other."""
    made = jupyter.start()
    yield made
    made.end()
