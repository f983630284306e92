"""`soulbox kernel start|attach`: a person in a terminal, beside other clients of the same kernel."""

from __future__ import annotations

import signal
import subprocess
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from e2b_code_interpreter import Sandbox
from harness.commandline import PATIENCE_SECONDS, environment, fed
from harness.executing import Interpreter, printed
from harness.jupyter import Jupyter
from harness.patience import eventually
from harness.server import BINARY, Server
from harness.terminal import OwnTerminal

FIGURE = b"import matplotlib.pyplot as plt\nplt.plot([1, 2])\nplt.show()\nprint('drawn')"
# A cold kernel on a busy machine.
LONG_SECONDS = 120
LEFT, UP, TAB, INTERRUPT, END = b"\x1b[D", b"\x1b[A", b"\t", b"\x03", b"\x04"


class Console(OwnTerminal):
    """`soulbox kernel attach` on a terminal."""

    turns = 0

    def __init__(self, server: Server, kernel: str, directory: Path):
        super().__init__(server, "kernel", "attach", kernel, directory=directory, columns=200)
        self.await_text(f"in kernel {kernel}".encode(), LONG_SECONDS)
        self.prompt()

    def prompt(self) -> None:
        """Waits for a prompt that has not been there yet. Not after keys that have a line drawn anew."""
        self.await_text(b"In [")
        self.await_text(b"]: ")

    def run(self, line: bytes) -> bytes:
        """What is shown between a line and the next one, which only says that it is its turn."""
        self.turns += 1
        self.type(line + b"\r")
        self.type(f"print('turn' + ' {self.turns}.')\r".encode())
        shown = self.await_text(f"turn {self.turns}.\r\n".encode())
        self.prompt()
        return shown


@pytest.fixture(scope="module")
def kernel(server: Server) -> Iterator[str]:
    done = subprocess.run(
        [str(BINARY), "kernel", "start"],
        capture_output=True,
        text=True,
        timeout=LONG_SECONDS,
        env=environment(server),
    )
    assert done.returncode == 0, done.stderr
    yield done.stdout.strip()
    Jupyter(server.wire).ask("DELETE", f"/api/kernels/{done.stdout.strip()}")


@pytest.fixture
def attach(server: Server, kernel: str, tmp_path: Path) -> Iterator[Callable[[], Console]]:
    made: list[Console] = []

    def attach() -> Console:
        made.append(Console(server, kernel, tmp_path))
        return made[-1]

    yield attach
    for console in made:
        console.close()


def of(server: Server, kernel: str) -> Interpreter:
    model = Jupyter(server.wire).json("GET", f"/api/kernels/{kernel}")
    return Interpreter(server.wire, model["sandbox"])


def test_started_listed_and_shared_with_a_sandbox(server, kernel, soulbox, wire):
    listed = soulbox("kernel", "list").stdout.decode().splitlines()
    row = next(line for line in listed if line.startswith(kernel)).split()
    sandbox = of(server, kernel).sandbox
    assert (row[1], row[4]) == ("python3", sandbox)
    second = soulbox("kernel", "start", "bash", "--sandbox", sandbox)
    assert second.returncode == 0, second.stderr
    inside = soulbox("kernel", "list", sandbox).stdout.decode()
    assert kernel in inside and second.stdout.decode().strip() in inside
    for words, message in [
        (("start", "cobol"), b"No such kernel: cobol"),
        (("start", "--sandbox", "nowhere"), b"nowhere"),
        (("attach", str(uuid.uuid4())), b"Kernel does not exist"),
        (("attach", "nowhere"), b"nowhere is no id of a kernel"),
    ]:
        refused = soulbox("kernel", *words)
        assert refused.returncode == 1 and message in refused.stderr, refused


def test_a_person_types_code_and_leaves_the_kernel_alive(server, kernel, attach):
    console = attach()
    assert b"42" in console.run(b"6 * 7")
    assert b"out\r\n" in console.run(b"print('o' + 'ut'); kept = 5")
    assert b"ZeroDivisionError" in console.run(b"1/0")
    # Enter goes on where the code is not complete, with the indentation that it wants.
    console.type(b"def twice(x):\rreturn 2 * x\r\r")
    assert b"14" in console.run(b"twice(7)")
    # The arrows bring back what was typed, to be changed.
    console.type(UP + UP + LEFT + b"0")
    assert b"140" in console.run(b"")
    # The only completion is taken.
    console.run(b"completion_of_words = 'who' + 'le'")
    console.type(b"completion_of" + TAB)
    console.await_text(b"completion_of_words", LONG_SECONDS)
    assert b"'whole'" in console.run(b"")
    console.type(END)
    console.await_text(b"The kernel goes on: soulbox kernel attach " + kernel.encode())
    assert console.end() == 0
    interpreter = of(server, kernel)
    assert printed(interpreter.run("print(kept)", context_id=kernel)) == "5\n"
    # What was typed is there the next time.
    again = attach()
    again.type(UP + UP)
    again.await_text(b"completion_of_words")


def test_ctrl_c_interrupts_the_cell_and_clears_a_line(attach):
    console = attach()
    console.type(b"import time; print('beg' + 'un', flush=True); time.sleep(600)\r")
    console.await_text(b"begun\r\n")
    console.type(INTERRUPT)
    console.await_text(b"KeyboardInterrupt")
    console.prompt()
    console.type(b"half a line" + INTERRUPT)
    console.prompt()
    assert b"after\r\n" in console.run(b"print('aft' + 'er')")


