"""Line charts: one element per line that is not a guide."""

from __future__ import annotations

from typing import Any

from matplotlib.container import ErrorbarContainer

from soulbox_kernel.charts import axis, kind
from soulbox_kernel.charts.values import check_points, coordinates, label


def read(axes: Any) -> dict[str, Any]:
    """Labels, ticks and the points of every line."""
    lines = [line for line in kind.data_artists(axes) if not kind.is_grid_line(line)]
    check_points(sum(len(line.get_xdata(orig=False)) for line in lines))
    # A line with error bars leaves its label to the group of its artists.
    labels = {
        id(group.lines[0]): group.get_label()
        for group in axes.containers
        if isinstance(group, ErrorbarContainer)
    }
    elements = [
        {
            "label": label(labels.get(id(line), line.get_label()), "Line", position),
            "points": points(axes, line),
        }
        for position, line in enumerate(lines)
    ]
    return axis.labels(axes) | axis.scales(axes) | {"elements": elements}


def points(axes: Any, line: Any) -> list[list[Any]]:
    """The points as they were given: categories and dates as text."""
    x = axis.on_axis(axes.xaxis, coordinates(line.get_xdata(orig=True)))
    y = axis.on_axis(axes.yaxis, coordinates(line.get_ydata(orig=True)))
    return [list(point) for point in zip(x, y, strict=False)]
