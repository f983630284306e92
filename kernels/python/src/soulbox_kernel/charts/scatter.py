"""Scatter charts: one element per collection of markers.

matplotlib keeps only positions of markers, so a category is its index here; ticks and tick labels
say which one that is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import PathCollection

from soulbox_kernel.charts import axis, kind
from soulbox_kernel.charts.values import check_points, coordinates, label


def read(axes: Any) -> dict[str, Any]:
    """Labels, ticks and the points of every collection."""
    groups = [a for a in kind.data_artists(axes) if isinstance(a, PathCollection)]
    check_points(sum(len(offsets(group)) for group in groups))
    elements = [
        {"label": label(group.get_label(), "Scatter", position), "points": points(axes, group)}
        for position, group in enumerate(groups)
    ]
    return axis.labels(axes) | axis.scales(axes) | {"elements": elements}


def points(axes: Any, group: Any) -> list[list[Any]]:
    """The positions of the markers."""
    places = offsets(group)
    x = axis.on_axis(axes.xaxis, coordinates(places[:, 0]))
    y = axis.on_axis(axes.yaxis, coordinates(places[:, 1]))
    return [list(point) for point in zip(x, y, strict=True)]


def offsets(group: Any) -> np.ma.MaskedArray:
    """The positions as matplotlib keeps them; those it does not draw are masked."""
    return np.ma.asarray(group.get_offsets())
