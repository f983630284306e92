"""`soulbox exec -it` in a real terminal: size, keys, full-screen programs, and what is left behind."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from harness.terminal import Terminal


@pytest.fixture
def shell(server, sandbox) -> Iterator[Terminal]:
    made = Terminal(server, "exec", "-it", sandbox, "--", "bash", "--norc", "--noprofile", "-i")
    made.await_text(b"$ ")
    yield made
    made.close()


def test_size_and_its_changes_arrive(shell):
    shell.type(b"stty size\r")
    shell.await_text(b"30 100\r\n")
    shell.resize(40, 120)
    shell.type(b"until [ \"$(stty size)\" = '40 120' ]; do sleep 0.1; done; echo si''zed\r")
    shell.await_text(b"sized\r\n")
    shell.type(b"exit 5\r")
    assert shell.end() == 5


def test_ctrl_c_is_for_the_program_inside(shell):
    # Between a shell's fork and its program a signal is nobody's, so the program itself says that it runs.
    shell.type(b"sh -c \"echo sle''eping; exec sleep 1000\"\r")
    shell.await_text(b"sleeping\r\n")
    shell.type(b"\x03")
    shell.await_text(b"$ ")
    shell.type(b"echo sta''tus $?\r")
    shell.await_text(b"status 130\r\n")
    assert shell.process.poll() is None, "our own program is still there"
    shell.await_text(b"$ ")
    shell.type(b"\x04")
    assert shell.end() == 0


def test_keys_are_not_touched_and_echo_is_the_programs(shell):
    shell.type(b"stty raw -echo; echo rea''dy; head -c 6 | od -An -tx1; stty sane\r")
    shell.await_text(b"ready")
    shell.type(b"\x00\x01\r\n\x1b\x7f")
    shell.await_text(b"00 01 0d 0a 1b 7f")
    shell.await_text(b"$ ")
    shell.type(b"\rexit\r")
    assert shell.end() == 0


def test_a_full_screen_program_draws_and_leaves(shell):
    shell.type(b"seq 1 500 > numbers; less numbers\r")
    shell.await_text(b"29")
    shell.type(b"G")
    shell.await_text(b"500")
    shell.type(b"q")
    # What is typed before the shell is back may be thrown away.
    shell.await_text(b"$ ")
    shell.type(b"echo ba''ck\r")
    shell.await_text(b"back\r\n")
    shell.type(b"exit\r")
    assert shell.end() == 0


def test_the_terminal_is_restored_when_the_sandbox_ends(server, wire):
    sandbox = wire.create("base", timeout=60)["sandboxID"]
    shell = Terminal(server, "exec", "-it", sandbox, "--", "sh", "-c", "echo up; exec sleep 1000")
    try:
        shell.await_text(b"up\r\n")
        wire.kill(sandbox)
        assert shell.end() == 255
    finally:
        shell.close()


def test_every_command_has_help(soulbox):
    listed = soulbox("--help").stdout.decode()
    commands = [
        line.split()[0]
        for line in listed.split("Commands:")[1].split("Options:")[0].splitlines()
        if line.startswith("  ") and line[2] != " "
    ]
    assert {"serve", "node", "key", "template", "doctor", "exec", "cp", "ps", "logs", "kill"} <= set(commands)
    for command in commands:
        done = soulbox(command, "--help") if command != "help" else soulbox("help")
        assert done.returncode == 0 and b"Usage:" in done.stdout, command
