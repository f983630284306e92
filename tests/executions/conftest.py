"""Executions as objects, by plain HTTP on port 49999, beside the stock client in one sandbox."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.executing import Interpreter
from harness.wire import Wire


@pytest.fixture(scope="module")
def interpreter(wire: Wire) -> Iterator[Interpreter]:
    sandbox = wire.create(timeout=900)["sandboxID"]
    yield Interpreter(wire, sandbox)
    wire.kill(sandbox)
