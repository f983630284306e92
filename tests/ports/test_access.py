"""Ports that are not public, and the host that a program is shown: contract, sections 1.5 and 3.9."""

from __future__ import annotations

import pytest
from harness.web import PORT, serve
from harness.wire import INTERPRETER_PORT, routing

TOKEN = "e2b-traffic-access-token"
MISSING = "Sandbox is secured with traffic access token. Token header 'e2b-traffic-access-token' is missing"
INVALID = (
    "Sandbox is secured with traffic access token. "
    "Provided token in header 'e2b-traffic-access-token' is invalid"
)


def test_closed_ports_want_the_traffic_token_and_do_not_show_it(create, wire):
    sandbox = create(network={"allow_public_traffic": False})
    token = sandbox.traffic_access_token
    assert token
    sandbox.commands.run("echo envd needs no traffic token")
    # Row 30: executions and contexts work with what the client has.
    assert sandbox.run_code("1 + 1").text == "2"
    assert sandbox.list_code_contexts()

    sandbox.commands.run(f"python3 -m http.server {PORT} --bind 127.0.0.1", background=True, timeout=0)
    routed = routing(sandbox.sandbox_id, PORT)
    for port in (PORT, 9999, INTERPRETER_PORT):
        for given, text in ((None, MISSING), ("wrong", INVALID), ("", INVALID)):
            headers = {**routing(sandbox.sandbox_id, port), **({TOKEN: given} if given is not None else {})}
            answer = wire.send("GET", "/health", headers=headers)
            assert answer.status == 403
            assert answer.json() == {"sandboxId": sandbox.sandbox_id, "message": text, "code": 403}
    for _ in range(10):
        answer = wire.send("GET", "/", headers={**routed, TOKEN: token})
        if answer.status == 200:
            break
    assert answer.status == 200


def test_a_token_is_not_shown_to_the_program(create, wire):
    sandbox = create(network={"allow_public_traffic": False})
    web = serve(wire, sandbox, **{TOKEN: sandbox.traffic_access_token})
    assert TOKEN not in web.send("GET", "/").json()["headers"]


@pytest.mark.parametrize(
    ("mask", "seen"),
    [("app.localhost", "app.localhost"), ("localhost:${PORT}", f"localhost:{PORT}")],
)
def test_a_program_is_shown_the_host_that_was_asked_for(create, wire, mask, seen):
    web = serve(wire, create(network={"mask_request_host": mask}))
    assert web.send("GET", "/").json()["host"] == seen


def test_a_mask_that_is_no_host_is_refused(wire):
    for mask in ["", "a b", "a/b", "ü.example", 7]:
        answer = wire.api(
            "POST", "/v2/sandboxes", {"templateID": "base", "network": {"maskRequestHost": mask}}
        )
        assert answer.status == 400, mask
        assert "maskRequestHost" in answer.json()["message"]