def test_questions_of_the_kernel_are_answered(attach):
    console = attach()
    console.type(b"print('hi', input('who' + '? '))\r")
    console.await_text(b"who? ")
    console.type(b"soul\r")
    console.await_text(b"hi soul\r\n")
    console.prompt()
    console.type(b"import getpass; print(len(getpass.getpass('sec' + 'ret: ')))\r")
    console.await_text(b"secret: ")
    console.type(b"hidden!\r")
    assert b"hidden!" not in console.await_text(b"7\r\n")
    console.prompt()
    console.type(b"input('ne' + 'ver? ')\r")
    console.await_text(b"never? ")
    console.type(INTERRUPT)
    console.await_text(b"KeyboardInterrupt")
    console.prompt()
    console.type(b"input('end' + 's? ')\r")
    console.await_text(b"ends? ")
    console.type(END)
    console.await_text(b"EOFError")
    console.prompt()


def test_pictures_become_files_and_help_is_shown(attach, tmp_path):
    console = attach()
    shown = console.run(b"import matplotlib.pyplot as plt; _ = plt.plot([1, 2]); plt.show()")
    assert b"soulbox: saved soulbox-1.png" in shown
    assert (tmp_path / "soulbox-1.png").read_bytes().startswith(b"\x89PNG")
    assert b"Return the number of items" in console.run(b"len?")


def test_what_others_run_is_shown_with_a_mark(server, kernel, attach):
    """An agent works through the stock client while a person looks on, and the other way round."""
    console = attach()
    console.run(b"shared = 41")
    stock = Sandbox.connect(of(server, kernel).sandbox)
    context = next(one for one in stock.list_code_contexts() if one.id == kernel)
    console.type(b"half")
    stock.run_code("shared += 1\nprint('agent\\nsays')\nshared", context=context)
    console.await_text(b": shared += 1\r\n[other]    ...: print")
    console.await_text(b"[other] agent\r\n[other] says\r\n")
    console.await_text(b"[other] 42\r\n")
    # What was being typed is still there.
    console.type(b" = shared / 2\r")
    assert b"21.0" in console.run(b"half")
    assert stock.run_code("half", context=context).text == "21.0"


def test_a_restart_and_the_end_are_told(server, wire, soulbox, tmp_path):
    kernel = soulbox("kernel", "start").stdout.decode().strip()
    console = Console(server, kernel, tmp_path)
    try:
        console.run(b"x = 1")
        jupyter = Jupyter(server.wire)
        jupyter.json("POST", f"/api/kernels/{kernel}/restart", {})
        console.await_text(b"the kernel was restarted", LONG_SECONDS)
        assert b"NameError" in console.run(b"x")
        console.type(b"import os, signal; os.kill(os.getpid(), signal.SIGKILL)\r")
        console.await_text(b"is started again", LONG_SECONDS)
        assert b"alive\r\n" in console.run(b"print('al' + 'ive')")
        assert jupyter.ask("DELETE", f"/api/kernels/{kernel}").status == 204
        console.await_text(b"soulbox: the kernel")
        assert console.end() == 1
    finally:
        console.close()


@pytest.mark.parametrize("own_server", [("--pool", "base=0")], indirect=True)
def test_a_restart_of_the_gateway_is_a_pause(own_server, tmp_path):
    kernel = Jupyter(own_server.wire).start().id
    console = Console(own_server, kernel, tmp_path)
    try:
        console.run(b"import pathlib, time")
        console.type(b"while not pathlib.Path('go').exists(): time.sleep(0.05)\r\r")
        jupyter = Jupyter(own_server.wire)
        eventually(lambda: jupyter.json("GET", f"/api/kernels/{kernel}")["execution_state"] == "busy")
        own_server.kill_gateway()
        own_server.start()
        console.await_text(b"connection was lost and is there again", LONG_SECONDS)
        sandbox = jupyter.json("GET", f"/api/kernels/{kernel}")["sandbox"]
        stock = Sandbox.connect(
            sandbox, api_url=own_server.url, sandbox_url=own_server.url, api_key=own_server.key
        )
        stock.files.write("/home/user/go", "")
        assert b"still here\r\n" in console.run(b"print('still' + ' here')")
    finally:
        console.close()


def piped(server: Server, kernel: str, code: bytes, directory: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [str(BINARY), "kernel", "attach", kernel],
        input=code,
        capture_output=True,
        timeout=LONG_SECONDS,
        env=environment(server),
        cwd=directory,
    )


def test_code_from_a_pipe_is_one_cell(server, kernel, tmp_path):
    done = piped(server, kernel, b"import sys\nprint('err', file=sys.stderr)\nprint('out')\n6 * 7", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (0, b"out\n42\n", b"err\n")
    done = piped(server, kernel, b"piped = 3\n1/0", tmp_path)
    assert done.returncode == 1 and b"ZeroDivisionError" in done.stderr
    done = piped(server, kernel, FIGURE, tmp_path)
    assert (done.returncode, done.stdout) == (0, b"drawn\n")
    assert done.stderr == b"soulbox: saved soulbox-1.png\n"
    done = piped(server, kernel, b"print(piped, float('nan'))", tmp_path)
    assert (done.returncode, done.stdout) == (0, b"3 nan\n")
    large = piped(server, kernel, b"print('x' * 20_000_000)", tmp_path)
    assert len(large.stdout) == 20_000_001


def test_ctrl_c_interrupts_code_from_a_pipe(server, kernel):
    running = fed(
        server, b"print('in', flush=True)\nimport time; time.sleep(600)", "kernel", "attach", kernel
    )
    assert running.stdout
    assert running.stdout.readline() == b"in\n"
    running.send_signal(signal.SIGINT)
    _, errors = running.communicate(timeout=PATIENCE_SECONDS)
    assert running.returncode == 130 and b"KeyboardInterrupt" in errors
