"""Box plots: one element per box.

matplotlib draws a box and then its own whiskers, caps, median, outliers and mean, in this order,
so the lines up to the next box belong to it. Which way the boxes stand shows in the whiskers, which
run along the value axis; without any, the contract's rule holds: equal heights mean horizontal.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch

from soulbox_kernel.charts import axis, kind
from soulbox_kernel.charts.bar import place_names
from soulbox_kernel.charts.values import all_equal, check_points, rounded

#: Points of a box outline drawn as a line: plain, and with a notch. The last closes it.
OUTLINE_POINTS = (5, 11)
#: Lines that follow every outline at least: two whiskers and the median.
FEWEST_LINES = 3


@dataclass
class Box:
    """The outline of a box and the lines that belong to it, as arrays of points."""

    outline: np.ndarray
    lines: list[np.ndarray] = field(default_factory=list)
    marks: list[np.ndarray] = field(default_factory=list)

    def turned(self) -> Box:
        """The same box with x and y exchanged."""
        lines, marks = ([line[:, ::-1] for line in group] for group in (self.lines, self.marks))
        return Box(self.outline[:, ::-1], lines, marks)

    def place(self) -> float:
        """The centre on the axis of categories."""
        return float((self.outline[:, 0].min() + self.outline[:, 0].max()) / 2)

    def height(self) -> float:
        return float(np.ptp(self.outline[:, 1]))


def drawn_with_lines(lines: list[Line2D]) -> bool:
    """Whether these lines are box plots rather than a line chart."""
    boxes = _boxes(lines)
    return bool(boxes) and all(len(box.lines) >= FEWEST_LINES for box in boxes)


def read(axes: Any) -> dict[str, Any]:
    """Labels and the five numbers and outliers of every box."""
    boxes = _boxes(kind.data_artists(axes))
    check_points(sum(len(mark) for box in boxes for mark in box.marks))
    horizontal = _horizontal(boxes)
    if horizontal:
        boxes = [box.turned() for box in boxes]
    names = place_names(axes.yaxis if horizontal else axes.xaxis, [box.place() for box in boxes])
    elements = [_element(box, name) for box, name in zip(boxes, names, strict=True)]
    return axis.labels(axes, swapped=horizontal) | {"elements": elements}


def _boxes(artists: list[Any]) -> list[Box]:
    boxes: list[Box] = []
    for artist in artists:
        if isinstance(artist, PathPatch):
            boxes.append(Box(artist.get_path().vertices))
        elif _is_outline(artist):
            boxes.append(Box(artist.get_xydata()))
        elif boxes and artist.get_linestyle() == "None":
            boxes[-1].marks.append(artist.get_xydata())
        elif boxes:
            boxes[-1].lines.append(artist.get_xydata())
    return boxes


def _is_outline(line: Line2D) -> bool:
    points = line.get_xydata()
    if len(points) not in OUTLINE_POINTS or not (points[0] == points[-1]).all():
        return False
    # Every corner of a plain box lies on an edge of its bounds.
    low, high = points.min(axis=0), points.max(axis=0)
    on_edge = ((points == low) | (points == high)).any(axis=1)
    return bool(on_edge.all() or len(points) == max(OUTLINE_POINTS))


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
    ends = np.concatenate([[first, third], *whiskers])
    # The median is the last line across the box; caps, if drawn, come before it.
    across = [line[0, 1] for line in box.lines[2:] if np.ptp(line[:, 1]) == 0]
    low, high = np.nanmin(ends), np.nanmax(ends)
    marks = np.concatenate([mark[:, 1] for mark in box.marks]) if box.marks else np.empty(0)
    # A mark between the whiskers is a mean.
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
