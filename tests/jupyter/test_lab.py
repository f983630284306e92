"""JupyterLab in gateway mode, driven in a headless Chromium as a person works in it.

SOULBOX_SCREENSHOTS names a directory for pictures of the steps, for whoever wants to look.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import nbformat
import pytest
from e2b_code_interpreter import Sandbox
from harness.jupyter_server import JupyterServer
from harness.patience import eventually
from playwright.sync_api import Page, expect, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
# A page without background traffic, in a container, as root.
FLAGS = [
    *("--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-dev-shm-usage"),
    *("--disable-background-networking", "--disable-component-update", "--disable-sync"),
]
# JupyterLab loads some megabytes of script and a kernel starts, on a busy machine.
PATIENCE_MS = 90_000
CELLS = [
    "from matplotlib import pyplot\n_ = pyplot.plot([1, 3, 2])\npyplot.title('drawn'); pyplot.show()",
    "import ipywidgets\nslider, label = ipywidgets.IntSlider(), ipywidgets.Label('still')\n"
    "slider.observe(lambda change: setattr(label, 'value', f\"moved to {change['new']}\"), 'value')\n"
    "ipywidgets.VBox([slider, label])",
    "print('the kernel has', slider.value)",
    "import time\nprint('long', 'begun')\ntime.sleep(600)",
    "print('x' in globals())",
    "import pathlib, time\nfor n in range(600):\n    print('tick', n, flush=True)\n"
    "    if pathlib.Path('go').exists(): break\n    time.sleep(0.2)\nx = 'the' + ' end'; x",
    "print('found', x)",
]


@pytest.fixture(scope="module")
def browser() -> Iterator[Page]:
    assert CHROMIUM, "chromium is missing: tests/setup.sh installs it"
    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        page = chromium.new_page(viewport={"width": 1200, "height": 1400})
        page.set_default_timeout(PATIENCE_MS)
        expect.set_options(timeout=PATIENCE_MS)
        yield page
        chromium.close()


def picture(page: Page, name: str) -> None:
    if directory := os.environ.get("SOULBOX_SCREENSHOTS"):
        page.screenshot(path=Path(directory) / f"{name}.png")


def test_a_person_works_in_jupyterlab(server, jupyter, browser):
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in CELLS]
    with tempfile.TemporaryDirectory() as workspaces:
        options = (f"--LabApp.workspaces_dir={workspaces}", f"--LabApp.user_settings_dir={workspaces}")
        with JupyterServer(server, "jupyterlab", options) as lab:
            file = lab.notebooks / "story.ipynb"
            nbformat.write(notebook, file)
            try:
                work(browser, jupyter, f"{lab.url}/lab/tree/story.ipynb?token=story", file)
            except BaseException:
                picture(browser, "failed")
                print(lab.log.read_text(errors="replace")[-5000:])
                raise


def work(page: Page, jupyter, url: str, file: Path) -> None:
    page.goto(url)
    status = page.locator(".jp-Notebook-ExecutionIndicator")
    expect(status).to_have_attribute("data-status", "idle")
    kernel = eventually(lambda: jupyter.json("GET", "/api/kernels"))[-1]
    sandbox = Sandbox.connect(kernel["sandbox"])
    cells = page.locator(".jp-Notebook .jp-CodeCell")
    outputs = page.locator(".jp-Notebook .jp-CodeCell .jp-Cell-outputArea")
    cells.first.locator(".cm-content").click()

    page.keyboard.press("Shift+Enter")
    expect(outputs.first.locator("img[src^='data:image/png']")).to_be_visible()
    page.keyboard.press("Shift+Enter")
    handle = outputs.nth(1).locator(".noUi-handle")
    handle.focus()
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(outputs.nth(1)).to_contain_text("moved to 3")
    cells.nth(2).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(outputs.nth(2)).to_contain_text("the kernel has 3")
    picture(page, "1-drawn-and-moved")

    cells.nth(3).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(outputs.nth(3)).to_contain_text("long begun")
    page.get_by_role("button", name="Interrupt the kernel", exact=True).click()
    expect(outputs.nth(3)).to_contain_text("KeyboardInterrupt")
    picture(page, "2-interrupted")

    page.get_by_role("button", name="Restart the kernel", exact=True).click()
    page.locator(".jp-Dialog .jp-mod-accept").click()
    expect(status).to_have_attribute("data-status", "idle")
    cells.nth(4).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    expect(outputs.nth(4)).to_contain_text("False")
    picture(page, "3-restarted")

    page.keyboard.press("Shift+Enter")
    expect(outputs.nth(5)).to_contain_text("tick 2")
    page.keyboard.press("Control+s")
    eventually(lambda: "tick 2" in file.read_text())
    picture(page, "4-long-cell")
    page.reload()
    expect(outputs.nth(5)).to_contain_text("tick 2")
    expect(status).to_have_attribute("data-status", "busy")
    picture(page, "5-reloaded")
    cells.nth(6).locator(".cm-content").click()
    page.keyboard.press("Shift+Enter")
    assert jupyter.json("GET", f"/api/kernels/{kernel['id']}")["execution_state"] == "busy"
    sandbox.files.write("/home/user/go", "")
    expect(outputs.nth(6)).to_contain_text("found the end")
    picture(page, "6-found")
