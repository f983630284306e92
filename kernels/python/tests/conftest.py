"""Fixtures: figures that are closed again, and real kernels that die with their test module."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from real_kernel import RealKernel
from wire_kernel import ForkServer, WireKernel

matplotlib.use("agg")


@pytest.fixture
def chart() -> Iterator[Callable[..., dict[str, Any]]]:
    """Reads the chart of the current figure, after a trip through strict JSON."""
    import matplotlib.pyplot as plt

    from soulbox_kernel.charts.figure import figure_chart

    def read(figure: Any = None) -> dict[str, Any]:
        return json.loads(json.dumps(figure_chart(figure or plt.gcf()), allow_nan=False))

    plt.close("all")
    yield read
    plt.close("all")


@pytest.fixture(scope="session")
def fork_server() -> Iterator[ForkServer]:
    """The warmed process that all wire kernels are forks of."""
    server = ForkServer()
    yield server
    server.stop()


@contextmanager
def _directory() -> Iterator[Path]:
    # Not tmp_path: the path of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sbk") as directory:
        yield Path(directory)


def _kernel(request: pytest.FixtureRequest, *arguments: str) -> Iterator[RealKernel]:
    with _directory() as directory:
        if request.param == "wire":
            server = request.getfixturevalue("fork_server")
            kernel: RealKernel = WireKernel(server, directory, exercise="--warm" in arguments)
        else:
            kernel = RealKernel(directory, *arguments)
        yield kernel
        kernel.stop()


@pytest.fixture(scope="module", params=["zmq", "wire"])
def kernel(request: pytest.FixtureRequest) -> Iterator[RealKernel]:
    """A kernel as a second context gets it, over both transports; shared by a module's tests."""
    yield from _kernel(request)


@pytest.fixture(scope="module")
def cold_kernel() -> Iterator[RealKernel]:
    """A kernel whose process has run nothing."""
    with _directory() as directory:
        kernel = RealKernel(directory)
        yield kernel
        kernel.stop()


@pytest.fixture(scope="module", params=["zmq", "wire"])
def warm_kernel(request: pytest.FixtureRequest) -> Iterator[RealKernel]:
    """A kernel as a claimed sandbox has it, over both transports; shared by a module's tests."""
    yield from _kernel(request, "--warm")


@pytest.fixture
def wire_kernel(fork_server: ForkServer) -> Iterator[WireKernel]:
    """A forked kernel of one test alone."""
    with _directory() as directory:
        kernel = WireKernel(fork_server, directory)
        yield kernel
        kernel.stop()
