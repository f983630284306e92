"""Pie charts: one element per wedge."""

from __future__ import annotations

from typing import Any

from matplotlib.patches import Wedge

from soulbox_kernel.charts import kind
from soulbox_kernel.charts.values import check_points, number, rounded


def read(axes: Any) -> dict[str, Any]:
    """The angle in degrees and the radius of every wedge."""
    wedges = [artist for artist in kind.data_artists(axes) if isinstance(artist, Wedge)]
    check_points(len(wedges))
    return {"elements": [_element(wedge) for wedge in wedges]}


def _element(wedge: Wedge) -> dict[str, Any]:
    name = str(wedge.get_label())
    return {
        "label": "" if name.startswith("_") else name,
        "angle": rounded(abs(wedge.theta2 - wedge.theta1)),
        "radius": number(wedge.r),
    }
