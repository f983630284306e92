"""Runs a notebook with nbclient and another with papermill, on kernels of a gateway.

A program of its own, since both read the gateway's address from the environment once. Prints
what the notebooks gave, as JSON.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import nbformat
import papermill
from jupyter_server.gateway.managers import GatewayKernelManager
from nbclient import NotebookClient

# A cell on a busy machine.
SECONDS = 120


def with_nbclient() -> list[str]:
    notebook = nbformat.v4.new_notebook()
    notebook.cells = [nbformat.v4.new_code_cell(code) for code in ("x = 6", "print(x * 7)", "x / 0")]
    client = NotebookClient(
        notebook,
        timeout=SECONDS,
        startup_timeout=SECONDS,
        kernel_name="python3",
        kernel_manager_class=GatewayKernelManager,
        allow_errors=True,
    )
    client.execute()
    return [output.get("text") or output.get("ename") for cell in notebook.cells for output in cell.outputs]


def with_papermill(directory: Path) -> list[str]:
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    parameters = nbformat.v4.new_code_cell("n = 1")
    parameters.metadata["tags"] = ["parameters"]
    notebook.cells = [parameters, nbformat.v4.new_code_cell("print(n + 1)")]
    nbformat.write(notebook, directory / "in.ipynb")
    done = papermill.execute_notebook(
        directory / "in.ipynb",
        directory / "out.ipynb",
        parameters={"n": 41},
        progress_bar=False,
        start_timeout=SECONDS,
        execution_timeout=SECONDS,
        kernel_manager_class=GatewayKernelManager,
    )
    return [output["text"] for cell in done.cells for output in cell.outputs]


if __name__ == "__main__":
    print(json.dumps({"nbclient": with_nbclient(), "papermill": with_papermill(Path(sys.argv[1]))}))
