"""Deadlines are kept by the server, whatever the code does about it."""

from __future__ import annotations

from harness.executing import printed

# Heeds nothing that an interrupt does.
STUBBORN = """
import time
print('in', flush=True)
while True:
    try:
        time.sleep(600)
    except KeyboardInterrupt:
        pass
"""


def test_a_deadline_interrupts_and_the_state_stays(interpreter):
    events = interpreter.run("kept = 1\nimport time; time.sleep(600)", deadline_seconds=2)
    assert (events[-1]["end"], events[-1]["death"]["reason"]) == ("death", "timeout")
    assert events[-2]["type"] == "error" and events[-2]["name"] == "timeout"
    assert printed(interpreter.run("print(kept)")) == "1\n"


def test_one_that_waits_dies_of_its_deadline_too(interpreter):
    first = interpreter.start("import time; time.sleep(600)")["id"]
    interpreter.state(first, "running")
    events = interpreter.run("ran = True", deadline_seconds=1)
    assert events[-1]["death"]["reason"] == "timeout"
    interpreter.ask("POST", f"/executions/{first}/interrupt")
    assert printed(interpreter.run("print('ran' in globals())")) == "False\n"


def test_code_that_heeds_no_interrupt_loses_its_kernel(interpreter):
    """A client gave up on it; without an end of the kernel the context would be blocked for ever."""
    running = interpreter.wire.execute(interpreter.sandbox, STUBBORN)
    execution = running.response.getheader("x-soulbox-execution-id")
    for item in running:
        if item["type"] == "stdout":
            break
    running.close()
    assert printed(interpreter.run("print('next')")) == "next\n"
    events = interpreter.events(execution)
    assert (events[-1]["end"], events[-2]["name"]) == ("interrupted", "KernelRestarted")
