"""The outlines of boxes among the artists of an axes, and the lines that belong to each.

matplotlib draws a box and then its own whiskers, caps, median, mean and outliers, in this order,
so the lines up to the next box belong to it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from matplotlib.lines import Line2D
from matplotlib.patches import PathPatch

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


def of_boxes(lines: list[Line2D]) -> bool:
    """Whether these lines are box plots rather than a line chart."""
    boxes = boxes_of(lines)
    return bool(boxes) and all(len(box.lines) >= FEWEST_LINES for box in boxes)


def boxes_of(artists: list[Any]) -> list[Box]:
    """The boxes among these artists, from left to right as they were drawn."""
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
