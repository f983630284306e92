"""Turning Python values into JSON values, within bounds.

The rules of the vendor's kernel: numpy and dates are converted, keys become strings, a number that
JSON lacks becomes null, and anything else makes the whole value "not convertible". A value over
the bounds is not convertible either, since half a list would be a lie.
"""

from __future__ import annotations

import dataclasses
import datetime
import decimal
import enum
import math
import sys
import uuid
from typing import Any

#: Values in one result, counting containers. About 10 MB of JSON and half a second of work.
MAX_VALUES = 1_000_000
#: Characters of all strings in one result.
MAX_CHARACTERS = 16 << 20
#: Nesting. Readers of JSON (the agent's, JavaScript's) stop somewhere above 100.
MAX_DEPTH = 64
#: Integers outside of 64 bits lose digits in most readers.
INTEGERS = range(-(1 << 63), 1 << 64)


class NotConvertibleError(ValueError):
    """This value has no honest JSON form within the bounds."""


class Converter:
    """Converts the parts of one result, which share the bounds."""

    def __init__(self, *, text_for_others: bool = False) -> None:
        # Tables show a cell of any type; a list with such a value has no JSON.
        self._text_for_others = text_for_others
        self._values_left = MAX_VALUES
        self._characters_left = MAX_CHARACTERS

    def convert(self, value: Any, depth: int = 0) -> Any:
        """Returns `value` as what `json.dumps(allow_nan=False)` takes."""
        self._values_left -= 1
        if self._values_left < 0 or depth > MAX_DEPTH:
            raise NotConvertibleError
        if value is None or value is True or value is False:
            return value
        if isinstance(value, enum.Enum):
            return self.convert(value.value, depth + 1)
        if isinstance(value, str):
            return self._text(value)
        if isinstance(value, int):
            return self._integer(int(value))
        if isinstance(value, float):
            return float(value) if math.isfinite(value) else None
        if isinstance(value, dict):
            # Not an update of an existing dict: two keys with one text are two entries of one name
            # in no JSON reader, and the last one wins as in the vendor's.
            return {self._key(key): self.convert(v, depth + 1) for key, v in value.items()}
        if isinstance(value, list | tuple):
            return [self.convert(item, depth + 1) for item in value]
        return self._other(value, depth)

    def count(self, values: int) -> None:
        """Takes `values` from the bound for values that are converted elsewhere."""
        self._values_left -= values
        if self._values_left < 0:
            raise NotConvertibleError

    def _text(self, value: str) -> str:
        self._characters_left -= len(value)
        if self._characters_left < 0:
            raise NotConvertibleError
        if not value.isascii():
            # A lone surrogate has no UTF-8 form; the error is a ValueError like ours.
            value.encode()
        return str(value)

    def _integer(self, value: int) -> int:
        if value not in INTEGERS:
            raise NotConvertibleError
        return value

    def _key(self, key: Any) -> str:
        if isinstance(key, str):
            return self._text(key)
        converted = self._other(key, 0) if type(key) not in PLAIN_KEYS else key
        if converted is None or isinstance(converted, bool):
            return {None: "null", True: "true", False: "false"}[converted]
        if isinstance(converted, str | int | float):
            return self._text(str(converted))
        raise NotConvertibleError

    def _other(self, value: Any, depth: int) -> Any:
        if _is_missing(value):
            return None
        if isinstance(value, datetime.timedelta):
            return duration(value)
        if isinstance(value, datetime.datetime | datetime.date | datetime.time):
            return value.isoformat()
        if isinstance(value, uuid.UUID):
            return str(value)
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            fields = {f.name: getattr(value, f.name) for f in dataclasses.fields(value)}
            return self.convert(fields, depth + 1)
        numpy = sys.modules.get("numpy")
        if numpy is not None:
            if isinstance(value, numpy.datetime64):
                return None if numpy.isnat(value) else str(value)
            if isinstance(value, numpy.ndarray):
                self.count(value.size)
                self._values_left += value.size
                if value.dtype.kind == "M":
                    value = value.astype(str)
                return self.convert(value.tolist(), depth)
            if isinstance(value, numpy.generic) and value.dtype.kind in "biufU":
                return self.convert(value.item(), depth)
        if self._text_for_others:
            if isinstance(value, decimal.Decimal):
                return float(value) if value.is_finite() else None
            return self._text(str(value))
        raise NotConvertibleError


#: Types whose values are keys as they are.
PLAIN_KEYS = frozenset({int, float, bool, type(None)})


def duration(value: datetime.timedelta) -> str:
    """ISO 8601 where the type can (pandas), else Python's own text."""
    iso = getattr(value, "isoformat", None)
    return iso() if iso is not None else str(value)


def _is_missing(value: Any) -> bool:
    """Whether this is one of pandas' NaT and NA."""
    pandas = sys.modules.get("pandas")
    return pandas is not None and (value is pandas.NaT or value is getattr(pandas, "NA", pandas))


def to_json(value: Any) -> Any:
    """The JSON form of a value, or `NotConvertibleError` (or another `ValueError`)."""
    return Converter().convert(value)
