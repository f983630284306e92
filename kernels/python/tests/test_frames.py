"""Tables as `{column: [values]}`."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest

from soulbox_kernel.display import frames, jsonable


def through_json(data: dict[str, Any]) -> dict[str, Any]:
    return json.loads(json.dumps(data, allow_nan=False))


def test_every_kind_of_pandas_column() -> None:
    frame = pd.DataFrame(
        {
            "int": [1, 2],
            "float": [1.5, np.nan],
            "inf": [np.inf, -np.inf],
            "bool": [True, False],
            "text": ["x", None],
            "time": pd.to_datetime(["2024-01-01 10:30", None]),
            "zone": pd.to_datetime(["2024-01-01", "2024-01-02"]).tz_localize("Europe/Berlin"),
            "delta": pd.to_timedelta([1, 2], unit="h"),
            "category": pd.Categorical(["u", "v"]),
            "nullable": pd.array([1, None], dtype="Int64"),
            "period": pd.period_range("2024-01", periods=2, freq="M"),
            "object": [{1}, [1, 2]],
        }
    )
    assert through_json(frames.pandas_frame(frame)) == {
        "int": [1, 2],
        "float": [1.5, None],
        "inf": [None, None],
        "bool": [True, False],
        "text": ["x", None],
        "time": ["2024-01-01T10:30:00", None],
        "zone": ["2024-01-01T00:00:00+01:00", "2024-01-02T00:00:00+01:00"],
        "delta": ["P0DT1H0M0S", "P0DT2H0M0S"],
        "category": ["u", "v"],
        "nullable": [1, None],
        "period": ["2024-01", "2024-02"],
        "object": ["{1}", [1, 2]],
    }


def test_names_are_text_and_unique() -> None:
    frame = pd.DataFrame([[1, 2, 3, 4]], columns=["a", "a", 7, ("m", 1)])
    assert list(frames.pandas_frame(frame)) == ["a", "a.1", "7", "('m', 1)"]


def test_an_empty_frame() -> None:
    assert frames.pandas_frame(pd.DataFrame()) == {}
    assert frames.pandas_frame(pd.DataFrame({"a": []})) == {"a": []}


def test_series() -> None:
    assert frames.pandas_series(pd.Series([1, 2], name="n")) == {"n": [1, 2]}
    assert frames.pandas_series(pd.Series([1.0])) == {"0": [1.0]}


def test_polars_series() -> None:
    pl = pytest.importorskip("polars")
    assert frames.polars_series(pl.Series("n", [1, None])) == {"n": [1, None]}


def test_polars_frame() -> None:
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame(
        {"a": [1, None], "b": [1.5, float("nan")], "s": [{"k": 1}, {"k": 2}]}
    ).with_columns(d=pl.date(2024, 1, 2))
    assert through_json(frames.polars_frame(frame)) == {
        "a": [1, None],
        "b": [1.5, None],
        "s": [{"k": 1}, {"k": 2}],
        "d": ["2024-01-02", "2024-01-02"],
    }


def test_a_table_over_the_bound_has_no_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonable, "MAX_VALUES", 10)
    assert frames.pandas_frame(pd.DataFrame({"a": range(9)}))
    with pytest.raises(jsonable.NotConvertibleError):
        frames.pandas_frame(pd.DataFrame({"a": range(6), "b": range(6)}))
