"""Which formats results have on a real kernel, and in which order they come."""

from __future__ import annotations

import base64

import pytest

from real_kernel import RealKernel

PNG = b"\x89PNG"


def png(bundle: dict[str, str]) -> bytes:
    return base64.b64decode(bundle["image/png"])


def test_lists_and_dicts_have_json(kernel: RealKernel) -> None:
    run = kernel.run("import numpy as np\n{'a': np.arange(2), 1: float('nan')}")
    assert run.main["application/json"] == {"a": [0, 1], "1": None}
    assert set(kernel.run("[object()]").main) == {"text/plain"}
    assert set(kernel.run("(1, 2)").main) == {"text/plain"}
    assert set(kernel.run("'text'").main) == {"text/plain"}


def test_tables_have_data(kernel: RealKernel) -> None:
    code = "import pandas as pd\npd.DataFrame({'t': pd.to_datetime(['2024-01-01']), 'v': [1]})"
    bundle = kernel.run(code).main
    assert set(bundle) == {"text/plain", "text/html", "e2b/data"}
    assert bundle["e2b/data"] == {"t": ["2024-01-01T00:00:00"], "v": [1]}


def test_plot_show_value_are_two_results_in_this_order(kernel: RealKernel) -> None:
    run = kernel.run("import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nx = 5\nx")
    (first, figure), (second, value) = run.bundles
    assert (first, second) == ("display_data", "execute_result")
    assert set(figure) == {"text/plain", "image/png", "e2b/chart"}
    assert png(figure).startswith(PNG)
    assert figure["e2b/chart"]["type"] == "line"
    assert value == {"text/plain": "5"}


def test_the_end_of_a_cell_shows_each_figure_once_and_closes_it(kernel: RealKernel) -> None:
    run = kernel.run("plt.figure(); plt.plot([1, 2]); plt.figure(); plt.bar(['a'], [1]);")
    assert [name for name, _ in run.bundles] == ["display_data", "display_data"]
    assert [data["e2b/chart"]["type"] for _, data in run.bundles] == ["line", "bar"]
    assert kernel.run("plt.get_fignums()").text == "[]"
    run = kernel.run("plt.plot([1, 2])")
    assert [name for name, _ in run.bundles] == ["execute_result", "display_data"]
    assert "Line2D" in run.main["text/plain"]


def test_other_picture_formats_keep_the_chart(kernel: RealKernel) -> None:
    kernel.run("%config InlineBackend.figure_formats = ['svg']")
    ((_, figure),) = kernel.run("plt.plot([1, 2]); plt.show()").bundles
    assert {"image/svg+xml", "e2b/chart"} <= set(figure)
    kernel.run("%config InlineBackend.figure_formats = ['png']")


def test_a_figure_that_cannot_be_read_is_shown_all_the_same(kernel: RealKernel) -> None:
    run = kernel.run(
        "f = plt.figure(); plt.plot([1, 2])\nf.get_axes = None\ndel f._axstack.as_list"
    )
    assert run.reply["status"] in ("ok", "error")
    run = kernel.run("f = plt.figure(); plt.plot(range(300_000)); plt.show()")
    ((_, figure),) = run.bundles
    assert set(figure) == {"text/plain", "image/png"}
    assert run.of("stream") == []


def test_pictures(kernel: RealKernel) -> None:
    kernel.run("from PIL import Image\nimage = Image.new('RGB', (9, 9), 'red')")
    assert set(kernel.run("image").main) == {"text/plain", "image/png"}
    assert png(kernel.run("image.convert('CMYK')").main).startswith(PNG)
    for code in ("image.save('a.png')", "image.show()", "image.save('b.jpg')"):
        ((name, data),) = kernel.run(code).bundles
        assert name == "display_data"
        assert png(data).startswith(PNG)
    assert (kernel.directory / "a.png").read_bytes().startswith(PNG)
    code = "import pathlib\nimage.save(pathlib.Path('c.png'))\nimage.save(open('d.png', 'wb'))"
    assert kernel.run(code).bundles == []
    assert kernel.run("f = plt.figure(); f.savefig('e.png'); plt.close()").bundles == []


def test_raw_bundles(kernel: RealKernel) -> None:
    code = "from IPython.display import display\ndisplay({'text/latex': '$x$'}, raw=True)"
    assert kernel.run(code).bundles == [("display_data", {"text/latex": "$x$"})]


def test_plotly(kernel: RealKernel) -> None:
    pytest.importorskip("plotly")
    run = kernel.run("import plotly.express as px\nfigure = px.line(x=[1, 2], y=[3, 4])\nfigure")
    assert [name for name, _ in run.bundles] == ["execute_result"]
    assert {"text/html", "application/vnd.plotly.v1+json", "e2b/chart"} <= set(run.main)
    assert run.main["e2b/chart"]["elements"][0]["points"] == [[1.0, 3.0], [2.0, 4.0]]
    ((name, shown),) = kernel.run("figure.show()").bundles
    assert (name, shown.keys()) == ("display_data", run.main.keys())


def test_bokeh(kernel: RealKernel) -> None:
    pytest.importorskip("bokeh")
    code = "import bokeh.plotting as bp\np = bp.figure()\np.line([1, 2], [3, 4])\np"
    run = kernel.run(code)
    assert run.main["text/html"].lstrip().startswith("<!DOCTYPE html>")
    ((name, shown),) = kernel.run("bp.output_notebook()\nbp.show(p)").bundles
    assert (name, shown["text/html"][:1]) == ("display_data", run.main["text/html"][:1])


def test_altair_and_seaborn(kernel: RealKernel) -> None:
    pytest.importorskip("seaborn")
    ((_, _), (_, figure)) = kernel.run("import seaborn\nseaborn.barplot(x=['a'], y=[1])").bundles
    assert figure["e2b/chart"]["type"] == "bar"
    pytest.importorskip("altair")
    code = "import altair, pandas\naltair.Chart(pandas.DataFrame({'a': [1]})).mark_point()"
    assert "text/html" in kernel.run(code).main
