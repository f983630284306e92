"""A new context is a fork of a warm process, and nobody notices but by the clock.

Contract: section 5.3. The contexts are one user's, in one sandbox.
"""

from __future__ import annotations

from e2b_code_interpreter import Sandbox
from harness.patience import eventually

PARENT = "import os; open(f'/proc/{os.getppid()}/cmdline').read().split('\\0')[-2]"
FORKED = "--fork-server"
# A warm process is back after a few seconds; machines that test are busy.
AGAIN_SECONDS = 120


def test_contexts_share_nothing_but_their_start(sandbox: Sandbox):
    first, second = (sandbox.create_code_context(cwd="/tmp") for _ in range(2))
    draw = "import random, numpy; [random.random(), numpy.random.random()]"
    drawn = []
    for context in (first, second):
        found = sandbox.run_code("len(In), 'mine' in globals(), __import__('os').getcwd()", context=context)
        assert (found.text, found.execution_count) == ("(2, False, '/tmp')", 1)
        assert sandbox.run_code(PARENT, context=context).text == FORKED
        drawn.append(sandbox.run_code(f"mine = 1; {draw}", context=context).text)
    assert drawn[0] != drawn[1]
    sandbox.remove_code_context(first)
    assert sandbox.run_code("mine", context=second).text == "1"
    sandbox.remove_code_context(second)


def test_output_of_every_origin_is_in_the_cell_that_made_it(sandbox: Sandbox):
    code = "import os, subprocess, sys\nprint('print')\nos.system('echo system')\n!echo shell\n"
    code += "subprocess.run(['sh', '-c', 'echo error >&2'])\nos.write(1, b'raw\\n'); print('a\\ud800b')"
    logs = sandbox.run_code(code).logs
    # What Python prints and what is written past it come by two ways, in any order, even within a line.
    written = "".join(logs.stdout)
    for word in ("print", "system", "shell", "raw", "a\ud800b"):
        assert written.count(word) == 1, written
        written = written.replace(word, "")
    assert not written.strip()
    assert "".join(logs.stderr) == "error\n"
    assert sandbox.run_code("1").logs.stdout == []


def test_a_killed_warm_process_costs_no_context_and_comes_back(sandbox: Sandbox):
    sandbox.run_code("kept = 7; import os, signal")
    assert sandbox.run_code(PARENT).text == FORKED
    sandbox.run_code("os.kill(os.getppid(), signal.SIGKILL)")
    # Until it is back a context starts from the beginning.
    context = sandbox.create_code_context()
    assert sandbox.run_code("1 + 1", context=context).text == "2"
    sandbox.remove_code_context(context)
    assert sandbox.run_code("kept").text == "7"

    def forked_again() -> bool:
        context = sandbox.create_code_context()
        parent = sandbox.run_code(PARENT, context=context).text
        sandbox.remove_code_context(context)
        return parent == FORKED

    assert eventually(forked_again, AGAIN_SECONDS)
    # The orphaned kernel is still watched: its end has a name, and the next cell runs.
    ended = sandbox.run_code("os._exit(3)")
    assert ended.error is not None
    assert "exit status 3" in ended.error.value
    assert sandbox.run_code("'back'").text == "back"
