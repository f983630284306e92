"""Lists and dicts get `application/json` beside their text."""

from __future__ import annotations

from typing import Any

from soulbox_kernel.display.formatters import JSON, formatter, quiet
from soulbox_kernel.display.jsonable import to_json


def install(shell: Any) -> None:
    """Registers the JSON form of the two container types that JSON has."""
    json = formatter(shell, JSON)
    for container in (list, dict):
        json.for_type(container, quiet(to_json))
