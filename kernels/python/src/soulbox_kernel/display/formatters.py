"""The two MIME types of ours and how functions are registered for them.

IPython lets a formatter return only its declared type and prints a traceback into the user's cell
when it raises; `quiet` turns every failure into "no such format".
"""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

from IPython.core.formatters import BaseFormatter
from traitlets import ObjectName, Unicode

#: Tables as `{column: [values]}`.
DATA = "e2b/data"
#: Charts as in section 5.4 of the contract.
CHART = "e2b/chart"
JSON = "application/json"


class DataFormatter(BaseFormatter):
    """Values under `e2b/data`; also what a class returns from `_repr_e2b_data_`."""

    format_type = Unicode(DATA)
    print_method = ObjectName("_repr_e2b_data_")
    _return_type = dict


class ChartFormatter(BaseFormatter):
    """Values under `e2b/chart`; also what a class returns from `_repr_e2b_chart_`."""

    format_type = Unicode(CHART)
    print_method = ObjectName("_repr_e2b_chart_")
    _return_type = dict


def formatter(shell: Any, mime: str) -> BaseFormatter:
    """The shell's formatter for a MIME type, made when it is one of ours and not there yet."""
    known = shell.display_formatter.formatters
    if mime not in known:
        kind = {DATA: DataFormatter, CHART: ChartFormatter}[mime]
        known[mime] = kind(parent=shell.display_formatter)
    return known[mime]


def quiet(convert: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """Wraps a conversion so that its failures and warnings stay out of the user's cell."""

    @functools.wraps(convert)
    def converted(value: Any) -> Any:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            try:
                return convert(value)
            except Exception:
                return None

    return converted
