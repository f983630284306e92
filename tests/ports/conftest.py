"""A sandbox with a web server in it, made through the stock client."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.web import Web, serve

LIFETIME_SECONDS = 600


@pytest.fixture(scope="module")
def web(server, wire) -> Iterator[Web]:
    sandbox = Sandbox.create(timeout=LIFETIME_SECONDS)
    yield serve(wire, sandbox)
    sandbox.kill()
