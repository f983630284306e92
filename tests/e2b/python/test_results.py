"""Every kind of result reaches the client in its own field.

Contract: sections 5.2 and 5.3.
"""

from __future__ import annotations

import base64

import pytest
from e2b_code_interpreter import Result

PNG = b"\x89PNG\r\n\x1a\n"


def only(execution) -> Result:
    assert execution.error is None, execution.error
    assert len(execution.results) == 1, execution.results
    return execution.results[0]


@pytest.mark.parametrize(
    ("field", "value", "code"),
    [
        ("html", "<b>bold</b>", "HTML('<b>bold</b>')"),
        ("markdown", "# head", "Markdown('# head')"),
        ("latex", "$x^2$", "Latex('$x^2$')"),
        ("svg", "<svg></svg>", "display({'image/svg+xml': '<svg></svg>'}, raw=True)"),
        ("jpeg", "/9j/4AAQ", "display({'image/jpeg': '/9j/4AAQ'}, raw=True)"),
        ("pdf", "JVBERi0=", "display({'application/pdf': 'JVBERi0='}, raw=True)"),
        ("javascript", "alert(1)", "Javascript('alert(1)')"),
        ("json", {"a": [1, 2]}, "display({'application/json': {'a': [1, 2]}}, raw=True)"),
    ],
)
def test_a_format_arrives_in_its_field(sandbox, field, value, code):
    names = "from IPython.display import HTML, Markdown, Latex, Javascript, display\n"
    result = only(sandbox.run_code(names + code))
    assert result[field] == value
    assert field in result.formats()
    assert not result.extra


def test_a_raw_display_has_only_its_format(sandbox):
    result = only(sandbox.run_code("display({'text/latex': r'$\\alpha$'}, raw=True)"))
    assert result.formats() == ["latex"]
    assert result.is_main_result is False


def test_an_unknown_format_is_extra(sandbox):
    result = only(sandbox.run_code("display({'application/x-own': 'v'}, raw=True)"))
    assert result.extra == {"application/x-own": "v"}


def test_displays_come_before_the_main_result(sandbox):
    execution = sandbox.run_code("display('first')\ndisplay('second')\n'main'")
    assert [r.text for r in execution.results] == ["first", "second", "main"]
    assert [r.is_main_result for r in execution.results] == [False, False, True]
    assert execution.text == "main"


def test_a_data_frame_brings_its_data(sandbox):
    code = (
        "import pandas as pd\n"
        "pd.DataFrame({'n': [1, 2], 'when': pd.to_datetime(['2024-01-02', '2024-01-03'])})"
    )
    result = only(sandbox.run_code(code))
    assert result.data is not None
    assert result.data["n"] == [1, 2]
    assert [text[:10] for text in result.data["when"]] == ["2024-01-02", "2024-01-03"]
    assert result.html is not None and "<table" in result.html
    assert result.text is not None and "when" in result.text


def test_lists_and_dicts_are_json_too(sandbox):
    result = only(sandbox.run_code("{'a': 1, 'b': [True, None]}"))
    assert result.json == {"a": 1, "b": [True, None]}
    assert only(sandbox.run_code("[1, 'two']")).json == [1, "two"]
    code = "import numpy as np\n{'n': np.int64(7), 2: np.array([1.5])}"
    assert only(sandbox.run_code(code)).json == {"n": 7, "2": [1.5]}


def test_what_is_not_json_has_no_json(sandbox):
    result = only(sandbox.run_code("[object()]"))
    assert result.json is None and result.text is not None


def test_a_picture_is_a_png(sandbox):
    result = only(sandbox.run_code("from PIL import Image\nImage.new('RGB', (4, 3), 'red')"))
    assert result.png is not None
    raw = base64.b64decode(result.png)
    assert raw.startswith(PNG)
    assert (int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])) == (4, 3)


def test_a_picture_with_a_very_long_side_is_scaled_and_kept_whole(sandbox):
    result = only(sandbox.run_code("from PIL import Image\nImage.new('RGB', (9000, 100), 'red')"))
    assert result.png is not None
    raw = base64.b64decode(result.png)
    assert raw.startswith(PNG)
    assert (int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])) == (4096, 46)
    original = result.extra["application/vnd.soulbox.originals+json"]["image/png"]
    assert (original["width"], original["height"]) == (9000, 100)
    whole = bytes(sandbox.files.read(original["path"], format="bytes"))
    assert whole.startswith(PNG) and int.from_bytes(whole[16:20]) == 9000
    assert len(whole) == original["bytes"]


@pytest.mark.parametrize("own_server", [("--max-image-side", "50")], indirect=True)
def test_the_longest_side_of_a_picture_is_a_setting(own_server):
    sandbox = own_server.wire.create(timeout=300)["sandboxID"]
    code = "from PIL import Image\nImage.new('L', (100, 60))"
    items = list(own_server.wire.execute(sandbox, code).items())
    (result,) = (item for item in items if item["type"] == "result")
    raw = base64.b64decode(result["png"])
    assert (int.from_bytes(raw[16:20]), int.from_bytes(raw[20:24])) == (50, 30)


def test_saving_a_picture_by_name_shows_it(sandbox):
    code = "from PIL import Image\nImage.new('RGB', (2, 2)).save('saved.png')"
    result = only(sandbox.run_code(code))
    assert result.png is not None and result.is_main_result is False
    assert bytes(sandbox.files.read("saved.png", format="bytes")).startswith(PNG)


def test_a_figure_has_png_text_chart_and_nothing_extra(sandbox):
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2, 3])\nplt.show()"
    result = only(sandbox.run_code(code))
    assert result.png is not None and base64.b64decode(result.png).startswith(PNG)
    assert result.text is not None and "Figure" in result.text
    assert result.chart is not None
    assert result.extra == {}
    assert sorted(result.formats()) == ["chart", "png", "text"]
    assert result.is_main_result is False


def test_a_shown_figure_and_a_value_are_two_results(sandbox):
    code = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nx = 7\nx"
    execution = sandbox.run_code(code)
    assert len(execution.results) == 2
    assert execution.results[0].png is not None
    assert execution.text == "7"


def test_a_figure_is_shown_once(sandbox):
    first = sandbox.run_code("import matplotlib.pyplot as plt\nplt.plot([1, 2]);")
    assert len([r for r in first.results if r.png]) == 1
    assert sandbox.run_code("1").results[0].png is None


def test_cjk_text_in_a_figure_needs_no_warning(sandbox):
    code = (
        "import warnings; warnings.simplefilter('error')\n"
        "import matplotlib.pyplot as plt\nplt.plot([1, 2]); plt.title('温度と湿度')\nplt.show()"
    )
    execution = sandbox.run_code(code)
    sandbox.run_code("warnings.simplefilter('default')")
    assert execution.error is None, execution.error
    assert "missing from" not in "".join(execution.logs.stderr)
