"""Tables get `e2b/data`: `{column: [values]}`, in the order of the columns.

The index is not part of it. Missing and infinite numbers are null, dates ISO text. Columns of equal
names get a counter (`a`, `a.1`), as pandas' own reader does, since an object has each name once.
Tables of more than `MAX_VALUES` cells have no `data`; their text and html stay.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from soulbox_kernel.display.formatters import DATA, formatter, quiet
from soulbox_kernel.display.jsonable import Converter

#: The column name of a Series without one; the same that pandas gives in `to_frame()`.
UNNAMED = "0"


def install(shell: Any) -> None:
    """Registers pandas' and polars' tables and columns."""
    data = formatter(shell, DATA)
    # Where the classes are defined differs by version; both places are waited for.
    for module in ("pandas", "pandas.core.frame"):
        data.for_type_by_name(module, "DataFrame", quiet(pandas_frame))
    for module in ("pandas", "pandas.core.series"):
        data.for_type_by_name(module, "Series", quiet(pandas_series))
    data.for_type_by_name("polars.dataframe.frame", "DataFrame", quiet(polars_frame))
    data.for_type_by_name("polars.series.series", "Series", quiet(polars_series))


def pandas_frame(frame: Any) -> dict[str, list[Any]]:
    """The columns of a pandas DataFrame."""
    converter = _converter_for(frame.size)
    columns = (frame.iloc[:, position] for position in range(frame.shape[1]))
    names = unique_names(frame.columns)
    return {n: _pandas_values(c, converter) for n, c in zip(names, columns, strict=True)}


def pandas_series(series: Any) -> dict[str, list[Any]]:
    """A pandas Series as a table of one column."""
    name = UNNAMED if series.name is None else str(series.name)
    return {name: _pandas_values(series, _converter_for(series.size))}


def polars_frame(frame: Any) -> dict[str, list[Any]]:
    """The columns of a polars DataFrame."""
    converter = _converter_for(frame.height * frame.width)
    return {column.name: _plain_values(column, converter) for column in frame.get_columns()}


def polars_series(series: Any) -> dict[str, list[Any]]:
    """A polars Series as a table of one column."""
    return {series.name or UNNAMED: _plain_values(series, _converter_for(len(series)))}


def _converter_for(cells: int) -> Converter:
    """A converter, or `NotConvertibleError` before anything is copied."""
    Converter().count(cells)
    return Converter(text_for_others=True)


def _pandas_values(series: Any, converter: Converter) -> list[Any]:
    if series.dtype.kind in "iub" and not hasattr(series.dtype, "na_value"):
        converter.count(series.size)
        return series.tolist()
    return [converter.convert(value) for value in series.tolist()]


def _plain_values(series: Any, converter: Converter) -> list[Any]:
    return [converter.convert(value) for value in series.to_list()]


def unique_names(columns: Iterable[Any]) -> list[str]:
    """The names as text, repeated ones told apart by a counter."""
    taken: set[str] = set()
    names = []
    for column in columns:
        name, repeats = str(column), 0
        while name in taken:
            repeats += 1
            name = f"{column}.{repeats}"
        taken.add(name)
        names.append(name)
    return names
