"""`soulbox exec`: a command in a sandbox that behaves as if it were here."""

from __future__ import annotations

import os
import pty
import select
import signal
import subprocess
import time

import pytest
from harness.commandline import PATIENCE_SECONDS, environment
from harness.server import BINARY


@pytest.mark.parametrize("status", [0, 1, 7, 255])
def test_the_exit_status_is_the_commands(soulbox, sandbox, status):
    assert soulbox("exec", sandbox, "--", "sh", "-c", f"exit {status}").returncode == status


def test_streams_are_apart_and_nothing_is_added(soulbox, sandbox):
    done = soulbox("exec", sandbox, "--", "sh", "-c", "printf out; printf err >&2")
    assert (done.stdout, done.stderr) == (b"out", b"err")


def test_arguments_arrive_as_they_are(soulbox, sandbox):
    odd = ["a b", "$HOME", "'", '"', "", "grüße", "-n", "--", "*"]
    done = soulbox("exec", sandbox, "--", "printf", "[%s]\n", *odd)
    assert done.stdout.decode() == "".join(f"[{word}]\n" for word in odd)


def test_input_of_any_bytes_comes_back(soulbox, sandbox):
    payload = bytes(range(256)) * 4096 * 2
    done = soulbox("exec", sandbox, "--", "cat", input=payload)
    assert (done.returncode, done.stdout == payload) == (0, True)


def test_a_command_that_reads_no_input_ends_all_the_same(soulbox, sandbox):
    done = soulbox("exec", sandbox, "--", "true", input=b"x" * 1_000_000)
    assert done.returncode == 0


def test_user_directory_and_variables(soulbox, sandbox):
    done = soulbox(
        *("exec", "-u", "root", "-w", "/tmp", "-e", "A=b=c", sandbox, "--"),
        *("sh", "-c", "id -un; pwd; echo $A"),
    )
    assert done.stdout == b"root\n/tmp\nb=c\n"


def test_a_death_by_a_signal_is_told_as_a_shell_does(soulbox, sandbox):
    assert soulbox("exec", sandbox, "--", "sh", "-c", "kill -9 $$").returncode == 137


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (("exec", "iaaaaaaaaaaaaaaaaaaaa", "--", "true"), b"doesn't exist"),
        (("exec", "--api-key", "e2b_00", "iaaaaaaaaaaaaaaaaaaaa", "--", "true"), b"not valid"),
        (("exec", "--url", "http://127.0.0.1:1", "i", "--", "true"), b"no gateway answers"),
    ],
)
def test_our_own_failure_is_255_and_says_why(soulbox, words, text):
    done = soulbox(*words)
    assert (done.returncode, done.stdout) == (255, b"")
    assert text in done.stderr


def test_an_interrupt_ends_the_command(server, sandbox):
    running = subprocess.Popen(
        [str(BINARY), "exec", sandbox, "--", "sh", "-c", "echo up; exec sleep 100"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(server),
    )
    assert running.stdout and running.stdout.readline() == b"up\n"
    running.send_signal(signal.SIGINT)
    assert running.wait(PATIENCE_SECONDS) == 128 + signal.SIGTERM


def test_a_kill_of_the_sandbox_is_no_end_of_the_command(server, wire):
    sandbox = wire.create("base", timeout=60)["sandboxID"]
    running = subprocess.Popen(
        [str(BINARY), "exec", sandbox, "--", "sh", "-c", "echo up; exec sleep 100"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(server),
    )
    assert running.stdout and running.stdout.readline() == b"up\n"
    wire.kill(sandbox)
    _, errors = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 255
    assert b"broke off" in errors


def test_a_terminal_is_one_on_both_sides(server, sandbox):
    child, terminal = pty.fork()
    if child == 0:
        words = [str(BINARY), "exec", "-it", sandbox, "--", "bash", "--norc", "-i"]
        os.execve(words[0], words, environment(server))
    try:
        ask(terminal, b"tty && echo rea''dy\n", b"ready\r\n")
        ask(terminal, b"echo a | tr a b; exit 3\n", b"b\r\n")
        status = ended(child)
    finally:
        os.close(terminal)
    assert os.waitstatus_to_exitcode(status) == 3


def ask(terminal: int, line: bytes, answer: bytes) -> bytes:
    """Types a line and waits for what must come back."""
    os.write(terminal, line)
    seen, deadline = b"", time.monotonic() + 30
    while answer not in seen:
        assert time.monotonic() < deadline, seen
        if select.select([terminal], [], [], 1)[0]:
            seen += os.read(terminal, 4096)
    return seen


def ended(child: int) -> int:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return status
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    os.waitpid(child, 0)
    raise AssertionError("the command line did not end")
