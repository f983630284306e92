"""Jupyter clients against the one server, and kernels that end with their story."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import pytest
from harness.jupyter import Jupyter, Kernel
from harness.plugin import started
from harness.server import Server

SETTINGS = (
    *("--jupyter-base-path", "/lab/", "--jupyter-path-tokens"),
    *("--jupyter-allow-origin", "https://lab.example.org"),
    # Longer than a busy machine needs between a kernel's start and its first use.
    *("--jupyter-cull-idle", "10", "--pool", "base=0"),
)


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


@dataclass
class Configured:
    """A second server, with every setting of the Jupyter side, and a kernel that nobody uses."""

    server: Server
    jupyter: Jupyter
    idle: Kernel


@pytest.fixture(scope="session")
def configured() -> Iterator[Configured]:
    running = started(SETTINGS)
    jupyter = Jupyter(running.wire, "/lab")
    yield Configured(running, jupyter, jupyter.start())
    running.stop()
