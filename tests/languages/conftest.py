"""One sandbox of the template with all languages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox

LIFETIME_SECONDS = 600


@pytest.fixture(scope="module")
def full(server) -> Iterator[Sandbox]:
    """All stories share it: R and Java take seconds to start."""
    made = Sandbox.create(
        template="code-interpreter-full", timeout=LIFETIME_SECONDS, envs={"OF_SANDBOX": "yes"}
    )
    yield made
    made.kill()
