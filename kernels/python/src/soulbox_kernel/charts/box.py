"""Box plots: one element per box.

Which way the boxes stand shows in the whiskers, which
run along the value axis; without any, the contract's rule holds: equal heights mean horizontal.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from soulbox_kernel.charts import axis, kind
from soulbox_kernel.charts.bar import place_names
from soulbox_kernel.charts.outline import Box, boxes_of
from soulbox_kernel.charts.values import all_equal, check_points, rounded


def read(axes: Any) -> dict[str, Any]:
    """Labels and the five numbers and outliers of every box."""
    boxes = boxes_of(kind.data_artists(axes))
    check_points(sum(len(mark) for box in boxes for mark in box.marks))
    horizontal = _horizontal(boxes)
    if horizontal:
        boxes = [box.turned() for box in boxes]
    names = place_names(axes.yaxis if horizontal else axes.xaxis, [box.place() for box in boxes])
    elements = [_element(box, name) for box, name in zip(boxes, names, strict=True)]
    return axis.labels(axes, swapped=horizontal) | {"elements": elements}


def _horizontal(boxes: list[Box]) -> bool:
    """Whether the values lie along the x axis."""
    along_x = along_y = 0
    for box in boxes:
        for whisker in box.lines[:2]:
            x, y = np.ptp(whisker[:, 0]), np.ptp(whisker[:, 1])
            along_x += bool(x > 0 and y == 0)
            along_y += bool(y > 0 and x == 0)
    if along_x or along_y:
        return along_x > along_y
    return all_equal(box.height() for box in boxes)


def _element(box: Box, name: str) -> dict[str, Any]:
    first, third = box.outline[:, 1].min(), box.outline[:, 1].max()
    whiskers = [line[:, 1] for line in box.lines[:2]]
    if len(whiskers) == 2:
        # Each starts at its quartile. The outline may go beyond: a notch can be wider than the box.
        first, third = whiskers[0][0], whiskers[1][0]
    ends = np.concatenate([[first, third], *whiskers])
    # The median is the last line across the box; caps, if drawn, come before it.
    across = [line[0, 1] for line in box.lines[2:] if np.ptp(line[:, 1]) == 0]
    low, high = np.nanmin(ends), np.nanmax(ends)
    # Outliers come after the mean; alone, a mean is known by lying between the whiskers.
    marks = box.marks[-1][:, 1] if box.marks else np.empty(0)
    outliers = marks[(marks < low) | (marks > high)]
    return {
        "label": name,
        "min": rounded(low),
        "first_quartile": rounded(first),
        "median": rounded(across[-1]) if across else None,
        "third_quartile": rounded(third),
        "max": rounded(high),
        "outliers": [rounded(value) for value in outliers],
    }
