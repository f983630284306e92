"""`kill -9` of the gateway in the middle of a cell: nothing of a sandbox is lost.

The gateway holds no sandbox. What it knows is in its store, what runs is with the node.
"""

from __future__ import annotations

import http.client

import pytest
from harness import leftovers
from harness.patience import eventually
from harness.wire import text_of

# With no warm ones about, the only cell is the sandbox's own.
WITHOUT_POOL = ("--pool", "base=0", "--pool", "code-interpreter-v1=0")
# Its lifetime of 5 s, the node's grace of 10 s, and the time that ending it takes.
LEASE_SECONDS = 40


def test_killed_in_the_middle_of_a_cell_and_started_again(own_server):
    server = own_server
    made = server.wire.create(timeout=600, metadata={"owner": "story"})
    sandbox = made["sandboxID"]
    server.wire.execute(sandbox, "kept = list(range(5))").items()
    before = server.wire.api("GET", f"/sandboxes/{sandbox}").json()

    running = server.wire.execute(sandbox, "import time\nstarted = True\ntime.sleep(600)")
    next(iter(running))
    node = [process.pid for process in server.nodes()]
    server.kill_gateway()
    assert "end_of_execution" not in kinds(running), "a clean end hides the crash"
    running.close()

    server.start()
    assert [process.pid for process in server.nodes()] == node, "the node was started again"
    assert sandbox in server.sandbox_ids()
    after = server.wire.api("GET", f"/sandboxes/{sandbox}").json()
    assert after == before, "what the list tells of the sandbox has changed"
    items = server.wire.execute(sandbox, "print(kept, started)", timeout=30).items()
    assert text_of(items) == "[0, 1, 2, 3, 4] True\n"
    assert server.wire.kill(sandbox) == 204


def test_the_launcher_replaces_a_worker_that_died(own_server):
    server = own_server
    sandbox = server.wire.create(timeout=600)["sandboxID"]
    server.wire.execute(sandbox, "kept = 1").items()
    server.kill_worker()
    eventually(lambda: server.wire.send("GET", "/health").status in (200, 204))
    assert text_of(server.wire.execute(sandbox, "print(kept)").items()) == "1\n"


@pytest.mark.parametrize("own_server", [WITHOUT_POOL], indirect=True)
def test_a_sandbox_ends_although_no_gateway_lives(own_server):
    """The lease: the node kills by itself what no gateway comes back for."""
    server = own_server
    sandbox = server.wire.create("base", timeout=5)["sandboxID"]
    cells = leftovers.cells(server.data)
    assert len(cells) == 1
    server.kill_gateway()
    eventually(lambda: not leftovers.of_cells(server.data, cells), LEASE_SECONDS)
    server.start()
    assert sandbox not in server.sandbox_ids()
    assert server.wire.api("GET", f"/sandboxes/{sandbox}").status == 404
    assert server.wire.death_of(sandbox)["death"]["reason"] == "timeout"


def test_keys_outlive_a_restart(own_server):
    server = own_server
    key = server.new_key("second")
    server.kill_gateway()
    first = server.key
    server.start()
    assert server.key == first, "a second start must not make another first key"
    for known in (first, key):
        assert server.wire.send("GET", "/v2/sandboxes", headers={"X-API-Key": known}).status == 200


def kinds(running) -> list[str]:
    """Types of the items up to where the connection broke."""
    try:
        return [item["type"] for item in running]
    except (OSError, ValueError, http.client.HTTPException):
        return []


@pytest.mark.parametrize("own_server", [WITHOUT_POOL], indirect=True)
def test_a_gateway_that_can_not_start_again_takes_the_node_along(own_server):
    """Whoever gives up leaves nothing behind that nobody would end."""
    own_server.wire.create("base", timeout=600)
    store = own_server.data / "gateway/soulbox.db"
    for path in store.parent.glob("soulbox.db*"):
        path.unlink()
    store.mkdir()
    own_server.kill_worker()
    eventually(lambda: not own_server.gateways() and not own_server.nodes(), 60)
    assert "the gateway did not start" in own_server.log.read_text()
