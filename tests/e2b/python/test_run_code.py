"""Cells share one kernel: values, counters, errors, variables of the environment.

Contract: sections 5.1 and 5.3, and rows 26, 27 and 31 of section 8.
"""

from __future__ import annotations

import json

from e2b_code_interpreter import Sandbox


def test_the_last_expression_is_the_text(sandbox):
    assert sandbox.run_code("x = 1; x").text == "1"
    assert sandbox.run_code("x += 1; x").text == "2"


def test_a_string_arrives_without_quotes(sandbox):
    assert sandbox.run_code("'Hello, World!'").text == "Hello, World!"


def test_a_cell_without_a_value_has_no_result(sandbox):
    execution = sandbox.run_code("y = 5")
    assert execution.text is None and execution.results == [] and execution.error is None


def test_the_counter_counts_a_failed_first_cell(create):
    sandbox = create()
    first = sandbox.run_code("1 / 0")
    second = sandbox.run_code("1")
    assert (first.execution_count, second.execution_count) == (1, 2)


def test_an_error_has_name_value_and_a_traceback_without_colours(sandbox):
    execution = sandbox.run_code("def f():\n    return missing\n\nf()")
    error = execution.error
    assert error is not None
    assert error.name == "NameError"
    assert error.value == "name 'missing' is not defined"
    assert "return missing" in error.traceback and "\x1b" not in error.traceback


def test_a_syntax_error_is_an_error(sandbox):
    error = sandbox.run_code("if True print(1)").error
    assert error is not None and error.name == "SyntaxError"


def test_output_and_errors_are_told_apart(sandbox):
    execution = sandbox.run_code("import sys\nprint('out')\nprint('err', file=sys.stderr)")
    assert execution.logs.stdout == ["out\n"]
    assert execution.logs.stderr == ["err\n"]


def test_output_of_children_arrives(sandbox):
    execution = sandbox.run_code("import subprocess; subprocess.run(['echo', 'from a child']); None")
    assert "from a child\n" in "".join(execution.logs.stdout)


def test_shell_lines_magics_and_top_level_await_work(sandbox):
    # IPython gives the command a terminal, which ends lines in its own way.
    assert "".join(sandbox.run_code("!echo shell").logs.stdout).split() == ["shell"]
    assert sandbox.run_code("%pwd").text == "/home/user"
    assert sandbox.run_code("import asyncio\nawait asyncio.sleep(0.01, 'awaited')").text == "awaited"


def test_code_may_be_indented_as_a_whole(sandbox):
    assert sandbox.run_code("    a = 2\n    a * 21").text == "42"


def test_long_collections_are_not_elided(sandbox):
    text = sandbox.run_code("list(range(2000))").text
    assert text is not None and "1999" in text and "..." not in text


def test_unicode_survives_the_whole_way(sandbox):
    assert sandbox.run_code("print('日本語 ✓ 🦀')").logs.stdout == ["日本語 ✓ 🦀\n"]


def test_variables_of_the_sandbox_reach_kernel_and_commands(create):
    sandbox = create(envs={"COLOUR": "red 'quoted' $HOME"})
    assert sandbox.run_code("import os; os.environ['COLOUR']").text == "red 'quoted' $HOME"
    assert sandbox.commands.run('echo "$COLOUR"').stdout == "red 'quoted' $HOME\n"
    assert sandbox.run_code("os.environ['E2B_SANDBOX_ID']").text == sandbox.sandbox_id
    assert sandbox.run_code("os.environ['E2B_SANDBOX']").text == "true"


def test_variables_of_one_cell_are_undone_after_it(create):
    sandbox = create(envs={"COLOUR": "red"})
    code = "import os; (os.environ.get('COLOUR'), os.environ.get('SHAPE'))"
    one = sandbox.run_code(code, envs={"COLOUR": "blue", "SHAPE": "round"})
    assert one.text == "('blue', 'round')"
    assert sandbox.run_code(code).text == "('red', None)"


def test_variables_of_a_failing_cell_are_undone_too(sandbox):
    sandbox.run_code("1 / 0", envs={"SHORT_LIVED": "1"})
    assert sandbox.run_code("import os; os.environ.get('SHORT_LIVED', 'gone')").text == "gone"


def test_code_may_read_and_write_anywhere(sandbox):
    code = "open('/etc/from-a-cell', 'w').write('x'); open('/etc/from-a-cell').read()"
    assert sandbox.run_code(code).text == "x"


def test_input_fails_instead_of_waiting(sandbox):
    execution = sandbox.run_code("input('name? ')", timeout=20)
    assert execution.error is not None


def test_two_sandboxes_share_nothing(sandbox, create):
    other: Sandbox = create()
    sandbox.run_code("shared = 1")
    error = other.run_code("shared").error
    assert error is not None and error.name == "NameError"


def test_the_interpreter_is_reached_from_inside_too(sandbox):
    sandbox.run_code("inside = 41")
    assert sandbox.commands.run("curl -s http://0.0.0.0:49999/health").stdout == '"OK"'
    send = "curl -s -H 'Content-Type: application/json' http://localhost:49999/execute -d"
    lines = sandbox.commands.run(f"""{send} '{{"code": "inside + 1"}}'""").stdout.splitlines()
    assert [json.loads(line).get("text") for line in lines] == [None, "42", None]
