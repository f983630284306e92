"""Fixtures: figures that are closed again, and real kernels that die with their test module."""

from __future__ import annotations

import json
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib
import pytest

from real_kernel import RealKernel

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


def _kernel(*arguments: str) -> Iterator[RealKernel]:
    # Not tmp_path: the path of a Unix socket has at most 107 bytes.
    with tempfile.TemporaryDirectory(prefix="sbk") as directory:
        kernel = RealKernel(Path(directory), *arguments)
        yield kernel
        kernel.stop()


@pytest.fixture(scope="module")
def kernel() -> Iterator[RealKernel]:
    """A cold kernel, shared by the tests of a module."""
    yield from _kernel()


@pytest.fixture(scope="module")
def warm_kernel() -> Iterator[RealKernel]:
    """A kernel that has run its sample cells, shared by the tests of a module."""
    yield from _kernel("--warm")
