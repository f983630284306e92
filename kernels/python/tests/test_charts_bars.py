"""Bar charts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import seaborn as sns

Chart = Callable[..., dict[str, Any]]


def bars(found: dict[str, Any]) -> list[tuple[str, str, float]]:
    assert found["type"] == "bar"
    return [(e["label"], e["group"], e["value"]) for e in found["elements"]]


def test_a_bar_chart_whole(chart: Chart) -> None:
    plt.bar(["A", "B", "C"], [100, 200, 300])
    plt.title("Sales")
    plt.xlabel("Author")
    plt.ylabel("Books (pieces)")
    plt.grid(axis="y")
    assert chart() == {
        "type": "bar",
        "title": "Sales",
        "x_label": "Author",
        "y_label": "Books (pieces)",
        "x_unit": None,
        "y_unit": "pieces",
        "elements": [
            {"label": "A", "group": "Group 0", "value": 100.0},
            {"label": "B", "group": "Group 0", "value": 200.0},
            {"label": "C", "group": "Group 0", "value": 300.0},
        ],
    }


def test_horizontal_bars_swap_the_axes(chart: Chart) -> None:
    plt.barh(["A", "B"], [100, 200], label="2024")
    plt.xlabel("Books (pieces)")
    plt.ylabel("Author")
    found = chart()
    assert bars(found) == [("A", "2024", 100.0), ("B", "2024", 200.0)]
    assert (found["x_label"], found["y_label"]) == ("Author", "Books (pieces)")
    assert (found["x_unit"], found["y_unit"]) == (None, "pieces")


def test_bars_of_equal_value_stay_upright(chart: Chart) -> None:
    plt.bar(["A", "B"], [5, 5])
    assert bars(chart()) == [("A", "Group 0", 5.0), ("B", "Group 0", 5.0)]


def test_rectangles_of_no_container_are_horizontal_when_equally_high(chart: Chart) -> None:
    axes = plt.gca()
    for at, width in enumerate([3, 7]):
        axes.add_patch(plt.Rectangle((0, at - 0.4), width, 0.8))
    axes.set_yticks([0, 1], ["A", "B"])
    assert bars(chart()) == [("A", "Group 0", 3.0), ("B", "Group 0", 7.0)]


def test_grouped_bars_take_the_name_between_them(chart: Chart) -> None:
    places = np.arange(2)
    plt.bar(places - 0.2, [1, 2], 0.4, label="men")
    plt.bar(places + 0.2, [3, 4], 0.4, label="women")
    plt.xticks(places, ["P", "Q"])
    plt.legend()
    assert bars(chart()) == [
        ("P", "men", 1.0),
        ("Q", "men", 2.0),
        ("P", "women", 3.0),
        ("Q", "women", 4.0),
    ]


def test_stacked_bars_have_their_own_heights(chart: Chart) -> None:
    plt.bar(["A", "B"], [1, 2])
    plt.bar(["A", "B"], [3, 4], bottom=[1, 2])
    assert [bar[1:] for bar in bars(chart())] == [
        ("Group 0", 1.0),
        ("Group 0", 2.0),
        ("Group 1", 3.0),
        ("Group 1", 4.0),
    ]


def test_error_bars_are_no_elements(chart: Chart) -> None:
    plt.bar(["A", "B"], [1, 2], yerr=[0.1, 0.2], capsize=4, label="g")
    assert bars(chart()) == [("A", "g", 1.0), ("B", "g", 2.0)]


def test_bars_at_numbers_and_dates_are_named_by_their_place(chart: Chart) -> None:
    plt.bar([1, 2, 5.5], [1, 2, 3])
    assert [bar[0] for bar in bars(chart())] == ["1", "2", "5.5"]
    plt.figure()
    plt.bar(pd.date_range("2024-01-01", periods=2), [1, 2])
    assert [bar[0] for bar in bars(chart())] == ["2024-01-01T00:00:00", "2024-01-02T00:00:00"]


def test_a_histogram(chart: Chart) -> None:
    plt.hist([1, 2, 2, 3], bins=[0.5, 1.5, 2.5, 3.5])
    assert bars(chart()) == [("1", "Group 0", 1.0), ("2", "Group 0", 2.0), ("3", "Group 0", 1.0)]


def test_a_bar_of_height_nought_is_a_bar(chart: Chart) -> None:
    plt.bar(["A", "B"], [0, 1])
    assert bars(chart()) == [("A", "Group 0", 0.0), ("B", "Group 0", 1.0)]


def test_bars_of_pandas_and_seaborn(chart: Chart) -> None:
    pd.DataFrame({"one": [1, 2], "two": [3, 4]}, index=["x", "y"]).plot.barh()
    assert bars(chart()) == [
        ("x", "one", 1.0),
        ("y", "one", 2.0),
        ("x", "two", 3.0),
        ("y", "two", 4.0),
    ]
    plt.figure()
    frame = pd.DataFrame({"g": list("aabb"), "h": list("xyxy"), "v": [1, 2, 3, 4]})
    sns.barplot(frame, x="g", y="v", hue="h", errorbar=None)
    assert [bar[::2] for bar in bars(chart())] == [("a", 1.0), ("b", 3.0), ("a", 2.0), ("b", 4.0)]
