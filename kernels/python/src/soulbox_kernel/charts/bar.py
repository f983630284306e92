"""Bar charts: one element per bar, in the order of the groups.

A group is one call of `bar`; its container says which way its bars point. Rectangles without a
container have the contract's rule instead: equal heights mean horizontal bars. (For containers that
rule gives the same, but for bars of equal value, which it would turn round.)
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

from matplotlib.category import StrCategoryLocator
from matplotlib.container import BarContainer
from matplotlib.patches import Rectangle
from matplotlib.ticker import FixedLocator, LogFormatter, ScalarFormatter

from soulbox_kernel.charts import axis, kind
from soulbox_kernel.charts.values import all_equal, check_points, label, number, plain


@dataclass(frozen=True)
class Group:
    """The bars of one call."""

    label: str
    bars: list[Rectangle]
    horizontal: bool


def read(axes: Any) -> dict[str, Any]:
    """Labels and the value of every bar."""
    groups = _groups(axes)
    check_points(sum(len(group.bars) for group in groups))
    elements = [element for group in groups for element in _elements(axes, group)]
    swapped = bool(groups) and all(group.horizontal for group in groups)
    return axis.labels(axes, swapped=swapped) | {"elements": elements}


def _groups(axes: Any) -> list[Group]:
    shown = {id(artist) for artist in kind.data_artists(axes)}
    groups: list[Group] = []
    for container in axes.containers:
        if not isinstance(container, BarContainer):
            continue
        bars = [bar for bar in container.patches if id(bar) in shown]
        if bars:
            name = label(container.get_label(), "Group", len(groups))
            groups.append(Group(name, bars, _horizontal(bars, container.orientation)))
    if groups:
        return groups
    bars = [a for a in kind.data_artists(axes) if isinstance(a, Rectangle)]
    return [Group("Group 0", bars, _horizontal(bars, None))]


def _horizontal(bars: list[Rectangle], orientation: str | None) -> bool:
    if orientation is not None:
        return orientation == "horizontal"
    return all_equal(bar.get_height() for bar in bars)


def _elements(axes: Any, group: Group) -> list[dict[str, Any]]:
    if group.horizontal:
        places = [bar.get_y() + bar.get_height() / 2 for bar in group.bars]
        values = [bar.get_width() for bar in group.bars]
    else:
        places = [bar.get_x() + bar.get_width() / 2 for bar in group.bars]
        values = [bar.get_height() for bar in group.bars]
    names = place_names(axes.yaxis if group.horizontal else axes.xaxis, places)
    return [
        {"label": name, "group": group.label, "value": number(value)}
        for name, value in zip(names, values, strict=True)
    ]


def place_names(base: Any, places: list[float]) -> list[str]:
    """What stands on the axis below each bar: its date, the nearest name, or its position."""
    names = _named_ticks(base)
    gaps = [right[0] - left[0] for left, right in itertools.pairwise(names)]
    # Bars of a group stand beside their tick, but nearer to it than to the next.
    reach = min(gaps, default=2.0) / 2
    return [axis.text_on_axis(base, at) or _nearest(names, at, reach) or plain(at) for at in places]


def _named_ticks(base: Any) -> list[tuple[float, str]]:
    """The ticks that somebody has named; numbers that matplotlib chose belong to no bar."""
    if not isinstance(base.get_major_locator(), FixedLocator | StrCategoryLocator):
        return []
    if isinstance(base.get_major_formatter(), ScalarFormatter | LogFormatter):
        return []
    locations = [float(at) for at in base.get_majorticklocs()]
    texts = axis.tick_texts(base, locations)
    return sorted(tick for tick in zip(locations, texts, strict=True) if tick[1])


def _nearest(names: list[tuple[float, str]], at: float, reach: float) -> str | None:
    location, text = min(names, key=lambda tick: abs(tick[0] - at), default=(0.0, ""))
    return text if text and abs(location - at) <= reach * (1 + 1e-9) else None
