"""Every death of an execution has a name and its evidence, and the next one runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.executing import Interpreter, printed
from harness.patience import eventually
from harness.server import ISOLATION
from harness.wire import ENVD_PORT, Wire

HOG = "hoard = []\nwhile True: hoard.append(bytearray(32 << 20))"
# A process of its own takes the memory; the kernel only waits for it.
HOG_CHILD = f"""
import subprocess, sys
done = subprocess.run([sys.executable, '-c', {HOG!r}])
print('child', done.returncode)
"""


@pytest.fixture(scope="module")
def interpreter(wire: Wire) -> Iterator[Interpreter]:
    """A sandbox whose executions die, and which itself does not."""
    sandbox = wire.create(timeout=900)["sandboxID"]
    yield Interpreter(wire, sandbox)
    wire.kill(sandbox)


def death(events: list[dict]) -> dict:
    assert events[-1]["end"] == "death", events[-3:]
    return events[-1]["death"]


def test_a_killed_kernel(interpreter):
    died = death(interpreter.run("import os; os.kill(os.getpid(), 9)"))
    assert (died["reason"], died["evidence"]["signal"]) == ("kernel-crash", 9)
    assert printed(interpreter.run("print('again')")) == "again\n"


def test_a_kernel_that_leaves_in_the_middle(interpreter):
    died = death(interpreter.run("import os; os.write(2, b'last words\\n'); os._exit(7)"))
    assert (died["reason"], died["evidence"]["exit_status"]) == ("kernel-crash", 7)
    assert printed(interpreter.run("print('again')")) == "again\n"


def test_the_stock_client_reads_the_reason(interpreter):
    execution = Sandbox.connect(interpreter.sandbox).run_code("import ctypes; ctypes.string_at(0)")
    assert execution.error.name == "kernel-crash"
    assert "SIGSEGV" in execution.error.value


def test_a_restarted_context(interpreter):
    execution = interpreter.start("import time; time.sleep(600)")
    interpreter.state(execution["id"], "running")
    context = execution["context_id"]
    assert interpreter.ask("POST", f"/contexts/{context}/restart").status == 200
    events = interpreter.events(execution["id"])
    assert events[-2]["name"] == "ContextRestarting"
    assert death(events)["reason"] == "restarted"


def test_everything_of_the_interpreter_is_killed_as_root(interpreter):
    """Whatever a cell kills in its sandbox, the next one runs."""
    killer = "import subprocess; subprocess.run(['pkill', '-9', '-f', '[k]ernels/|[i]pykernel'])"
    died = death(interpreter.run(killer))
    assert died["reason"] == "kernel-crash"
    assert printed(interpreter.run("print('again')")) == "again\n"
    from_outside = Sandbox.connect(interpreter.sandbox)
    from_outside.commands.run("pkill -9 -f '[k]ernels/|[i]pykernel' || true", user="root")
    assert eventually(lambda: printed(interpreter.run("print('back')")), 60) == "back\n"
    assert interpreter.ask("GET", "/health").json() == "OK"


@pytest.mark.skipif(
    ISOLATION != "namespace", reason="elsewhere the whole sandbox ends, which has a story below"
)
def test_a_kernel_that_takes_all_memory(interpreter):
    events = interpreter.run(HOG)
    died = death(events)
    assert died["reason"] == "oom", died
    assert died["evidence"]["signal"] == 9 and died["evidence"]["oom_kills"] >= 1
    names = [event["name"] for event in events if event["type"] == "error"]
    assert names == ["UnexpectedEndOfExecution", "oom"]
    assert printed(interpreter.run("print('again')")) == "again\n"


@pytest.mark.skipif(ISOLATION != "namespace", reason="only this tier can keep the kernel")
def test_a_child_that_takes_all_memory_does_not_end_the_kernel(interpreter):
    events = interpreter.run("kept = 'kept'\n" + HOG_CHILD)
    assert (printed(events), events[-1]["end"]) == ("child -9\n", "ok")
    assert printed(interpreter.run("print(kept)")) == "kept\n"
    # A kill of before does not give its name to a crash of now.
    died = death(interpreter.run("import os; os.kill(os.getpid(), 9)"))
    assert died["reason"] == "kernel-crash"


@pytest.mark.skipif(ISOLATION != "gvisor", reason="where one process can be ended, only that one is")
def test_a_sandbox_that_takes_all_memory_says_so(wire, victim):
    interpreter = Interpreter(wire, victim)
    interpreter.start(HOG)
    told = eventually(lambda: wire.death_of(victim).get("death"), 120)
    assert told["reason"] == "oom", told
    assert wire.data(victim, ENVD_PORT, "GET", "/health").status == 502


# Threads count as processes, and end with the kernel.
CROWD = """
import os, threading
done = threading.Event()
try:
    while True: threading.Thread(target=done.wait, daemon=True).start()
except RuntimeError as error:
    print(error, flush=True)
os.abort()
"""


@pytest.mark.skipif(ISOLATION != "namespace", reason="the host counts no processes of gVisor's kernel")
def test_a_kernel_that_takes_all_processes(interpreter):
    events = interpreter.run(CROWD)
    assert "can't start new thread" in printed(events)
    died = death(events)
    assert died["reason"] == "pids", died
    assert died["evidence"]["forks_refused"] >= 1 and died["evidence"]["signal"] == 6
    assert [event["name"] for event in events if event["type"] == "error"][-1] == "pids"
    assert printed(interpreter.run("print('again')")) == "again\n"


FILL = """
import os
with open('/home/user/fill', 'wb', buffering=0) as file:
    disk = os.statvfs('/home/user')
    try:
        # Taken without being written, which would take its time.
        os.posix_fallocate(file.fileno(), 0, disk.f_bavail * disk.f_frsize - (4 << 20))
        file.seek(0, os.SEEK_END)
        while True: file.write(bytes(1 << 20))
    except OSError as error:
        print(error.strerror)
"""


def test_a_full_disk(interpreter):
    assert printed(interpreter.run(FILL)) == "No space left on device\n"
    died = death(interpreter.run("os.kill(os.getpid(), 11)"))
    assert died["reason"] == "disk", died
    assert died["evidence"]["disk_free_bytes"] < 1 << 20
    Sandbox.connect(interpreter.sandbox).files.remove("/home/user/fill")
    assert eventually(lambda: printed(interpreter.run("print('again')")), 60) == "again\n"
