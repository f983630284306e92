"""Large files pass through with flat memory, and a full disk, of either kind, is an answer of its own."""

from __future__ import annotations

import tempfile

import pytest
from e2b import NotEnoughSpaceException
from e2b_code_interpreter import Sandbox
from harness import processes
from harness.server import ISOLATION
from harness.wire import ENVD_PORT, routing

MEGABYTE = 1 << 20
LARGE_MEGABYTES = 512
# What gateway, node and agent together may grow by: windows, and what allocators keep.
FLAT_BYTES = 96 * MEGABYTE

# Takes every inode there is, some thousand to a directory, each with a single call.
FILL = """
import itertools, os, stat
try:
    for number in itertools.count():
        if number % 5000 == 0:
            os.makedirs(f"/home/user/crowd/{number}")
            os.chdir(f"/home/user/crowd/{number}")
        os.mknod(str(number), 0o644 | stat.S_IFREG)
except OSError as error:
    assert error.errno == 28, error
"""


def agent_bytes(sandbox: Sandbox) -> int:
    """The most that the agent has had in memory, as its sandbox shows it."""
    status = sandbox.commands.run("cat /proc/1/status").stdout
    known = {line.split(":")[0]: line.split()[1] for line in status.splitlines() if "kB" in line}
    return int(known.get("VmHWM", known.get("VmRSS", "0"))) * 1024


@pytest.mark.slow
def test_half_a_gigabyte_goes_in_and_out_with_flat_memory(server, wire, create):
    sandbox = create("base", timeout=900)
    watched = [process.pid for process in server.gateways() + server.nodes()]
    before = sum(map(processes.resident_bytes, watched)) + agent_bytes(sandbox)
    head = {**routing(sandbox.sandbox_id, ENVD_PORT), "Content-Type": "application/octet-stream"}
    head |= {"Accept-Encoding": "identity"}
    path = sandbox.upload_url("large").removeprefix(f"http://{wire.host}:{wire.port}")
    connection = wire.connect(300)
    with tempfile.TemporaryFile() as hole:
        hole.truncate(LARGE_MEGABYTES * MEGABYTE)
        length = {"Content-Length": str(LARGE_MEGABYTES * MEGABYTE)}
        connection.request("POST", path, body=hole, headers={**head, **length})
        answer = connection.getresponse()
        assert answer.status == 200, answer.read()
        answer.read()
    path = sandbox.download_url("large").removeprefix(f"http://{wire.host}:{wire.port}")
    connection.request("GET", path, headers=head)
    answer = connection.getresponse()
    got = 0
    while piece := answer.read(MEGABYTE):
        got += len(piece)
    connection.close()
    assert got == LARGE_MEGABYTES * MEGABYTE
    grown = sum(map(processes.resident_bytes, watched)) + agent_bytes(sandbox) - before
    assert grown < FLAT_BYTES, f"gateway, node and agent grew by {grown >> 20} MB"


def test_a_full_disk_is_told_as_such(create):
    sandbox = create("base")
    # The file system keeps some blocks back for itself and its root, which the agent may use.
    left = "$(df --output=avail -B1 / | tail -1)"
    sandbox.commands.run(f"fallocate -l {left} filler || true", user="root", timeout=300)
    with pytest.raises(NotEnoughSpaceException, match="not enough disk space available"):
        sandbox.files.write("large", bytes(64 * MEGABYTE))
    sandbox.commands.run("rm -f filler large", user="root")
    sandbox.files.write("large", bytes(64 * MEGABYTE))
    assert sandbox.files.get_info("large").size == 64 * MEGABYTE


@pytest.mark.slow
@pytest.mark.skipif(ISOLATION == "gvisor", reason="two minutes of system calls; the disk is the same one")
def test_a_disk_without_inodes_is_told_as_such(create):
    """Many empty files take no room, and yet one day there is none for another."""
    sandbox = create("base")
    sandbox.files.write("there", "x")
    sandbox.files.write("/tmp/fill.py", FILL)
    sandbox.commands.run("python3 /tmp/fill.py", user="root", timeout=900)
    with pytest.raises(NotEnoughSpaceException, match="not enough inodes available"):
        sandbox.files.write("one-more", "x")
    # What is there can be written all the same.
    sandbox.files.write("there", "more")
    assert sandbox.files.read("there") == "more"
    sandbox.commands.run("rm -rf /home/user/crowd/0", user="root", timeout=300)
    sandbox.files.write("one-more", "x")
    assert sandbox.files.read("one-more") == "x"
