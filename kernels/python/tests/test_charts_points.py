"""Line and scatter charts, and what every chart in two dimensions has."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import pytest

from soulbox_kernel.charts import values
from soulbox_kernel.charts.units import unit

Chart = Callable[..., dict[str, Any]]
KEYS = [
    "type",
    "title",
    "x_label",
    "y_label",
    "x_unit",
    "y_unit",
    "x_ticks",
    "y_ticks",
    "x_tick_labels",
    "y_tick_labels",
    "x_scale",
    "y_scale",
    "elements",
]


def test_a_line_chart_whole(chart: Chart) -> None:
    plt.plot([0, 1, 2], [0, 10, 20], label="speed")
    plt.title("Run")
    plt.xlabel("Time (s)")
    plt.ylabel("Speed [m/s]")
    plt.xticks([0, 1, 2])
    plt.yticks([0, 10, 20])
    plt.grid(True)
    assert chart() == {
        "type": "line",
        "title": "Run",
        "x_label": "Time (s)",
        "y_label": "Speed [m/s]",
        "x_unit": "s",
        "y_unit": "m/s",
        "x_ticks": [0.0, 1.0, 2.0],
        "y_ticks": [0.0, 10.0, 20.0],
        "x_tick_labels": ["0", "1", "2"],
        "y_tick_labels": ["0", "10", "20"],
        "x_scale": "linear",
        "y_scale": "linear",
        "elements": [{"label": "speed", "points": [[0.0, 0.0], [1.0, 10.0], [2.0, 20.0]]}],
    }


@pytest.mark.parametrize("draw", [plt.plot, plt.scatter])
def test_all_keys_are_there_without_title_and_labels(chart: Chart, draw: Any) -> None:
    draw([1, 2, 3], [1, 2, 3])
    found = chart()
    assert list(found) == KEYS
    assert [found[key] for key in KEYS[1:6]] == [None] * 5


@pytest.mark.parametrize(
    ("label", "expected"),
    [
        ("Time (s)", "s"),
        ("Time [ms]", "ms"),
        ("Time[ms]", "ms"),
        ("f(x)", None),
        ("Time", None),
        ("", None),
        ("a (b) [c]", "b"),
        ("a [c] (b)", "c"),
        ("Share (%)", "%"),
    ],
)
def test_units(label: str, expected: str | None) -> None:
    assert unit(label) == expected


def test_unlabelled_lines_count_as_matplotlib_does(chart: Chart) -> None:
    plt.plot([1, 2, 3], [1, 2, 4])
    plt.plot([1, 2, 3], [2, 3, 5], label="named")
    plt.plot([1, 2, 3], [3, 4, 6])
    assert [element["label"] for element in chart()["elements"]] == ["Line 0", "named", "Line 2"]


def test_guides_are_no_elements(chart: Chart) -> None:
    plt.plot([1, 2, 3], [1, 2, 4])
    plt.axhline(2)
    plt.axvline(2)
    assert len(chart()["elements"]) == 1
    plt.figure()
    plt.scatter([1, 2], [3, 4])
    plt.axhline(3)
    assert chart()["type"] == "scatter"


def test_points_that_are_no_numbers_are_null(chart: Chart) -> None:
    plt.plot(np.ma.masked_equal([1, 2, 3, 4], 3), [1, np.nan, 3, np.inf])
    points = chart()["elements"][0]["points"]
    assert points == [[1.0, 1.0], [2.0, None], [None, 3.0], [4.0, None]]


@pytest.mark.parametrize(
    "days",
    [
        [datetime.date(2024, 1, 1), datetime.date(2024, 1, 3)],
        pd.date_range("2024-01-01", periods=2, freq="2D"),
        np.array(["2024-01-01", "2024-01-03"], dtype="M8[D]"),
        np.array(["2024-01-01", "2024-01-03"], dtype="M8[ns]"),
    ],
)
@pytest.mark.parametrize("draw", [plt.plot, plt.scatter])
def test_dates(chart: Chart, days: Any, draw: Any) -> None:
    draw(days, [1, 2])
    plt.plot([], [])
    found = chart()
    assert found["x_scale"] == "datetime"
    assert found["y_scale"] == "linear"
    moments = [point[0] for point in found["elements"][0]["points"]]
    assert [moment[:10] for moment in moments] == ["2024-01-01", "2024-01-03"]
    for text in [*moments, *found["x_ticks"]]:
        datetime.datetime.fromisoformat(text)
    assert all(isinstance(text, str) for text in found["x_tick_labels"])


def test_dates_of_pandas_own_plots(chart: Chart) -> None:
    pd.Series([1, 2, 3], index=pd.date_range("2024-01-01", periods=3)).plot()
    found = chart()
    assert found["x_scale"] == "datetime"
    assert found["elements"][0]["points"][0] == ["2024-01-01T00:00:00", 1.0]
    assert found["x_ticks"][0] == "2024-01-01T00:00:00"


def test_dates_with_a_zone_keep_it(chart: Chart) -> None:
    plt.plot(pd.date_range("2024-01-01", periods=2, tz="Europe/Berlin"), [1, 2])
    plt.plot([], [])
    found = chart()
    assert found["elements"][0]["points"][0][0] == "2024-01-01T00:00:00+01:00"
    assert found["x_ticks"][0].endswith("+01:00")


@pytest.mark.parametrize("scale", ["log", "symlog", "logit", "asinh"])
def test_scales_have_matplotlibs_names(chart: Chart, scale: str) -> None:
    plt.plot([1, 2, 3], [0.1, 0.5, 0.9])
    plt.yscale(scale)
    found = chart()
    assert (found["x_scale"], found["y_scale"]) == ("linear", scale)
    assert all(isinstance(tick, float) for tick in found["y_ticks"])


def test_scales_of_functions(chart: Chart) -> None:
    plt.plot([1, 2, 3], [1, 2, 3])
    plt.xscale("function", functions=(np.sqrt, np.square))
    assert chart()["x_scale"] == "function"


@pytest.mark.parametrize("draw", [plt.plot, plt.scatter])
def test_categories_on_the_y_axis(chart: Chart, draw: Any) -> None:
    draw([1, 2, 3], ["low", "high", "low"])
    found = chart()
    assert (found["x_scale"], found["y_scale"]) == ("linear", "categorical")
    assert found["y_ticks"] == [0.0, 1.0]
    assert found["y_tick_labels"] == ["low", "high"]


def test_named_ticks_are_categories_and_their_own_numbers_are_not(chart: Chart) -> None:
    plt.plot([0, 1, 2], [1, 2, 4])
    plt.xticks([0, 1, 2], ["a", "b", "c"])
    assert chart()["x_scale"] == "categorical"
    plt.xticks([0, 1, 2], ["0", "1.0", "2"])
    assert chart()["x_scale"] == "linear"
    plt.xticks([1, 2], ["a", "b"])
    assert chart()["x_scale"] == "linear"


def test_error_bars_belong_to_their_line(chart: Chart) -> None:
    plt.errorbar([1, 2, 3], [3, 4, 5], yerr=1, xerr=0.1, capsize=3, label="measured")
    found = chart()
    assert found["type"] == "line"
    points = [[1.0, 3.0], [2.0, 4.0], [3.0, 5.0]]
    assert found["elements"] == [{"label": "measured", "points": points}]


def test_scatter_groups(chart: Chart) -> None:
    plt.scatter([1, 2], [3, 4], c=[1, 2], label="A")
    plt.colorbar()
    plt.scatter([5], [6])
    found = chart()
    assert found["type"] == "scatter"
    assert found["elements"] == [
        {"label": "A", "points": [[1.0, 3.0], [2.0, 4.0]]},
        {"label": "Scatter 1", "points": [[5.0, 6.0]]},
    ]


def test_an_empty_plot_has_its_type(chart: Chart) -> None:
    plt.plot([], [])
    found = chart()
    assert (found["type"], found["elements"]) == ("line", [{"label": "Line 0", "points": []}])


def test_too_many_points_are_no_chart(chart: Chart, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(values, "MAX_POINTS", 5)
    plt.plot(range(5))
    assert chart()["type"] == "line"
    plt.plot([1])
    with pytest.raises(values.TooManyPointsError):
        chart()
