"""What was plotted, as JSON: numbers as floats, dates as ISO text, categories as their text."""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable
from typing import Any

import numpy as np

#: Points of all artists of one axes. About 10 MB of JSON; nobody draws more from JSON.
MAX_POINTS = 250_000
#: Decimal places of angles and of the numbers of a box (contract section 5.4).
PLACES = 8
#: Labels that matplotlib gives to artists without one.
AUTOMATIC_LABEL = re.compile(r"_(?:child|container)(\d+)$")


class TooManyPointsError(ValueError):
    """The figure has no chart, since a part of its points would look like all of them."""


def check_points(count: int) -> None:
    """Raises when an axes has more points than a chart may carry."""
    if count > MAX_POINTS:
        raise TooManyPointsError(count)


def number(value: Any) -> float | None:
    """A float that JSON has, or None."""
    value = float(value)
    return value if math.isfinite(value) else None


def rounded(value: Any) -> float | None:
    """A float with the contract's decimal places, or None."""
    value = number(value)
    return None if value is None else round(value, PLACES)


def coordinates(values: Any) -> list[Any]:
    """A column of coordinates as the user gave it."""
    if np.ma.isMaskedArray(values):
        array = np.ma.filled(values.astype(object), np.nan)
    else:
        array = np.asarray(values)
    if array.dtype.kind in "biuf":
        floats = array.astype(float)
        if np.isfinite(floats).all():
            return floats.tolist()
        return [number(value) for value in floats.tolist()]
    return [coordinate(value) for value in array.ravel()]


def coordinate(value: Any) -> float | str | None:
    """One coordinate. What is neither a date nor a text must be a number."""
    if value is None or value is np.ma.masked:
        return None
    if isinstance(value, np.datetime64):
        return date_text(value)
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    if isinstance(value, str):
        return str(value)
    if isinstance(value, datetime.datetime | datetime.date | datetime.time):
        # pandas' NaT is a datetime as well, and has no date.
        return value.isoformat() if value == value else None
    if hasattr(value, "to_timestamp"):
        return value.to_timestamp().isoformat()
    return number(value)


def date_text(value: np.datetime64) -> str | None:
    """ISO text to the second, or to the microsecond where there is one."""
    if np.isnat(value):
        return None
    moment = value.astype("datetime64[us]").item()
    # Years that Python's datetime lacks come as a plain integer.
    return moment.isoformat() if isinstance(moment, datetime.datetime) else str(value)


def label(text: Any, noun: str, position: int) -> str:
    """A label to show: `_childN` and `_containerN` become "noun N", other hidden ones a count."""
    text = str(text)
    automatic = AUTOMATIC_LABEL.match(text)
    if automatic:
        return f"{noun} {automatic[1]}"
    return f"{noun} {position}" if text.startswith("_") else text


def plain(value: float) -> str:
    """A position as a label: no exponent and no `.0` where it can be avoided."""
    return f"{round(float(value), PLACES):.10g}"


def all_equal(values: Iterable[float]) -> bool:
    """Whether these lengths are the same but for rounding; of one value or none, too."""
    array = np.asarray(list(values), dtype=float)
    return bool(array.size == 0 or np.allclose(array, array[0]))
