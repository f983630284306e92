"""What is special about forked kernels: what they share, what they must not, and how they end."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from real_kernel import CELL_TIMEOUT
from wire_kernel import ForkServer, WireKernel

OPEN = """
import os, stat
kinds = {}
for number in map(int, os.listdir('/proc/self/fd')):
    try:
        kinds[number] = stat.S_IFMT(os.fstat(number).st_mode)
    except OSError:
        pass
sockets = [n for n, kind in kinds.items() if kind == stat.S_IFSOCK]
[len(kinds), len(sockets), [n for n in kinds if n > 2 and os.get_inheritable(n)]]
"""
RANDOM = """
import multiprocessing, numpy, random, secrets, tempfile, uuid
[
    random.random(), numpy.random.random(), numpy.random.default_rng().random(),
    secrets.token_hex(4), str(uuid.uuid4()), next(tempfile._get_candidate_names()),
    multiprocessing.current_process().authkey.hex(),
]
"""


def test_a_kernel_has_one_thread_beside_its_own_and_no_stray_descriptor(
    wire_kernel: WireKernel,
) -> None:
    threads = "import os; len(os.listdir('/proc/self/task'))"
    assert wire_kernel.run(threads).text == "2"
    count, sockets, inherited = wire_kernel.run(OPEN).main["application/json"]
    # Standard ones, two wires, two pipes, and what the two event loops wake themselves with.
    assert (count, sockets, inherited) == (11, 6, [])


def test_two_forks_share_no_randomness_and_no_state(
    fork_server: ForkServer, wire_kernel: WireKernel, tmp_path: Path
) -> None:
    other = WireKernel(fork_server, tmp_path)
    try:
        wire_kernel.run("x = 1")
        assert other.run("x").error["ename"] == "NameError"
        first, second = (
            kernel.run(RANDOM).main["application/json"] for kernel in (wire_kernel, other)
        )
        assert set(first).isdisjoint(second)
    finally:
        other.stop()


def test_a_broken_kernel_is_told_with_its_signal_and_the_next_fork_is_well(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    for code, status in [
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV),
        ("import os; os._exit(7)", 7),
        ("quit()", 0),
    ]:
        kernel = WireKernel(fork_server, tmp_path)
        kernel.begin(code)
        assert kernel.process.wait() == status
        kernel.client.stop_channels()


def test_a_kernel_ends_when_the_agent_lets_go_of_it(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    for code in ("1", "while True: pass"):
        kernel = WireKernel(fork_server, tmp_path)
        kernel.begin(f"print('on')\n{code}")
        kernel.wait_for_output("on")
        kernel.client.stop_channels()
        assert kernel.process.wait() == 0


def test_shutdown_is_answered_and_runs_what_was_registered(
    fork_server: ForkServer, tmp_path: Path
) -> None:
    kernel = WireKernel(fork_server, tmp_path)
    kernel.run("import atexit, pathlib; atexit.register(pathlib.Path('bye').write_text, 'x');")
    reply = control(kernel, "shutdown_request", {"restart": False})
    assert reply == {"status": "ok", "restart": False}
    assert kernel.process.wait() == 0
    assert (tmp_path / "bye").read_text() == "x"


def control(kernel: WireKernel, kind: str, content: dict[str, Any]) -> dict[str, Any]:
    message = kernel.client.session.msg(kind, content)
    kernel.client.control_channel.send(message)
    return kernel._reply(kernel.client.control_channel, message["header"]["msg_id"])


def test_control_requests_are_answered_while_a_cell_runs(wire_kernel: WireKernel) -> None:
    running = wire_kernel.begin("print('on')\nwhile True: pass")
    wire_kernel.wait_for_output("on")
    info = control(wire_kernel, "kernel_info_request", {})
    assert (info["status"], info["supported_features"]) == ("ok", [])
    debug = control(wire_kernel, "debug_request", {"seq": 3, "command": "debugInfo"})
    assert (debug["request_seq"], debug["success"]) == (3, False)
    assert control(wire_kernel, "create_subshell_request", {})["status"] == "error"
    wire_kernel.interrupt()
    assert wire_kernel.finish(running).error["ename"] == "KeyboardInterrupt"


def test_output_of_another_process_is_no_frame_of_ours(wire_kernel: WireKernel) -> None:
    code = """
import os, sys
for number in range(20):
    if os.fork() == 0:
        print('child', number)
        sys.stdout.flush()
        os._exit(0)
    os.wait()
    print('parent', number)
"""
    lines = wire_kernel.run(code).stdout.splitlines()
    assert sorted(lines) == sorted(
        f"{who} {number}" for who in ("child", "parent") for number in range(20)
    )
    assert wire_kernel.run("1").text == "1"


def test_a_handler_that_raises_or_prints_in_a_print_breaks_no_frame(
    wire_kernel: WireKernel,
) -> None:
    code = """
import signal
class Late(Exception): pass
def late(*_):
    print('tick')
    raise Late
signal.signal(signal.SIGALRM, late)
caught = 0
for _ in range(30):
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.004)
        for _ in range(5000): print('x' * 5000)
    except Late:
        caught += 1
    signal.setitimer(signal.ITIMER_REAL, 0)
caught > 0
"""
    run = wire_kernel.run(code)
    assert run.text == "True"
    assert "tick" in run.stdout
    assert wire_kernel.run("print('well')").stdout == "well\n"


@pytest.mark.parametrize("size", [10, 500_000])
def test_queued_requests_are_aborted_after_an_error(wire_kernel: WireKernel, size: int) -> None:
    fails = wire_kernel.begin("import time; time.sleep(0.3); 1 / 0", stop_on_error=True)
    queued = [wire_kernel.begin(f"'{'x' * size}'; 1") for _ in range(2)]
    assert wire_kernel.finish(fails).reply["status"] == "error"
    for message in queued:
        run = wire_kernel.finish(message)
        assert (run.reply["status"], run.messages[1:]) == ("aborted", [])
    assert wire_kernel.run("'again'").text == "'again'"


def test_it_sleeps_when_nothing_is_to_do(wire_kernel: WireKernel) -> None:
    used = "import resource; u = resource.getrusage(resource.RUSAGE_SELF); u.ru_nvcsw"
    before = int(wire_kernel.run(used).text)
    time.sleep(1)
    assert int(wire_kernel.run(used).text) - before < 100


def test_comms_reach_their_target_with_their_buffers(wire_kernel: WireKernel) -> None:
    wire_kernel.run(
        "from comm import get_comm_manager\n"
        "def opened(comm, message):\n"
        "    comm.on_msg(lambda m: comm.send(m['content']['data'], buffers=m['buffers']))\n"
        "get_comm_manager().register_target('echo', opened)"
    )
    session, shell = wire_kernel.client.session, wire_kernel.client.shell_channel
    shell.send(session.msg("comm_open", {"comm_id": "c", "target_name": "echo", "data": {}}))
    message = session.msg("comm_msg", {"comm_id": "c", "data": {"a": 1}})
    message["buffers"] = [b"\x00raw\xff"]
    shell.send(message)
    while True:
        heard = wire_kernel.client.get_iopub_msg(timeout=CELL_TIMEOUT)
        if heard["msg_type"] == "comm_msg":
            break
    assert heard["content"]["data"] == {"a": 1}
    assert [bytes(buffer) for buffer in heard["buffers"]] == [b"\x00raw\xff"]
