"""The data of a matplotlib figure arrives as a chart of the client's own types.

Contract: section 5.4 and row 34 of section 8. Expected numbers were worked out by hand.
"""

from __future__ import annotations

import pytest
from e2b_code_interpreter.charts import (
    BarChart,
    BoxAndWhiskerChart,
    LineChart,
    PieChart,
    ScatterChart,
    SuperChart,
)


def chart(sandbox, code: str):
    execution = sandbox.run_code(f"import matplotlib.pyplot as plt\n{code}\nplt.show()")
    assert execution.error is None, execution.error
    assert len(execution.results) == 1
    return execution.results[0].chart


def test_line(sandbox):
    got = chart(
        sandbox,
        "plt.plot([0, 1, 2], [0, 2, 4], label='speed')\nplt.plot([0, 1, 2], [1, 1, 1])\n"
        "plt.xlabel('Time (s)')\nplt.ylabel('Speed [m/s]')\nplt.title('Motion')",
    )
    assert isinstance(got, LineChart)
    assert got.title == "Motion"
    assert (got.x_label, got.x_unit, got.y_label, got.y_unit) == ("Time (s)", "s", "Speed [m/s]", "m/s")
    assert (got.x_scale, got.y_scale) == ("linear", "linear")
    assert all(isinstance(tick, float) for tick in got.x_ticks)
    assert all(isinstance(label, str) for label in got.x_tick_labels)
    assert [(e.label, e.points) for e in got.elements] == [
        ("speed", [(0.0, 0.0), (1.0, 2.0), (2.0, 4.0)]),
        ("Line 1", [(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]),
    ]


def test_line_over_dates(sandbox):
    got = chart(
        sandbox,
        "import datetime as d\ndays = [d.date(2024, 1, n) for n in (1, 2, 3)]\nplt.plot(days, [1, 2, 3])",
    )
    assert isinstance(got, LineChart)
    assert got.x_scale == "datetime"
    assert [x[:10] for x, _ in got.elements[0].points] == ["2024-01-01", "2024-01-02", "2024-01-03"]
    assert all(isinstance(tick, str) and tick[:4] == "2024" for tick in got.x_ticks)


def test_line_on_a_log_axis(sandbox):
    got = chart(sandbox, "plt.plot([1, 2, 3], [1, 10, 100])\nplt.yscale('log')")
    assert isinstance(got, LineChart)
    assert (got.x_scale, got.y_scale) == ("linear", "log")


def test_scatter(sandbox):
    got = chart(sandbox, "plt.scatter([1, 2], [3.5, 4], label='dots')")
    assert isinstance(got, ScatterChart)
    assert [(e.label, e.points) for e in got.elements] == [("dots", [(1.0, 3.5), (2.0, 4.0)])]
    assert got.title is None and got.x_label is None and got.x_unit is None


def test_scatter_over_categories(sandbox):
    got = chart(sandbox, "plt.scatter([1, 2, 3], ['low', 'mid', 'high'])")
    assert isinstance(got, ScatterChart)
    assert got.y_scale == "categorical"
    assert got.y_tick_labels == ["low", "mid", "high"]


def test_bar(sandbox):
    got = chart(sandbox, "plt.bar(['a', 'b'], [3, 5], label='sold')\nplt.ylabel('Count (pcs)')")
    assert isinstance(got, BarChart)
    assert [(e.label, e.group, float(e.value)) for e in got.elements] == [
        ("a", "sold", 3.0),
        ("b", "sold", 5.0),
    ]
    assert (got.y_label, got.y_unit) == ("Count (pcs)", "pcs")


def test_horizontal_bar(sandbox):
    got = chart(sandbox, "plt.barh(['a', 'b'], [3, 5])")
    assert isinstance(got, BarChart)
    assert [(e.label, e.group, float(e.value)) for e in got.elements] == [
        ("a", "Group 0", 3.0),
        ("b", "Group 0", 5.0),
    ]


def test_pie(sandbox):
    got = chart(sandbox, "plt.pie([90, 10], labels=['most', 'rest'])")
    assert isinstance(got, PieChart)
    assert [(e.label, e.angle, e.radius) for e in got.elements] == [
        ("most", 324, 1),
        ("rest", 36, 1),
    ]


def test_box_and_whisker(sandbox):
    got = chart(
        sandbox,
        "plt.boxplot([[1, 2, 3, 4, 5, 20], [10, 20, 30, 40, 50]], patch_artist=True)\n"
        "plt.xticks([1, 2], ['first', 'second'])",
    )
    assert isinstance(got, BoxAndWhiskerChart)
    first, second = got.elements
    assert (first.label, second.label) == ("first", "second")
    assert (first.min, first.first_quartile, first.median) == (1, 2.25, 3.5)
    assert (first.third_quartile, first.max, first.outliers) == (4.75, 5, [20])
    assert (second.min, second.first_quartile, second.median) == (10, 20, 30)
    assert (second.third_quartile, second.max, second.outliers) == (40, 50, [])


def test_several_axes_are_a_superchart(sandbox):
    got = chart(
        sandbox,
        "figure, (left, right) = plt.subplots(1, 2)\nleft.plot([1, 2])\n"
        "right.bar(['a', 'b'], [1, 2])\nfigure.suptitle('Both')",
    )
    assert isinstance(got, SuperChart)
    assert got.title == "Both"
    assert [type(element) for element in got.elements] == [LineChart, BarChart]


def test_what_has_no_name_is_unknown(sandbox):
    got = chart(
        sandbox,
        "axes = plt.gca()\naxes.add_patch(plt.Circle((0.3, 0.3), 0.1))\n"
        "axes.add_patch(plt.Circle((0.6, 0.6), 0.2))",
    )
    assert got.type == "unknown"
    assert got.elements == []


@pytest.mark.parametrize("broken", ["plt.figure()", "plt.gca()"])
def test_a_figure_without_data_never_fails_the_cell(sandbox, broken):
    execution = sandbox.run_code(f"import matplotlib.pyplot as plt\n{broken}\nplt.show()")
    assert execution.error is None
