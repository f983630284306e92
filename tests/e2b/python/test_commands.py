"""Shell commands: output, exit codes, users, variables, standard input, background, timeouts.

Contract: sections 4.3 and 4.4 as far as Start and List go, rows 11 to 15 of section 8.
"""

from __future__ import annotations

import time

import pytest
from e2b_code_interpreter import (
    AuthenticationException,
    CommandExitException,
    InvalidArgumentException,
    TimeoutException,
)


def test_output_and_exit_code(sandbox):
    done = sandbox.commands.run("echo out; echo err >&2")
    assert (done.stdout, done.stderr, done.exit_code, done.error) == ("out\n", "err\n", 0, None)


def test_a_failing_command_raises_with_what_it_said(sandbox):
    with pytest.raises(CommandExitException) as raised:
        sandbox.commands.run("echo so far; echo why >&2; exit 7")
    failure = raised.value
    assert (failure.exit_code, failure.stdout, failure.stderr) == (7, "so far\n", "why\n")
    assert failure.error == "exit status 7"


def test_a_missing_command_ends_with_127(sandbox):
    with pytest.raises(CommandExitException) as raised:
        sandbox.commands.run("no-such-command-here")
    assert raised.value.exit_code == 127


def test_a_command_that_dies_by_a_signal_says_which(sandbox):
    with pytest.raises(CommandExitException) as raised:
        sandbox.commands.run("kill -9 $$")
    assert raised.value.exit_code == -1 and raised.value.error == "signal: killed"


def test_special_characters_reach_bash_unchanged(sandbox):
    awkward = "a 'b' \"c\" \\d $(e) `f` !g *h ~i ; & | < > # %j {k} ünïcödé 日本"
    quoted = "'" + awkward.replace("'", "'\\''") + "'"
    assert sandbox.commands.run(f"printf %s {quoted}").stdout == awkward
    assert sandbox.commands.run("echo one\necho two").stdout == "one\ntwo\n"
    long = "x" * 60_000
    assert sandbox.commands.run(f"echo {long} | wc -c").stdout.strip() == "60001"


def test_broken_utf8_gives_exactly_one_replacement(sandbox):
    done = sandbox.commands.run("head -c 8191 /dev/zero | tr '\\0' a; printf '\\xe2'")
    assert done.stdout == "a" * 8191 + "\ufffd"


def test_commands_run_as_user_in_the_home(sandbox):
    assert sandbox.commands.run("whoami; pwd; echo $HOME").stdout == "user\n/home/user\n/home/user\n"
    assert sandbox.commands.run("whoami; echo $HOME", user="root").stdout == "root\n/root\n"
    assert sandbox.commands.run("pwd", cwd="/tmp").stdout == "/tmp\n"


def test_unknown_users_and_directories_are_refused(sandbox):
    with pytest.raises(AuthenticationException, match="invalid username: 'nobody-here'"):
        sandbox.commands.run("true", user="nobody-here")
    with pytest.raises(InvalidArgumentException, match="cwd '/no/where' does not exist"):
        sandbox.commands.run("true", cwd="/no/where")


def test_variables_of_one_command_stay_with_it(sandbox):
    assert sandbox.commands.run("echo $ONLY", envs={"ONLY": "once"}).stdout == "once\n"
    assert sandbox.commands.run("echo [$ONLY]").stdout == "[]\n"


def test_a_reader_without_standard_input_sees_its_end(sandbox):
    assert sandbox.commands.run("cat; echo end", timeout=20).stdout == "end\n"


def test_output_streams_while_the_command_runs(sandbox):
    arrived: list[float] = []
    sandbox.commands.run("echo one; sleep 2; echo two", on_stdout=lambda _: arrived.append(time.monotonic()))
    assert len(arrived) == 2 and arrived[1] - arrived[0] > 1.5


def test_a_background_command_is_listed_and_waited_for(sandbox):
    handle = sandbox.commands.run("sleep 3; echo done", background=True)
    running = {process.pid: process for process in sandbox.commands.list()}
    assert handle.pid in running
    assert running[handle.pid].cmd == "/bin/bash"
    assert running[handle.pid].args == ["-l", "-c", "sleep 3; echo done"]
    assert handle.wait().stdout == "done\n"
    assert handle.pid not in [process.pid for process in sandbox.commands.list()]


def test_a_command_timeout_kills_the_command(sandbox):
    with pytest.raises(TimeoutException):
        sandbox.commands.run("echo $$ > /tmp/timed; exec sleep 60", timeout=2)
    pid = sandbox.files.read("/tmp/timed").strip()
    # The client's clock has begun a moment before the server's.
    sandbox.commands.run(f"while kill -0 {pid}; do sleep 0.1; done", user="root", timeout=20)


def test_ten_megabytes_of_output_arrive_whole(sandbox):
    done = sandbox.commands.run("head -c 10000000 /dev/zero | tr '\\0' z")
    assert len(done.stdout) == 10_000_000 and set(done.stdout) == {"z"}


def test_the_tools_of_the_base_template_are_there(create):
    tools = "python3 python node npm git curl sudo tput ps flock bash"
    done = create("base").commands.run(f"for t in {tools}; do command -v $t || echo missing: $t; done")
    assert "missing" not in done.stdout


def test_nothing_reaches_the_network(sandbox):
    code = "import socket\nsocket.create_connection(('192.0.2.1', 80), timeout=5)"
    error = sandbox.run_code(code).error
    assert error is not None and error.name in {"OSError", "TimeoutError", "ConnectionRefusedError"}
