"""The labels of two axes and the units in them (contract section 5.4)."""

from __future__ import annotations

import re

#: The unit in an axis label: the first `(...)` after a blank, or `[...]`.
UNIT = re.compile(r"\s\((.*?)\)|\[(.*?)\]")


def labels(x: str, y: str) -> dict[str, str | None]:
    """The label and unit keys of a chart in two dimensions; empty labels are null."""
    return {"x_label": x or None, "y_label": y or None, "x_unit": unit(x), "y_unit": unit(y)}


def unit(label: str) -> str | None:
    """The unit named in a label: `Time (s)` has `s`."""
    found = UNIT.search(label)
    if found is None:
        return None
    return found[1] if found[1] is not None else found[2]
