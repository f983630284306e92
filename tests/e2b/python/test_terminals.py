"""Terminals: full-screen programs, resizing that programs see, keys that are signals.

Contract: section 4.4, row 25 of section 8.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest
from e2b import PtySize
from e2b_code_interpreter import CommandExitException, NotFoundException, Sandbox, SandboxException
from harness.screen import Screen

# Whoever leaves the terminal may throw away what was typed before this.
PROMPT = r"\$ "
SMALL, LARGE = PtySize(rows=24, cols=80), PtySize(rows=31, cols=101)


@pytest.fixture(scope="module")
def sandbox(server) -> Iterator[Sandbox]:
    made = Sandbox.create("base", timeout=600)
    yield made
    made.kill()


@pytest.fixture
def terminal(sandbox) -> Iterator[Callable[..., Screen]]:
    made: list[Screen] = []

    def terminal(size: PtySize = SMALL, **options) -> Screen:
        made.append(Screen(sandbox, sandbox.pty.create(size, timeout=0, **options)))
        return made[-1]

    yield terminal
    for screen in made:
        sandbox.pty.kill(screen.handle.pid)


def test_vim_edits_a_file(sandbox, terminal):
    screen = terminal()
    screen.type("vi page.txt\n")
    screen.shows(r'page\.txt" \[New')
    screen.type("iwritten in vi\x1b:wq\r")
    screen.shows("written")
    screen.shows(PROMPT)
    screen.type("echo done-$((1+1)); exit\n")
    screen.shows("done-2")
    assert screen.ended().exit_code == 0
    assert sandbox.files.read("page.txt") == "written in vi\n"


def test_less_and_top_take_the_screen_and_give_it_back(terminal):
    screen = terminal()
    screen.type("less /etc/passwd\n")
    screen.shows(r"\(END\)")
    screen.type("q")
    screen.shows(PROMPT)
    screen.type("top\n")
    screen.shows("load average")
    screen.type("q")
    screen.shows(PROMPT)
    screen.type("echo back-$((1+1))\n")
    screen.shows("back-2")


def test_a_program_that_runs_sees_the_new_size(sandbox, terminal):
    screen = terminal()
    screen.type("less -X /etc/services\n")
    screen.shows("/etc/services")
    sandbox.pty.resize(screen.handle.pid, LARGE)
    # `less` drops what is typed while it takes up the new size.
    screen.type_until("G", r"\(END\)")
    screen.type("q")
    screen.shows(PROMPT)
    screen.type("trap 'echo \"<$(stty size)>\"' WINCH; echo ready-$((1+1))\n")
    screen.shows("ready-2")
    sandbox.pty.resize(screen.handle.pid, SMALL)
    screen.type("\n")
    screen.shows("<24 80>")


def test_keys_are_signals(terminal):
    screen = terminal()
    for key, status in (("\x03", 130), ("\x1c", 131)):
        screen.type("sh -c 'echo go-$((1+1)); exec sleep 1000'\n")
        screen.shows("go-2")
        screen.type(key)
        screen.shows(PROMPT)
        screen.type("echo ended-$?\n")
        screen.shows(f"ended-{status}")
    screen.type("sh -c 'echo go-$((1+1)); exec cat'; echo end-$((1+1))\n")
    screen.shows("go-2")
    screen.type("\x04")
    screen.shows("end-2")


def test_sudo_has_a_terminal_that_knows_its_size(sandbox, terminal):
    screen = terminal()
    screen.type("sudo bash -c 'trap \"stty size\" WINCH; echo in-$((1+1)); while :; do sleep 0.1; done'\n")
    screen.shows("in-2")
    sandbox.pty.resize(screen.handle.pid, LARGE)
    screen.shows("31 101")
    screen.type("\x03")
    screen.shows(PROMPT)
    screen.type("echo out-$((1+1))\n")
    screen.shows("out-2")


def test_a_terminal_is_left_and_found_again(sandbox, terminal):
    screen = terminal(envs={"KEPT": "kept"}, cwd="/tmp", user="root")
    screen.type("echo up-$((1+1))\n")
    screen.shows("up-2")
    again = Screen(sandbox, sandbox.pty.connect(screen.handle.pid, timeout=0))
    again.type('echo "<$KEPT $PWD $(whoami)>"; exit 4\n')
    for one in (screen, again):
        one.shows("<kept /tmp root>")
        end = one.ended()
        assert isinstance(end, CommandExitException) and end.exit_code == 4


def test_a_kill_takes_the_programs_of_the_terminal_too(sandbox, terminal):
    screen = terminal()
    screen.type("sh -c 'echo up-$((1+1)); exec sleep 4343'\n")
    screen.shows("up-2")
    assert sandbox.pty.kill(screen.handle.pid) is True
    assert sandbox.pty.kill(screen.handle.pid) is False
    sandbox.commands.run('while pgrep -f "[s]leep 4343"; do sleep 0.1; done')
    with pytest.raises(NotFoundException):
        sandbox.pty.connect(999_999)


def test_only_terminals_have_a_size(sandbox):
    handle = sandbox.commands.run("exec sleep 100", background=True)
    with pytest.raises(SandboxException):
        sandbox.pty.resize(handle.pid, SMALL)
    handle.kill()
