"""`kill -9` of the node: its sandboxes are reported dead, and the next node clears what is left."""

from __future__ import annotations

from harness import leftovers
from harness.patience import eventually
from harness.wire import ENVD_PORT, text_of

# Probing the tiers again, then clearing what the journal names.
RECOVERY_SECONDS = 60


def test_sandboxes_are_reported_lost_and_nothing_is_left(own_server):
    server = own_server
    sandboxes = [server.wire.create(timeout=600)["sandboxID"] for _ in range(2)]
    running = server.wire.execute(sandboxes[0], "import time; time.sleep(600)")
    next(iter(running))

    cells = leftovers.cells(server.data)
    assert len(cells) >= len(sandboxes)
    assert leftovers.cgroups(cells), "the cells of a living node are not seen: the check would be blind"
    server.kill_node()
    eventually(server.nodes, RECOVERY_SECONDS)
    eventually(lambda: not server.sandbox_ids(), RECOVERY_SECONDS)
    running.close()

    for sandbox in sandboxes:
        assert server.wire.api("GET", f"/sandboxes/{sandbox}").status == 404
        assert server.wire.data(sandbox, ENVD_PORT, "GET", "/health").status == 502
        told = server.wire.death_of(sandbox)
        assert told["state"] == "dead"
        assert told["death"]["reason"] == "node-lost"
        assert told["tier"] == server.isolation
    gone(server, cells)

    again = server.wire.create(timeout=60)["sandboxID"]
    assert text_of(server.wire.execute(again, "print('alive')").items()) == "alive\n"
    assert server.wire.kill(again) == 204


def test_node_and_gateway_killed_together(own_server):
    server = own_server
    sandbox = server.wire.create(timeout=600)["sandboxID"]
    cells = leftovers.cells(server.data)
    server.kill_gateway()
    server.kill_node()
    server.start()
    assert sandbox not in server.sandbox_ids()
    assert server.wire.death_of(sandbox)["death"]["reason"] == "node-lost"
    gone(server, cells)


def gone(server, cells: list[str]) -> None:
    """Waits until nothing of the dead node's cells is left anywhere on the machine."""
    try:
        eventually(lambda: not leftovers.of_cells(server.data, cells), RECOVERY_SECONDS)
    except AssertionError as error:
        raise AssertionError(f"left: {leftovers.of_cells(server.data, cells)}") from error
