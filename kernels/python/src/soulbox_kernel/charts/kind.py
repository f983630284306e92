"""Which chart type an axes is, from the artists on it (contract section 5.4).

The contract's order of rules, over the artists that carry data. Left out before the rules are what
only decorates: texts, the bars and caps of error bars, and the empty handles that seaborn puts into
an axes for its legend. A box plot with unfilled boxes consists of lines alone; it is told from a
line chart by its shape.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from matplotlib.collections import PathCollection
from matplotlib.container import ErrorbarContainer
from matplotlib.lines import Line2D
from matplotlib.patches import Patch, PathPatch, Rectangle, Wedge

from soulbox_kernel.charts import outline

#: Projections whose coordinates are those of a plane; 3-D is none of ours.
PLANE = frozenset({"rectilinear", "polar"})


def has_chart(axes: Any) -> bool:
    """Whether something is plotted here that is not the legend of something else."""
    return axes.has_data() and not hasattr(axes, "_colorbar")


def of(axes: Any) -> str:
    """The `type` of the axes' chart."""
    if axes.name not in PLANE:
        return "unknown"
    artists = data_artists(axes)
    if _all(artists, Line2D):
        return "box_and_whisker" if outline.of_boxes(artists) else "line"
    if _all(artists, PathPatch | Line2D):
        return "box_and_whisker"
    shapes = [artist for artist in artists if not is_grid_line(artist)]
    for kind, name in ((PathCollection, "scatter"), (Wedge, "pie"), (Rectangle, "bar")):
        if _all(shapes, kind):
            return name
    return "unknown"


def _all(artists: list[Any], kinds: Any) -> bool:
    return bool(artists) and all(isinstance(artist, kinds) for artist in artists)


def data_artists(axes: Any) -> list[Any]:
    """The artists that carry data, in the order in which they were added."""
    plotted = {
        id(artist)
        for artists in (axes.lines, axes.patches, axes.collections, axes.images, axes.tables)
        for artist in artists
    } | {id(artist) for artist in axes.artists}
    for container in axes.containers:
        if isinstance(container, ErrorbarContainer):
            _line, caps, bars = container.lines
            plotted -= {id(artist) for artist in (*caps, *bars)}
    artists = [artist for artist in axes.get_children() if id(artist) in plotted]
    # All of them empty is an empty plot, which has a type all the same.
    return [artist for artist in artists if not _is_empty(artist)] or artists


def _is_empty(artist: Any) -> bool:
    if isinstance(artist, Line2D):
        return len(artist.get_xdata(orig=False)) == 0
    if isinstance(artist, PathCollection):
        return len(artist.get_offsets()) == 0
    if isinstance(artist, Rectangle):
        return not artist.get_width() and not artist.get_height() and _is_handle(artist)
    return False


def _is_handle(artist: Patch) -> bool:
    """A patch at the origin: a bar of height 0 has a width, a handle has nothing."""
    return tuple(artist.get_extents().size) == (0.0, 0.0)


def is_grid_line(artist: Any) -> bool:
    """A line of two points, horizontal or vertical: a guide, not data."""
    if not isinstance(artist, Line2D):
        return False
    points = np.asarray(artist.get_xydata())
    return len(points) == 2 and bool((points[0] == points[1]).any())
