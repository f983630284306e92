"""The chart of a matplotlib figure: which axes count, and which reader each one gets."""

from __future__ import annotations

from typing import Any

from soulbox_kernel.charts import bar, box, kind, line, pie, scatter
from soulbox_kernel.charts.values import TooManyPointsError

#: Readers of one axes, by chart type.
READERS = {
    "line": line.read,
    "scatter": scatter.read,
    "bar": bar.read,
    "pie": pie.read,
    "box_and_whisker": box.read,
}


def figure_chart(figure: Any) -> dict[str, Any]:
    """The chart of a figure, a `superchart` of several axes, or `{}` when nothing is plotted."""
    charts = [axes_chart(axes) for axes in figure.axes if kind.has_chart(axes)]
    if not charts:
        return {}
    if len(charts) == 1:
        return charts[0]
    return {"type": "superchart", "title": figure.get_suptitle() or None, "elements": charts}


def axes_chart(axes: Any) -> dict[str, Any]:
    """The chart of one axes, `unknown` when no reader knows what is on it."""
    name = kind.of(axes)
    chart = {"type": name, "title": _title(axes)}
    reader = READERS.get(name)
    if reader is not None:
        try:
            return chart | reader(axes)
        except TooManyPointsError:
            raise
        except Exception:
            # Artists that a library or the user has changed beyond what a reader expects.
            chart["type"] = "unknown"
    return chart | {"elements": []}


def _title(axes: Any) -> str | None:
    titles = (axes.get_title(loc=place) for place in ("center", "left", "right"))
    return next((title for title in titles if title), None)
