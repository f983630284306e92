"""Labels, ticks and scales of an axes (contract section 5.4)."""

from __future__ import annotations

from typing import Any

from matplotlib import dates

from soulbox_kernel.charts import units
from soulbox_kernel.charts.values import coordinate, number


def labels(axes: Any, *, swapped: bool = False) -> dict[str, Any]:
    """The label and unit keys. `swapped` charts are horizontal, so x is what stands on y."""
    x, y = axes.get_xlabel(), axes.get_ylabel()
    return units.labels(y, x) if swapped else units.labels(x, y)


def scales(axes: Any) -> dict[str, Any]:
    """The keys for ticks and scale of both axes."""
    keys: dict[str, Any] = {}
    for name, axis in (("x", axes.xaxis), ("y", axes.yaxis)):
        locations = list(axis.get_majorticklocs())
        texts = tick_texts(axis, locations)
        scale = scale_of(axis, locations, texts)
        ticks = [date_at(axis, at) for at in locations] if scale == "datetime" else locations
        keys[f"{name}_ticks"] = [t if isinstance(t, str) else number(t) for t in ticks]
        keys[f"{name}_tick_labels"] = texts
        keys[f"{name}_scale"] = scale
    order = [f"{n}_{key}" for key in ("ticks", "tick_labels", "scale") for n in "xy"]
    return {key: keys[key] for key in order}


def tick_texts(axis: Any, locations: list[Any]) -> list[str]:
    """The text at each tick, also where shared axes hide it."""
    texts = [text.get_text() for text in axis.get_ticklabels()]
    if len(texts) == len(locations):
        return texts
    return [str(text) for text in axis.get_major_formatter().format_ticks(locations)]


def scale_of(axis: Any, locations: list[Any], texts: list[str]) -> str:
    """`datetime`, matplotlib's name of a scale that is not linear, `categorical` or `linear`."""
    if is_date(axis):
        return "datetime"
    scale = axis.get_scale()
    if scale != "linear":
        return scale
    return "categorical" if _names_positions(locations, texts) else "linear"


def _names_positions(locations: list[Any], texts: list[str]) -> bool:
    """Whether ticks 0..n-1 carry something else than these numbers."""
    if not texts or not any(texts) or len(texts) != len(locations):
        return False
    if [float(at) for at in locations] != [float(at) for at in range(len(locations))]:
        return False
    return any(_as_number(text) != at for at, text in enumerate(texts))


def _as_number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def is_date(axis: Any) -> bool:
    """Whether positions on this axis are dates, by matplotlib's or pandas' converters."""
    converter = axis.get_converter() if hasattr(axis, "get_converter") else axis.converter
    if isinstance(converter, dates.DateConverter | dates._SwitchableDateConverter):
        return True
    if is_period(axis):
        return True
    return isinstance(axis.get_major_locator(), dates.DateLocator)


def is_period(axis: Any) -> bool:
    """Whether positions are ordinals of pandas' periods, as in `Series.plot()` over dates."""
    converter = axis.get_converter() if hasattr(axis, "get_converter") else axis.converter
    return type(converter).__name__ == "PeriodConverter" and hasattr(axis.axes, "freq")


def date_at(axis: Any, position: float) -> str | None:
    """ISO text of a position on a date axis: with an offset only if the data had a time zone."""
    if number(position) is None:
        return None
    if is_period(axis):
        import pandas

        return pandas.Period(ordinal=int(position), freq=axis.axes.freq).to_timestamp().isoformat()
    moment = dates.num2date(position, tz=axis.units)
    return (moment if axis.units is not None else moment.replace(tzinfo=None)).isoformat()


def on_axis(axis: Any, values: list[Any]) -> list[Any]:
    """Coordinates as JSON, where bare numbers on a date axis are dates, too."""
    if not is_date(axis):
        return values
    return [date_at(axis, value) if isinstance(value, float) else value for value in values]


def text_on_axis(axis: Any, position: float) -> str | None:
    """A position on a date axis as text; None on any other axis."""
    text = date_at(axis, position) if is_date(axis) else None
    return None if text is None else str(coordinate(text))
