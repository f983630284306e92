"""Output comes while the cell runs; a client that leaves stops the cell.

Contract: sections 5.1 ("hang-up interrupts") and 7, rows 1 and 28 of section 8.
"""

from __future__ import annotations

import threading
import time

import pytest
from e2b_code_interpreter import TimeoutException

# What a client waits for the next cell after it gave up on one. The contract says "seconds".
NEXT_CELL_SECONDS = 15


def test_output_arrives_while_the_cell_runs(sandbox):
    arrived: list[tuple[str, float]] = []
    code = "import time\nprint('one')\ntime.sleep(2)\nprint('two')"
    sandbox.run_code(code, on_stdout=lambda m: arrived.append((m.line, time.monotonic())))
    assert [line for line, _ in arrived] == ["one\n", "two\n"]
    assert arrived[1][1] - arrived[0][1] > 1.5


def test_every_callback_is_called(sandbox):
    seen: dict[str, list] = {"out": [], "err": [], "result": [], "error": []}
    code = "import sys\nprint('o')\nprint('e', file=sys.stderr)\ndisplay('shown')\n1 / 0"
    sandbox.run_code(
        code,
        on_stdout=lambda m: seen["out"].append((m.line, m.error)),
        on_stderr=lambda m: seen["err"].append((m.line, m.error)),
        on_result=lambda r: seen["result"].append(r.text),
        on_error=lambda e: seen["error"].append(e.name),
    )
    assert seen == {
        "out": [("o\n", False)],
        "err": [("e\n", True)],
        "result": ["shown"],
        "error": ["ZeroDivisionError"],
    }


def test_lines_keep_their_order(sandbox):
    execution = sandbox.run_code("for n in range(5000): print(n)")
    assert "".join(execution.logs.stdout) == "".join(f"{n}\n" for n in range(5000))


@pytest.mark.parametrize(
    "endless",
    [
        "import time; time.sleep(120)",
        "while True: pass",
        "import time\nwhile True: print(1); time.sleep(0.1)",
    ],
    ids=["sleeping", "spinning", "printing"],
)
def test_a_client_timeout_interrupts_the_cell(sandbox, endless):
    with pytest.raises(TimeoutException):
        sandbox.run_code(endless, timeout=2)
    begun = time.monotonic()
    assert sandbox.run_code("'still ' + 'here'").text == "still here"
    assert time.monotonic() - begun < NEXT_CELL_SECONDS


def test_values_outlive_an_interrupted_cell(sandbox):
    sandbox.run_code("kept = 'before'")
    with pytest.raises(TimeoutException):
        sandbox.run_code("import time; time.sleep(120)", timeout=1)
    assert sandbox.run_code("kept").text == "before"


def test_a_quiet_cell_may_take_longer_than_the_keepalive(sandbox):
    assert sandbox.run_code("import time; time.sleep(12); 'done'").text == "done"


def test_cells_of_one_kernel_wait_for_each_other(sandbox):
    answers: list[str | None] = []

    def run(number: int) -> None:
        answers.append(sandbox.run_code(f"import time; time.sleep(0.5); {number}").text)

    threads = [threading.Thread(target=run, args=(n,)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(map(str, answers)) == ["0", "1", "2"]


def test_killing_the_sandbox_under_a_cell_says_so(create):
    sandbox = create()
    killer = threading.Timer(2, sandbox.kill)
    killer.start()
    with pytest.raises(TimeoutException, match="was killed"):
        sandbox.run_code("import time; time.sleep(60)")
    killer.join()


def test_killing_the_sandbox_under_a_command_says_so(create):
    sandbox = create("base")
    killer = threading.Timer(2, sandbox.kill)
    killer.start()
    # The classic client says so only of a connection that was reset, not of one that was closed.
    with pytest.raises(TimeoutException, match=r"killed or reached its end of life"):
        sandbox.commands.run("sleep 60")
    killer.join()


def test_the_end_of_life_under_a_cell_says_so(create):
    sandbox = create(timeout=6)
    with pytest.raises(TimeoutException, match="was killed"):
        sandbox.run_code("import time; time.sleep(60)")
