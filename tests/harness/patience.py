"""Waiting for what should happen soon, with a bound and with the last answer in the error."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any


def eventually(what: Callable[[], Any], seconds: float = 30) -> Any:
    """The first truthy answer, or the last one when time is up. Refused connections are waited out."""
    deadline = time.monotonic() + seconds
    answer: Any = None
    while time.monotonic() < deadline:
        try:
            if answer := what():
                return answer
        except OSError as error:
            answer = error
        time.sleep(0.2)
    raise AssertionError(f"not within {seconds} s; last: {answer!r}")
