"""A warm kernel looks like a fresh one."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from real_kernel import RealKernel, Run

LOOK = """
import linecache, os, sys
[
    In, Out, _, __, ___, len(_dh), sorted(globals()),
    [hasattr(sys, n) for n in ('last_type', 'last_value', 'last_traceback', 'last_exc')],
    [n for n in linecache.cache if 'ipykernel' in n],
    get_ipython().execution_count, sys.path, dict(os.environ),
]
"""


@pytest.fixture(scope="module")
def cold_look(cold_kernel: RealKernel) -> Run:
    """The first cell of a kernel whose process has run nothing."""
    return cold_kernel.run(LOOK)


def test_the_first_cell_finds_what_it_finds_in_a_cold_kernel(
    cold_look: Run, warm_kernel: RealKernel
) -> None:
    cold, warm = cold_look, warm_kernel.run(LOOK)
    assert warm.of("execute_input")[0]["execution_count"] == 1
    for seen, expected in zip(found(warm), found(cold), strict=True):
        assert seen == expected


def found(run: Run) -> list[Any]:
    """The look, without what differs in every process."""
    values = copy.deepcopy(run.main["application/json"])
    variables = values[-1]
    for name in ("JPY_PARENT_PID", "PWD"):
        variables.pop(name, None)
    values[8] = len(values[8])
    return values


def test_libraries_are_loaded_and_figures_are_gone(warm_kernel: RealKernel) -> None:
    code = "import sys; [n in sys.modules for n in ('numpy', 'pandas', 'matplotlib.pyplot')]"
    assert warm_kernel.run(code).text == "[True, True, True]"
    code = "import matplotlib.pyplot as plt\n[plt.get_fignums(), plt.isinteractive()]"
    assert warm_kernel.run(code).text == "[[], True]"


def test_it_still_shows_figures_tables_and_errors(warm_kernel: RealKernel) -> None:
    ((_, figure),) = warm_kernel.run("plt.plot([1, 2]); plt.show()").bundles
    assert {"image/png", "e2b/chart"} <= set(figure)
    code = "import pandas as pd; pd.DataFrame({'a': [1]})"
    assert warm_kernel.run(code).main["e2b/data"] == {"a": [1]}
    assert warm_kernel.run("nope").error["evalue"] == "name 'nope' is not defined"
    assert warm_kernel.run("print('out')").stdout == "out\n"


@pytest.mark.parametrize("warm_kernel", ["zmq"], indirect=True)
def test_messages_are_signed_again(warm_kernel: RealKernel) -> None:
    key, warm_kernel.client.session.key = warm_kernel.client.session.key, b"wrong"
    warm_kernel.begin("forged = True")
    warm_kernel.client.session.key = key
    assert warm_kernel.run("forged").error["ename"] == "NameError"


def test_missing_libraries_are_no_obstacle(tmp_path_factory: pytest.TempPathFactory) -> None:
    import tempfile
    from pathlib import Path

    with tempfile.TemporaryDirectory(prefix="sbk") as name:
        directory = Path(name)
        for library in ("numpy", "pandas", "matplotlib"):
            (directory / f"{library}.py").write_text("raise ImportError('not here')")
        kernel = RealKernel(directory, "--warm")
        try:
            assert kernel.run("1 + 1").text == "2"
            assert kernel.run("[1]").main["application/json"] == [1]
        finally:
            kernel.stop()
