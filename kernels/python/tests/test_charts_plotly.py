"""Charts from plotly figures."""

from __future__ import annotations

import json
from typing import Any

import pandas as pd
import plotly.express as px
import plotly.graph_objects as go
from plotly.subplots import make_subplots

from soulbox_kernel.charts.plotly import figure_chart


def chart(figure: go.Figure) -> dict[str, Any]:
    return json.loads(json.dumps(figure_chart(figure), allow_nan=False))


def test_lines_over_dates() -> None:
    frame = pd.DataFrame({"day (d)": pd.date_range("2024-01-01", periods=2), "v": [1, 2]})
    found = chart(px.line(frame, x="day (d)", y="v", title="T"))
    assert (found["type"], found["title"], found["x_unit"]) == ("line", "T", "d")
    assert (found["x_scale"], found["y_scale"]) == ("datetime", "linear")
    points = [["2024-01-01T00:00:00", 1.0], ["2024-01-02T00:00:00", 2.0]]
    assert found["elements"] == [{"label": "Line 0", "points": points}]


def test_scatter_over_categories_and_logarithms() -> None:
    found = chart(px.scatter(x=["a", "b", "a"], y=[1, 10, 100], log_y=True))
    assert (found["type"], found["x_scale"], found["y_scale"]) == ("scatter", "categorical", "log")
    assert (found["x_ticks"], found["x_tick_labels"]) == ([0.0, 1.0], ["a", "b"])


def test_bars_both_ways() -> None:
    frame = pd.DataFrame({"a": ["x", "y", "x"], "b": [1, 2, 3], "c": ["u", "u", "v"]})
    upright = chart(px.bar(frame, x="a", y="b", color="c"))
    lying = chart(px.bar(frame, x="b", y="a", color="c", orientation="h"))
    assert upright == lying
    assert [tuple(e.values()) for e in upright["elements"]] == [
        ("x", "u", 1.0),
        ("y", "u", 2.0),
        ("x", "v", 3.0),
    ]


def test_pie_and_box() -> None:
    pie = chart(px.pie(names=["a", "b"], values=[1, 3]))
    assert [e["angle"] for e in pie["elements"]] == [90.0, 270.0]
    (box,) = chart(px.box(y=[1, 2, 3, 4, 50]))["elements"]
    assert (box["median"], box["max"], box["outliers"]) == (3.0, 4.0, [50.0])


def test_panels_and_unknown() -> None:
    figure = make_subplots(1, 2)
    figure.add_scatter(y=[1, 2], row=1, col=1)
    figure.add_histogram(x=[1, 2], row=1, col=2)
    found = chart(figure)
    assert [element["type"] for element in found["elements"]] == ["line", "unknown"]
    assert chart(go.Figure()) == {}
