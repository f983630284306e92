"""`soulbox run` and `soulbox kernel`: code in a kernel, from a shell."""

from __future__ import annotations

import json
import signal
import subprocess
from collections.abc import Iterator

import pytest
from harness.commandline import PATIENCE_SECONDS, environment, fed
from harness.executing import Interpreter, printed
from harness.server import BINARY
from harness.wire import Wire

FIGURE = "import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('drawn')"


@pytest.fixture(scope="module")
def interpreter(wire: Wire) -> Iterator[Interpreter]:
    sandbox = wire.create(timeout=900)["sandboxID"]
    yield Interpreter(wire, sandbox)
    wire.kill(sandbox)


def test_a_file_runs_in_a_sandbox_of_its_own(soulbox, wire, tmp_path):
    before = {one["sandboxID"] for one in wire.api("GET", "/sandboxes").json()}
    file = tmp_path / "hello.py"
    file.write_text("import sys\nprint('out')\nprint('err', file=sys.stderr)\n6 * 7")
    done = soulbox("run", str(file))
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n42\n", b"err\n")
    after = {one["sandboxID"] for one in wire.api("GET", "/sandboxes").json()}
    assert after <= before, "the sandbox that was made is gone"


def test_an_error_in_the_code_is_the_exit_status(soulbox, interpreter):
    done = soulbox("run", "-", "--sandbox", interpreter.sandbox, input=b"1/0")
    assert done.returncode == 1 and b"ZeroDivisionError: division by zero" in done.stderr


def test_a_program_that_leaves_with_0_has_not_failed(soulbox, interpreter):
    for code, status in ((b"import sys; sys.exit()", 0), (b"sys.exit(0)", 0), (b"sys.exit(3)", 1)):
        assert soulbox("run", "-", "--sandbox", interpreter.sandbox, input=code).returncode == status, code


def test_images_become_files_that_are_named(interpreter, server, tmp_path):
    done = subprocess.run(
        [str(BINARY), "run", "-", "--sandbox", interpreter.sandbox],
        input=FIGURE.encode(),
        capture_output=True,
        timeout=PATIENCE_SECONDS,
        env=environment(server),
        cwd=tmp_path,
    )
    assert (done.returncode, done.stdout) == (0, b"drawn\n")
    assert done.stderr == b"soulbox: saved soulbox-1.png\n"
    assert (tmp_path / "soulbox-1.png").read_bytes().startswith(b"\x89PNG")


def test_json_is_one_event_per_line(soulbox, interpreter):
    done = soulbox("run", "-", "--sandbox", interpreter.sandbox, "-o", "json", input=b"print('a')")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert [event["type"] for event in events][1:] == ["stdout", "end_of_execution"]


def test_the_server_ends_it_at_its_timeout(soulbox, interpreter):
    words = ("run", "-", "--sandbox", interpreter.sandbox, "--timeout", "1")
    done = soulbox(*words, input=b"import time; time.sleep(600)")
    assert done.returncode == 1 and b"timeout: " in done.stderr


def test_a_language_that_is_not_there_is_said(soulbox, interpreter):
    done = soulbox("run", "-", "--sandbox", interpreter.sandbox, "--language", "cobol", input=b"1")
    assert done.returncode == 1 and b"cobol is not available" in done.stderr


def test_ctrl_c_interrupts_the_code_and_not_the_kernel(interpreter, server):
    running = fed(
        server,
        b"kept = 5\nprint('in', flush=True)\nimport time; time.sleep(600)",
        "run",
        "-",
        "--sandbox",
        interpreter.sandbox,
    )
    assert running.stdout
    assert running.stdout.readline() == b"in\n"
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130 and b"KeyboardInterrupt" in errors
    assert printed(interpreter.run("print(kept)")) == "5\n"


def test_a_closed_pipe_ends_the_code_too(interpreter, server):
    running = fed(
        server,
        b"from itertools import count\nfor n in count(): print(n)",
        "run",
        "-",
        "--sandbox",
        interpreter.sandbox,
    )
    assert running.stdout
    assert running.stdout.readline() == b"0\n"
    running.stdout.close()
    assert running.wait(PATIENCE_SECONDS) == 1
    # The kernel would be busy for ever otherwise.
    assert printed(interpreter.run("print('free')")) == "free\n"


def test_a_closed_terminal_leaves_no_sandbox(server, wire):
    before = {one["sandboxID"] for one in wire.api("GET", "/sandboxes").json()}
    running = subprocess.Popen(
        [str(BINARY), "run", "-"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env=environment(server),
    )
    assert running.stdin and running.stdout
    running.stdin.write(b"print('in', flush=True)\nimport time; time.sleep(600)")
    running.stdin.close()
    assert running.stdout.readline() == b"in\n"
    running.send_signal(signal.SIGHUP)
    assert running.wait(PATIENCE_SECONDS) == 129
    assert {one["sandboxID"] for one in wire.api("GET", "/sandboxes").json()} <= before


def test_kernels_are_listed_interrupted_and_restarted(soulbox, interpreter):
    execution = interpreter.start("kept = 6\nimport time; time.sleep(600)")
    interpreter.state(execution["id"], "running")
    kernel = execution["context_id"]
    listed = soulbox("kernel", "list", interpreter.sandbox).stdout.decode().splitlines()
    row = next(line for line in listed if line.startswith(kernel))
    assert row.split()[1:] == ["python", "1", "/home/user"]

    done = soulbox("kernel", "interrupt", interpreter.sandbox, kernel)
    assert done.stdout.decode().split() == [execution["id"]]
    assert interpreter.state(execution["id"], "ended")["end"] == "interrupted"
    assert printed(interpreter.run("print(kept)")) == "6\n"

    assert soulbox("kernel", "restart", interpreter.sandbox, kernel).returncode == 0
    assert printed(interpreter.run("print('kept' in globals())")) == "False\n"
    idle = soulbox("kernel", "interrupt", interpreter.sandbox, kernel)
    assert idle.returncode == 0 and b"nothing runs in" in idle.stderr
    for verb in ("restart", "interrupt"):
        unknown = soulbox("kernel", verb, interpreter.sandbox, "no/where?")
        assert unknown.returncode == 1 and b"has no kernel" in unknown.stderr
