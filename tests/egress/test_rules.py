"""Who may go where: the network settings of the stock clients, at create and while it runs."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox
from harness.patience import eventually
from outside import ADDRESS, Names

ALL = "0.0.0.0/0"
# curl: the proxy's port is closed; a name was not found.
OFF = {"failed 7", "failed 6"}


# Holds a connection open, and writes down what becomes of it.
HOLD = r"""
import pathlib, socket, sys
held = pathlib.Path("/tmp/held")
s = socket.create_connection(("127.0.0.1", 28128))
s.sendall(f"CONNECT open.test:{sys.argv[1]} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
assert s.recv(4096).startswith(b"HTTP/1.1 200")
s.sendall(b"x")
assert s.recv(1) == b"x"
held.write_text("open")
try:
    held.write_text("cut" if s.recv(1) == b"" else "heard")
except OSError:
    held.write_text("cut")
"""


def test_off_means_off_names_included(create, outside, fetch):
    sandbox = create(allow_internet_access=False)
    assert sandbox.commands.run("env | grep -i proxy || true").stdout == ""
    assert fetch(sandbox, outside.url(host=ADDRESS)) in OFF
    assert fetch(sandbox, outside.url(host="secret.test")) in OFF
    assert fetch(sandbox, outside.url(), "-x", "http://127.0.0.1:28128") == "failed 7"
    run = sandbox.run_code("import os; print([name for name in os.environ if 'proxy' in name.lower()])")
    assert run.logs.stdout == ["[]\n"]
    assert "secret.test" not in Names.asked


@pytest.fixture(scope="module")
def ruled(gate) -> Iterator[Sandbox]:
    """A sandbox whose rules each story replaces by its own; these are those of the first."""
    rules = {"allow_out": ["Open.Test", "*.open.test"], "deny_out": [ALL]}
    sandbox = Sandbox.create(timeout=900, network=rules)
    yield sandbox
    sandbox.kill()


def test_only_what_is_allowed_may_be_reached(ruled, outside, fetch):
    sandbox = ruled
    assert fetch(sandbox, outside.url()).startswith("200")
    assert fetch(sandbox, outside.url(host="OTHER.open.test.")).startswith("200")
    before = Names.asked["closed.test"]
    assert fetch(sandbox, outside.url(host="closed.test")).startswith("403")
    assert Names.asked["closed.test"] == before, "a name that is closed is not even looked up"
    assert fetch(sandbox, outside.url(host=ADDRESS)).startswith("403")


def test_an_allowed_block_beats_a_denied_one(ruled, outside, fetch):
    ruled.update_network({"allow_out": [ADDRESS], "deny_out": ["127.77.0.0/16"]})
    assert fetch(ruled, outside.url(host=ADDRESS)).startswith("200")
    assert fetch(ruled, "http://127.77.0.2:80/").startswith("403")


def test_rules_change_while_it_runs(ruled, outside, fetch, gate):
    sandbox = ruled
    sandbox.update_network({})
    sandbox.files.write("/tmp/hold.py", HOLD)
    command = f"python3 /tmp/hold.py {outside.port('echo')}"
    sandbox.commands.run(command, background=True, timeout=0)

    def held() -> str:
        return sandbox.commands.run("cat /tmp/held || true").stdout

    eventually(lambda: held() == "open")
    # What the rules still permit goes on.
    sandbox.update_network({"deny_out": ["9.9.9.9"]})
    assert fetch(sandbox, outside.url()).startswith("200") and held() == "open"
    sandbox.update_network({"deny_out": [ADDRESS]})
    eventually(lambda: held() == "cut")
    assert fetch(sandbox, outside.url()).startswith("403")
    assert rules_of(shown(gate, sandbox)) == {"denyOut": [ADDRESS]}
    sandbox.update_network({"allow_internet_access": False})
    assert fetch(sandbox, outside.url()) in OFF
    assert shown(gate, sandbox)["allowInternetAccess"] is False and rules_of(shown(gate, sandbox)) == {}
    sandbox.update_network({})
    assert fetch(sandbox, outside.url()).startswith("200")
    run = sandbox.run_code(f"import requests; print(requests.get({outside.url()!r}).status_code)")
    assert run.logs.stdout == ["200\n"]


def shown(gate, sandbox) -> dict:
    return gate.wire.api("GET", f"/sandboxes/{sandbox.sandbox_id}").json()


def rules_of(detail: dict) -> dict:
    """Older clients say something about the other direction as well, which an update keeps."""
    network = detail.get("network") or {}
    return {name: rules for name, rules in network.items() if name in ("allowOut", "denyOut")}


@pytest.mark.parametrize(
    ("network", "said"),
    [
        ({"denyOut": ["open.test"]}, "invalid denied CIDR open.test"),
        ({"allowOut": ["a b"]}, "invalid allowed address a b"),
        ({"allowOut": ["0x7f.1"], "denyOut": [ALL]}, "invalid allowed address 0x7f.1"),
        ({"allowOut": ["open.test"]}, "0.0.0.0/0"),
        ({"rules": {"open.test": []}}, "rules"),
    ],
)
def test_a_bad_rule_is_a_bad_request(gate, inside, network, said):
    asked = {"templateID": "base", "network": network}
    answers = [
        gate.wire.api("POST", "/v2/sandboxes", asked),
        gate.wire.api("PUT", f"/sandboxes/{inside.sandbox_id}/network", network),
    ]
    for answer in answers:
        assert answer.status == 400 and said in answer.json()["message"], answer


def test_what_is_not_there_is_told(gate, inside):
    proxy = {"egressProxy": {"address": "proxy.test:1080"}}
    assert gate.wire.api("PUT", f"/sandboxes/{inside.sandbox_id}/network", proxy).status == 403
    assert gate.wire.api("PUT", "/sandboxes/i00000000000000000000/network", {}).status == 404


def test_rules_outlive_the_gateway(ruled, outside, fetch, gate):
    sandbox = ruled
    sandbox.update_network({"deny_out": [ALL], "allow_out": ["open.test"]})
    gate.kill_worker()
    eventually(lambda: gate.wire.send("GET", "/health").status in (200, 204))
    # Requests are served at once, sandboxes as soon as the node has been asked for them.
    eventually(lambda: sandbox.sandbox_id in gate.sandbox_ids())
    assert fetch(sandbox, outside.url()).startswith("200")
    assert fetch(sandbox, outside.url(host="closed.test")).startswith("403")
    assert rules_of(shown(gate, sandbox)) == {"allowOut": ["open.test"], "denyOut": [ALL]}
