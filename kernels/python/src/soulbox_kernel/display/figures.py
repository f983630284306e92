"""matplotlib figures get `e2b/chart` beside the picture of the inline backend.

As a method of the class rather than a registered function: whenever IPython selects the formats of
pictures, it clears the figure class from every formatter there is.
"""

from __future__ import annotations

from types import ModuleType
from typing import Any

from soulbox_kernel.display.formatters import CHART, formatter, quiet
from soulbox_kernel.imports import when_imported


def install(shell: Any) -> None:
    """Makes the formatter known, and the figure's method once matplotlib is imported."""
    formatter(shell, CHART)
    when_imported("matplotlib.figure", _give_charts)


def _give_charts(module: ModuleType) -> None:
    module.Figure._repr_e2b_chart_ = quiet(chart)  # type: ignore[attr-defined]


def chart(figure: Any) -> dict[str, Any] | None:
    """The chart of a figure; `{}` when nothing is drawn in it."""
    # Imported here: it imports matplotlib, which is there once there is a figure.
    from soulbox_kernel.charts.figure import figure_chart

    return figure_chart(figure)
