"""Pies, boxes, charts of several axes, and what is none of the known types."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib.pyplot as plt
import pandas as pd
import pytest
import seaborn as sns

Chart = Callable[..., dict[str, Any]]
SCORES = {"A": [85, 90, 78, 92, 88], "B": [95, 89, 76, 91, 84, 87, 75], "C": [75, 82, 88, 79, 1]}


def test_a_pie_whole(chart: Chart) -> None:
    plt.pie([90, 10], labels=["big", "small"], autopct="%1.1f%%", explode=(0.1, 0), radius=2)
    plt.title("Shares")
    assert chart() == {
        "type": "pie",
        "title": "Shares",
        "elements": [
            {"label": "big", "angle": 324.0, "radius": 2.0},
            {"label": "small", "angle": 36.0, "radius": 2.0},
        ],
    }


def test_pie_angles_are_rounded_and_absolute(chart: Chart) -> None:
    plt.pie([1, 2], counterclock=False)
    angles = [element["angle"] for element in chart()["elements"]]
    assert angles == [120.0, 240.0]
    plt.figure()
    plt.pie([1, 1, 1, 1, 1, 1, 1])
    assert chart()["elements"][0]["angle"] == pytest.approx(360 / 7, abs=1e-5)


@pytest.mark.parametrize("orientation", ["vertical", "horizontal"])
@pytest.mark.parametrize("filled", [True, False])
@pytest.mark.parametrize("means", [True, False])
def test_boxes(chart: Chart, orientation: str, filled: bool, means: bool) -> None:
    plt.boxplot(
        list(SCORES.values()),
        tick_labels=list(SCORES),
        orientation=orientation,
        patch_artist=filled,
        showmeans=means,
    )
    along, across = (plt.xlabel, plt.ylabel)
    if orientation == "horizontal":
        along, across = across, along
    along("Class")
    across("Score (points)")
    found = chart()
    assert list(found) == ["type", "title", "x_label", "y_label", "x_unit", "y_unit", "elements"]
    assert found["type"] == "box_and_whisker"
    assert (found["x_label"], found["y_unit"]) == ("Class", "points")
    assert found["elements"] == [
        {
            "label": "A",
            "min": 78.0,
            "first_quartile": 85.0,
            "median": 88.0,
            "third_quartile": 90.0,
            "max": 92.0,
            "outliers": [],
        },
        {
            "label": "B",
            "min": 75.0,
            "first_quartile": 80.0,
            "median": 87.0,
            "third_quartile": 90.0,
            "max": 95.0,
            "outliers": [],
        },
        {
            "label": "C",
            "min": 75.0,
            "first_quartile": 75.0,
            "median": 79.0,
            "third_quartile": 82.0,
            "max": 88.0,
            "outliers": [1.0],
        },
    ]


def test_quartiles_between_samples(chart: Chart) -> None:
    plt.boxplot([[76, 84, 85, 86, 87, 88]], patch_artist=True)
    (box,) = chart()["elements"]
    assert (box["first_quartile"], box["outliers"]) == (84.25, [76.0])


@pytest.mark.parametrize("options", [{"showcaps": False}, {"notch": True}, {"showfliers": False}])
def test_boxes_drawn_otherwise(chart: Chart, options: dict[str, bool]) -> None:
    plt.boxplot([[1, 2, 3, 4, 5]], **options)
    (box,) = chart()["elements"]
    numbers = [box[k] for k in ("min", "first_quartile", "median", "third_quartile", "max")]
    assert numbers == [1.0, 2.0, 3.0, 4.0, 5.0]


def test_boxes_of_seaborn_with_a_legend(chart: Chart) -> None:
    frame = pd.DataFrame({"g": list("aabb") * 3, "h": list("xyxy") * 3, "v": range(12)})
    sns.boxplot(frame, x="g", y="v", hue="h")
    found = chart()
    assert found["type"] == "box_and_whisker"
    assert [box["label"] for box in found["elements"]] == ["a", "b", "a", "b"]
    assert [box["median"] for box in found["elements"]] == [4.0, 6.0, 5.0, 7.0]


def test_several_axes_are_a_superchart(chart: Chart) -> None:
    figure, ((line, bars), (pie, unused)) = plt.subplots(2, 2)
    line.plot([1, 2, 4])
    line.set_title("left")
    bars.bar(["a"], [1])
    pie.pie([1, 3])
    figure.suptitle("All")
    found = chart()
    assert unused is not None
    assert list(found) == ["type", "title", "elements"]
    assert (found["type"], found["title"]) == ("superchart", "All")
    assert [element["type"] for element in found["elements"]] == ["line", "bar", "pie"]
    assert found["elements"][0]["title"] == "left"
    assert "x_ticks" in found["elements"][0]


def test_shared_axes_keep_their_tick_labels(chart: Chart) -> None:
    _, (above, below) = plt.subplots(2, 1, sharex=True)
    above.plot([1, 2, 4])
    below.plot([1, 2, 4])
    first, second = chart()["elements"]
    assert first["x_tick_labels"] == second["x_tick_labels"] != []


def test_twin_axes_are_two_charts(chart: Chart) -> None:
    _, axes = plt.subplots()
    axes.bar(["a", "b"], [1, 2])
    axes.twinx().plot(["a", "b"], [3, 5])
    found = chart()
    assert [element["type"] for element in found["elements"]] == ["bar", "line"]
    assert found["title"] is None


def test_one_axes_in_a_grid_is_no_superchart(chart: Chart) -> None:
    _, axes = plt.subplots(1, 2)
    axes[1].plot([1, 2, 4])
    assert chart()["type"] == "line"


def test_nothing_plotted_is_no_chart(chart: Chart) -> None:
    assert chart() == {}
    plt.subplots(2, 2)
    assert chart() == {}


def unknown() -> list[Callable[[], Any]]:
    def circles() -> None:
        plt.gca().add_patch(plt.Circle((0, 0), 1))
        plt.gca().add_patch(plt.Circle((1, 1), 1))

    def solid() -> None:
        plt.figure().add_subplot(projection="3d").plot([1, 2], [1, 2], [1, 2])

    def mixed() -> None:
        plt.plot([1, 2, 4])
        plt.bar([1, 2], [1, 2])

    return [
        circles,
        solid,
        mixed,
        lambda: plt.imshow([[1, 2], [3, 4]]),
        lambda: plt.fill_between([1, 2], [1, 2]),
        lambda: plt.contourf([[1, 2], [3, 4]]),
        lambda: plt.table([["a"]]),
    ]


@pytest.mark.parametrize("draw", unknown())
def test_anything_else_is_unknown(chart: Chart, draw: Callable[[], Any]) -> None:
    draw()
    plt.gcf().axes[0].set_title("T")
    if plt.gcf().axes[0].has_data():
        assert chart() == {"type": "unknown", "title": "T", "elements": []}
    else:
        assert chart() == {}


def test_a_reader_that_fails_gives_unknown(chart: Chart) -> None:
    (line,) = plt.plot([1, 2, 4])
    line.get_label = None
    assert chart() == {"type": "unknown", "title": None, "elements": []}


def test_a_chart_does_not_change_its_figure(chart: Chart) -> None:
    plt.plot([1, 2, 4])
    plt.title("T")
    before = plt.gcf().canvas.print_to_buffer()[0]
    chart()
    assert plt.gcf().canvas.print_to_buffer()[0] == before
