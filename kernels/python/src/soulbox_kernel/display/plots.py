"""Figures of plotly, bokeh and other browser libraries: self-describing html, at once.

These libraries ask the notebook for help: they load their JavaScript into the page by a display of
its own (plotly's has 4.8 MB), or open a browser. A client of a sandbox gets results one by one, so
each figure carries what it needs: one html text that loads the library, and the figure's own JSON
where the library has a MIME type for it. altair and seaborn do so by themselves.
"""

from __future__ import annotations

import json
from types import ModuleType
from typing import Any

from IPython.display import display

from soulbox_kernel.display.formatters import CHART, formatter, quiet
from soulbox_kernel.imports import when_imported

#: plotly's MIME type for the JSON of a figure.
PLOTLY = "application/vnd.plotly.v1+json"


def install(shell: Any) -> None:
    """Registers the libraries' classes, and their ways to show once they are imported."""
    bundles = shell.display_formatter.mimebundle_formatter
    bundles.for_type_by_name("plotly.basedatatypes", "BaseFigure", quiet(plotly_bundle))
    formatter(shell, CHART).for_type_by_name(
        "plotly.basedatatypes", "BaseFigure", quiet(plotly_chart)
    )
    when_imported("plotly.basedatatypes", _show_plotly_as_result)
    html = formatter(shell, "text/html")
    html.for_type_by_name("bokeh.models.layouts", "LayoutDOM", quiet(bokeh_html))
    when_imported("bokeh.io", _show_bokeh_as_result)


def plotly_bundle(figure: Any) -> dict[str, Any]:
    """A plotly figure as html for any browser and as plotly's JSON."""
    return {
        PLOTLY: json.loads(figure.to_json()),
        "text/html": figure.to_html(include_plotlyjs="cdn", full_html=False),
    }


def plotly_chart(figure: Any) -> dict[str, Any] | None:
    """A plotly figure as a chart of the same form as matplotlib's."""
    from soulbox_kernel.charts import plotly

    return plotly.figure_chart(figure)


def _show_plotly_as_result(module: ModuleType) -> None:
    figure_class: Any = module.BaseFigure  # type: ignore[attr-defined]
    original = figure_class.show

    def show(self: Any, renderer: str | None = None, *arguments: Any, **options: Any) -> Any:
        """Displays this figure as a result, unless another renderer is asked for."""
        if renderer is None:
            display(self)
            return None
        return original(self, renderer, *arguments, **options)

    figure_class.show = show
    # It would show the figure through plotly's notebook renderer instead of as the cell's value.
    figure_class._ipython_display_ = None


def bokeh_html(model: Any) -> str:
    """A page with one bokeh model."""
    from bokeh.embed import file_html
    from bokeh.resources import CDN

    return file_html(model, CDN)


def _show_bokeh_as_result(module: ModuleType) -> None:
    """Makes `show()` display a result, by bokeh's own hook for notebooks of other kinds."""

    def load(*_arguments: Any) -> None:
        """Nothing to load ahead: every figure is a whole page."""

    def show_doc(model: Any, *_arguments: Any) -> None:
        display(model)

    def show_app(*_arguments: Any) -> None:
        raise NotImplementedError("bokeh applications need a server that the browser can reach")

    # bokeh's default kind of notebook, so that the user's own output_notebook() changes nothing.
    module.install_notebook_hook(  # type: ignore[attr-defined]
        "jupyter", load, show_doc, show_app, overwrite=True
    )
    module.output_notebook(hide_banner=True)  # type: ignore[attr-defined]
