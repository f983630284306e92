"""Charts from plotly figures, in the same form as matplotlib's.

plotly lays its axes out in the browser, so ticks are known only where the user has set them or
where the values are categories; the keys are there all the same.
"""

from __future__ import annotations

import datetime
from typing import Any

import numpy as np

from soulbox_kernel.charts import units
from soulbox_kernel.charts.values import check_points, coordinates, number, rounded

#: Length of a whisker in heights of the box; beyond it a value is an outlier.
WHISKER = 1.5
#: plotly's names of scales that differ from matplotlib's.
SCALES = {"date": "datetime", "category": "categorical", "-": "linear", None: "linear"}


def figure_chart(figure: Any) -> dict[str, Any]:
    """The chart of a figure, a `superchart` of several panels, or `{}` without any trace."""
    panels: dict[Any, list[Any]] = {}
    for trace in figure.data:
        # Traces with axes share a panel by their axes; a pie is a panel of its own.
        place = (trace.xaxis or "x", trace.yaxis or "y") if "xaxis" in trace else id(trace)
        panels.setdefault(place, []).append(trace)
    title = figure.layout.title.text or None
    charts = [_panel(figure, traces) for traces in panels.values()]
    if not charts:
        return {}
    if len(charts) == 1:
        return charts[0] | {"title": title}
    return {"type": "superchart", "title": title, "elements": charts}


def _panel(figure: Any, traces: list[Any]) -> dict[str, Any]:
    kinds = {_kind(trace) for trace in traces}
    kind = kinds.pop() if len(kinds) == 1 else "unknown"
    chart = {"type": kind, "title": None}
    if kind == "unknown":
        return chart | {"elements": []}
    if kind == "pie":
        return chart | {"elements": [e for trace in traces for e in _wedges(trace)]}
    x_axis, y_axis = (_axis(figure, traces[0], name) for name in "xy")
    x_label, y_label = (axis.title.text or "" for axis in (x_axis, y_axis))
    if kind in ("line", "scatter"):
        elements = [_points(trace, at) for at, trace in enumerate(traces)]
        keys = units.labels(x_label, y_label) | _scales(traces, x_axis, y_axis)
        return chart | keys | {"elements": elements}
    swapped = all(trace.orientation == "h" for trace in traces)
    labels = units.labels(y_label, x_label) if swapped else units.labels(x_label, y_label)
    read = _bars if kind == "bar" else _boxes
    elements = [e for at, trace in enumerate(traces) for e in read(trace, at)]
    return chart | labels | {"elements": elements}


def _kind(trace: Any) -> str:
    if trace.type in ("scatter", "scattergl"):
        return "scatter" if trace.mode == "markers" else "line"
    return {"bar": "bar", "pie": "pie", "box": "box_and_whisker"}.get(trace.type, "unknown")


def _axis(figure: Any, trace: Any, name: str) -> Any:
    number_of_axis = (trace[f"{name}axis"] or name)[1:]
    return figure.layout[f"{name}axis{number_of_axis}"]


def _columns(trace: Any) -> tuple[list[Any], list[Any]]:
    """The coordinates of a trace; a missing column counts from 0, as in the browser."""
    x, y = trace.x, trace.y
    length = len(x if x is not None else () if y is None else y)
    check_points(length)
    return tuple(coordinates(range(length) if c is None else c) for c in (x, y))  # type: ignore


def _points(trace: Any, position: int) -> dict[str, Any]:
    noun = "Scatter" if _kind(trace) == "scatter" else "Line"
    points = [list(point) for point in zip(*_columns(trace), strict=False)]
    return {"label": trace.name or f"{noun} {position}", "points": points}


def _scales(traces: list[Any], x_axis: Any, y_axis: Any) -> dict[str, Any]:
    keys: dict[str, Any] = {}
    columns = [_columns(trace) for trace in traces]
    for position, (name, axis) in enumerate((("x", x_axis), ("y", y_axis))):
        values = [value for column in columns for value in column[position]]
        scale = SCALES.get(axis.type, axis.type) if axis.type else _guessed(values)
        ticks, texts = list(axis.tickvals or ()), list(axis.ticktext or axis.tickvals or ())
        if scale == "categorical" and not ticks:
            texts = list(dict.fromkeys(value for value in values if value is not None))
            ticks = list(range(len(texts)))
        keys |= {
            f"{name}_ticks": coordinates(ticks),
            f"{name}_tick_labels": [str(text) for text in texts],
            f"{name}_scale": scale,
        }
    return keys


def _guessed(values: list[Any]) -> str:
    """The scale that the browser will choose: dates, else categories, else numbers."""
    texts = [value for value in values if isinstance(value, str)]
    if not texts:
        return "linear"
    return "datetime" if all(_is_date(text) for text in texts) else "categorical"


def _is_date(text: str) -> bool:
    try:
        datetime.datetime.fromisoformat(text)
    except ValueError:
        return False
    return True


def _bars(trace: Any, position: int) -> list[dict[str, Any]]:
    places, values = _columns(trace)
    if trace.orientation == "h":
        places, values = values, places
    group = trace.name or f"Group {position}"
    return [
        {"label": _text(place), "group": group, "value": value}
        for place, value in zip(places, values, strict=False)
    ]


def _text(place: Any) -> str:
    return f"{place:.10g}" if isinstance(place, float) else str(place)


def _wedges(trace: Any) -> list[dict[str, Any]]:
    values = [number(value) or 0.0 for value in (() if trace.values is None else trace.values)]
    labels = list(range(len(values))) if trace.labels is None else list(trace.labels)
    check_points(len(values))
    total = sum(values) or 1.0
    return [
        {"label": str(label), "angle": rounded(360 * value / total), "radius": 1.0}
        for label, value in zip(labels, values, strict=False)
    ]


def _boxes(trace: Any, position: int) -> list[dict[str, Any]]:
    horizontal = trace.orientation == "h"
    values, places = (trace.x, trace.y) if horizontal else (trace.y, trace.x)
    samples = np.asarray([] if values is None else values, dtype=float)
    check_points(len(samples))
    name = trace.name or f"Box {position}"
    if places is None:
        return [_box(samples, name)]
    places = np.asarray(coordinates(places), dtype=object)
    return [_box(samples[places == at], _text(at)) for at in dict.fromkeys(places)]


def _box(samples: np.ndarray, name: str) -> dict[str, Any]:
    """The five numbers by plotly's default method: linear between the samples."""
    samples = np.sort(samples[np.isfinite(samples)])
    if not samples.size:
        numbers: list[float | None] = [None] * 5
        outliers = samples
    else:
        first, median, third = np.percentile(samples, [25, 50, 75], method="hazen")
        reach = WHISKER * (third - first)
        inside = samples[(samples >= first - reach) & (samples <= third + reach)]
        numbers = [rounded(n) for n in (inside[0], first, median, third, inside[-1])]
        outliers = samples[(samples < inside[0]) | (samples > inside[-1])]
    names = ("min", "first_quartile", "median", "third_quartile", "max")
    return {
        "label": name,
        **dict(zip(names, numbers, strict=True)),
        "outliers": [rounded(value) for value in outliers],
    }
