"""A sandbox that misbehaves harms itself only, and its owner is told what happened."""

from __future__ import annotations

import json
import threading

import httpx
import pytest
from harness import processes
from harness.patience import eventually
from harness.wire import ENVD_PORT, INTERPRETER_PORT, routing, text_of

GIGABYTE = 1 << 30
# What gateway and node together may grow by while 1 GB passes through them: windows and
# buffers of one connection per hop, and what the allocator keeps. A buffered cell would be 1 GB.
FLAT_BYTES = 96 << 20

OUT_OF_MEMORY = "hoard = []\nwhile True: hoard.append(bytearray(64 << 20))"
FORK_BOMB = """
import os, time
while True:
    try:
        if os.fork() == 0:
            while True:
                try: os.fork()
                except OSError: time.sleep(0.01)
    except OSError:
        break
print('refused')
"""


def alive(wire, sandbox: str) -> bool:
    return wire.data(sandbox, ENVD_PORT, "GET", "/health").status == 204


def run_to_the_end(wire, sandbox: str, code: str) -> list[dict]:
    """All items of a cell, up to where its sandbox may have died."""
    items: list[dict] = []
    try:
        for item in (running := wire.execute(sandbox, code)):
            items.append(item)
        running.close()
    except (OSError, ValueError, json.JSONDecodeError):
        pass
    except Exception as error:  # http.client has its own tree, and a cut stream is any of it.
        assert type(error).__module__ == "http.client", error
    return items


def test_a_cell_that_takes_all_memory_is_told_so(server, wire, victim, neighbour):
    items = run_to_the_end(wire, victim, OUT_OF_MEMORY)
    errors = [item["name"] for item in items if item["type"] == "error"]
    if alive(wire, victim):
        assert errors, items[-3:]
        again = eventually(lambda: text_of(run_to_the_end(wire, victim, "print('again')")), 60)
        assert again == "again\n"
    else:
        told = eventually(lambda: server.wire.death_of(victim).get("death"))
        assert told["reason"] == "oom", told


@pytest.mark.slow
def test_a_fork_bomb_stays_in_its_sandbox(server, wire, victim, neighbour):
    running = wire.execute(victim, FORK_BOMB, timeout=20)
    try:
        list(running)
    except Exception:
        pass  # A bomb may starve its own sandbox for good; what counts is everybody else.
    finally:
        running.close()
    assert wire.send("GET", "/health").status in (200, 204)
    assert wire.kill(victim) in (204, 404), "a bombed sandbox can still be killed"
    assert wire.data(victim, ENVD_PORT, "GET", "/health").status == 502


def test_the_sandbox_is_killed_under_a_running_cell(wire, victim, neighbour):
    """The connection is reset without a last chunk, and the health check right after is 502."""
    killer = threading.Timer(2, lambda: wire.kill(victim))
    request = {"code": "import time; time.sleep(600)"}
    headers = routing(victim, INTERPRETER_PORT)
    url = f"http://{wire.host}:{wire.port}/execute"
    # Python's own client takes a cut stream for a finished one; this one tells them apart.
    with (
        pytest.raises(httpx.ReadError),
        httpx.stream("POST", url, json=request, headers=headers, timeout=60) as answer,
    ):
        killer.start()
        for line in answer.iter_lines():
            assert "end_of_execution" not in line, "a clean end hides the kill"
    assert wire.data(victim, ENVD_PORT, "GET", "/health").status == 502
    killer.join()


def test_a_cell_that_kills_its_own_kernel_gets_an_end(wire, victim):
    items = run_to_the_end(wire, victim, "import os; os.kill(os.getpid(), 9)")
    assert items[-1]["type"] == "end_of_execution"
    assert "UnexpectedEndOfExecution" in [i.get("name") for i in items if i["type"] == "error"]
    again = eventually(lambda: text_of(run_to_the_end(wire, victim, "print('again')")), 30)
    assert again == "again\n"


@pytest.mark.slow
def test_a_gigabyte_of_output_passes_with_flat_memory(server, wire, victim, neighbour):
    watched = [process.pid for process in server.gateways() + server.nodes()]
    before = {pid: processes.resident_bytes(pid) for pid in watched}
    peak = dict(before)

    line = "x" * ((1 << 20) - 1) + "\\n"
    code = f"import sys\nfor _ in range(1024): sys.stdout.write('{line}')"
    received, notices = 0, []
    running = wire.execute(victim, code, timeout=300)
    for number, item in enumerate(running):
        received += len(item["text"]) if item["type"] == "stdout" else 0
        if item["type"] in ("stderr", "error"):
            notices.append(item)
        if number % 16 == 0:
            for pid in watched:
                peak[pid] = max(peak[pid], processes.resident_bytes(pid))
    running.close()

    grown = sum(peak[pid] - before[pid] for pid in watched)
    assert grown < FLAT_BYTES, f"gateway and node grew by {grown >> 20} MB"
    assert received == GIGABYTE or notices, f"{received} bytes came, and nothing said why"
    assert text_of(wire.execute(victim, "print('alive')").items()) == "alive\n"


@pytest.mark.slow
def test_a_reader_that_stalls_holds_up_nobody_else(server, wire, victim, neighbour):
    stalled = wire.execute(victim, "while True: print('x' * 100_000)")
    next(iter(stalled))
    # Nothing is read from here on: the stream's windows fill, and only this cell waits.
    watched = [process.pid for process in server.gateways() + server.nodes()]
    before = sum(map(processes.resident_bytes, watched))
    eventually(lambda: len(neighbour.seconds) > 8, 60)
    grown = sum(map(processes.resident_bytes, watched)) - before
    stalled.close()
    assert grown < FLAT_BYTES, f"gateway and node grew by {grown >> 20} MB"
    assert alive(wire, victim)


def test_a_full_disk_is_an_error_of_the_cell(wire, victim):
    code = (
        "written = 0\n"
        "with open('/home/user/fill', 'wb') as f:\n"
        "    while True: written += f.write(bytes(16 << 20))\n"
    )
    items = run_to_the_end(wire, victim, code)
    errors = [item["value"] for item in items if item["type"] == "error"]
    assert errors and "No space left" in errors[0], items[-3:]
    assert text_of(run_to_the_end(wire, victim, "import os; os.remove('fill'); print('freed')")) == "freed\n"
