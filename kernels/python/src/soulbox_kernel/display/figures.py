"""matplotlib figures get `e2b/chart` beside the picture of the inline backend."""

from __future__ import annotations

from typing import Any

from soulbox_kernel.display.formatters import CHART, formatter, quiet


def install(shell: Any) -> None:
    """Registers matplotlib's figure."""
    formatter(shell, CHART).for_type_by_name("matplotlib.figure", "Figure", quiet(chart))


def chart(figure: Any) -> dict[str, Any] | None:
    """The chart of a figure; `{}` when nothing is drawn in it."""
    # Imported here: it imports matplotlib, which is there once there is a figure.
    from soulbox_kernel.charts.figure import figure_chart

    return figure_chart(figure)
