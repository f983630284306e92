"""Running processes: standard input, signals, later connections, terminals.

Contract: section 4.4, rows 13, 16 and 25 of section 8.
"""

from __future__ import annotations

import pytest
from e2b import PtySize
from e2b_code_interpreter import CommandExitException


def test_standard_input_reaches_a_command_until_it_is_closed(sandbox):
    handle = sandbox.commands.run("cat", background=True, stdin=True)
    sandbox.commands.send_stdin(handle.pid, "hello ")
    sandbox.commands.send_stdin(handle.pid, "world")
    sandbox.commands.close_stdin(handle.pid)
    done = handle.wait()
    assert (done.stdout, done.exit_code) == ("hello world", 0)


def test_a_killed_command_is_gone_at_once(sandbox):
    handle = sandbox.commands.run("exec sleep 100", background=True)
    assert sandbox.commands.kill(handle.pid) is True
    with pytest.raises(CommandExitException):
        sandbox.commands.run(f"kill -0 {handle.pid}", user="root")
    assert sandbox.commands.kill(handle.pid) is False


def test_a_second_client_may_connect_to_a_command(sandbox):
    handle = sandbox.commands.run("sleep 2; echo later", background=True)
    assert sandbox.commands.connect(handle.pid).wait().stdout == "later\n"
    assert handle.wait().stdout == "later\n"


def test_a_terminal_answers_and_ends(sandbox):
    handle = sandbox.pty.create(PtySize(rows=20, cols=77))
    sandbox.pty.send_stdin(handle.pid, b"tput cols; exit\n")
    seen: list[bytes] = []
    assert handle.wait(on_pty=seen.append).exit_code == 0
    assert b"\r77\r\n" in b"".join(seen)


def test_a_terminal_may_be_resized(sandbox):
    handle = sandbox.pty.create(PtySize(rows=20, cols=80))
    sandbox.pty.resize(handle.pid, PtySize(rows=30, cols=101))
    sandbox.pty.send_stdin(handle.pid, b"tput cols; exit\n")
    seen: list[bytes] = []
    handle.wait(on_pty=seen.append)
    assert b"\r101\r\n" in b"".join(seen)
