"""Which values have a JSON form, and which one."""

from __future__ import annotations

import collections
import dataclasses
import datetime
import enum
import json
import uuid
from typing import Any

import numpy as np
import pandas as pd
import pytest

from soulbox_kernel.display import jsonable
from soulbox_kernel.display.jsonable import to_json


class Colour(enum.Enum):
    RED = "red"


@dataclasses.dataclass
class Point:
    x: int
    y: float


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ([1, 2.5, None, True, "é"], [1, 2.5, None, True, "é"]),
        ({"a": (1, [2])}, {"a": [1, [2]]}),
        ([float("nan"), float("inf")], [None, None]),
        (
            {1: "a", 2.5: "b", None: "c", False: "d"},
            {"1": "a", "2.5": "b", "null": "c", "false": "d"},
        ),
        ([np.int8(3), np.float32(0.5), np.bool_(True), np.str_("s")], [3, 0.5, True, "s"]),
        ([np.arange(3), np.eye(2)], [[0, 1, 2], [[1.0, 0.0], [0.0, 1.0]]]),
        ([np.array([1.0, np.nan])], [[1.0, None]]),
        ([np.datetime64("2024-01-01"), np.datetime64("NaT", "D")], ["2024-01-01", None]),
        (
            [datetime.date(2024, 1, 2), datetime.datetime(2024, 1, 2, 3)],
            ["2024-01-02", "2024-01-02T03:00:00"],
        ),
        ([pd.Timestamp("2024-01-01"), pd.NaT, pd.NA], ["2024-01-01T00:00:00", None, None]),
        ({np.int64(7): 1, datetime.date(2024, 1, 1): 2}, {"7": 1, "2024-01-01": 2}),
        ([uuid.UUID(int=1), Colour.RED], ["00000000-0000-0000-0000-000000000001", "red"]),
        ([Point(1, 2.0)], [{"x": 1, "y": 2.0}]),
        (collections.OrderedDict(a=1), {"a": 1}),
        ([2**63], [2**63]),
    ],
)
def test_values_with_a_json_form(value: Any, expected: Any) -> None:
    assert json.loads(json.dumps(to_json(value), allow_nan=False)) == expected


@pytest.mark.parametrize(
    "value",
    [[object()], [{1, 2}], [b"x"], {(1, 2): 3}, [2**64], ["\udc80"], [1j], [len]],
)
def test_values_without_one(value: Any) -> None:
    with pytest.raises(ValueError):
        to_json(value)


def test_a_list_that_holds_itself_ends() -> None:
    endless: list[Any] = []
    endless.append(endless)
    with pytest.raises(ValueError):
        to_json(endless)


def test_bounds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonable, "MAX_VALUES", 10)
    assert to_json(list(range(9))) == list(range(9))
    for too_much in (list(range(10)), [np.zeros(10)]):
        with pytest.raises(ValueError):
            to_json(too_much)
    monkeypatch.setattr(jsonable, "MAX_CHARACTERS", 3)
    with pytest.raises(ValueError):
        to_json(["ab", "cd"])
