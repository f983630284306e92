"""Scatter charts: one element per collection of markers.

matplotlib keeps only positions of markers, so a category is its index here; ticks and tick labels
say which one that is.
"""

from __future__ import annotations

from typing import Any

from matplotlib.collections import PathCollection

from soulbox_kernel.charts import axis, kind
from soulbox_kernel.charts.values import check_points, coordinates, label


def read(axes: Any) -> dict[str, Any]:
    """Labels, ticks and the points of every collection."""
    groups = [a for a in kind.data_artists(axes) if isinstance(a, PathCollection)]
    check_points(sum(len(group.get_offsets()) for group in groups))
    elements = [
        {"label": label(group.get_label(), "Scatter", position), "points": points(axes, group)}
        for position, group in enumerate(groups)
    ]
    return axis.labels(axes) | axis.scales(axes) | {"elements": elements}


def points(axes: Any, group: Any) -> list[list[Any]]:
    """The positions of the markers."""
    offsets = group.get_offsets()
    x = axis.on_axis(axes.xaxis, coordinates(offsets[:, 0]))
    y = axis.on_axis(axes.yaxis, coordinates(offsets[:, 1]))
    return [list(point) for point in zip(x, y, strict=True)]
