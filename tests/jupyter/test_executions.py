"""What Jupyter clients run is in the list of executions, beside what E2B clients run."""

from __future__ import annotations

import pytest
from harness.executing import Interpreter, printed


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "default"])
def test_a_cell_of_a_notebook_is_an_execution(kernel, wire, v1):
    interpreter = Interpreter(wire, kernel.sandbox)
    with kernel.connect(v1=v1) as channels:
        for code, end in [("print('jupyter'); 3", "ok"), ("1/0", "error")]:
            channels.run(code)
            newest = interpreter.ask("GET", "/executions?limit=1").json()["executions"][0]
            assert (newest["origin"], newest["context_id"]) == ("jupyter", kernel.id)
            events = interpreter.events(newest["id"])
            assert events[-1]["end"] == end
            if end == "ok":
                kinds = [event["type"] for event in events]
                assert kinds == ["number_of_executions", "stdout", "result", "end_of_execution"]
                assert (printed(events), events[2]["text"]) == ("jupyter\n", "3")
