"""What the control plane answers to requests that no SDK sends.

Contract: sections 2 and 3, and the bad inputs of a hostile or broken client.
"""

from __future__ import annotations

import json

import pytest

# The largest body that the control plane reads. Bigger ones are refused before they are read.
OVERSIZED_BYTES = 32 << 20
# Python clients fail on a sandbox that lacks one of them.
REQUIRED_FIELDS = (
    *("templateID", "sandboxID", "clientID", "startedAt", "endAt"),
    *("cpuCount", "memoryMB", "diskSizeMB", "state", "envdVersion"),
)


def is_error(answer, status: int) -> str:
    """Checks the one form that errors have, and gives the message."""
    body = answer.json()
    assert (answer.status, body["code"]) == (status, status), (answer.status, answer.body)
    assert answer.headers["content-type"].startswith("application/json")
    assert isinstance(body["message"], str) and body["message"]
    return body["message"]


def test_health_needs_no_key(wire):
    assert wire.send("GET", "/health").status in (200, 204)


@pytest.mark.parametrize("path", ["/nope", "/v2/nope", "/sandboxes/a/b/c/d"])
@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
def test_an_unknown_route_is_404_in_the_error_form(wire, method, path):
    is_error(wire.api(method, path, b"{}" if method == "POST" else None), 404)


@pytest.mark.parametrize("headers", [{}, {"X-API-Key": ""}, {"X-API-Key": "e2b_" + "1" * 40}])
@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/sandboxes"),
        ("POST", "/sandboxes"),
        ("POST", "/v2/sandboxes"),
        ("GET", "/sandboxes/iaaaaaaaaaaaaaaaaaaaa"),
        ("DELETE", "/sandboxes/iaaaaaaaaaaaaaaaaaaaa"),
        ("POST", "/sandboxes/iaaaaaaaaaaaaaaaaaaaa/timeout"),
        ("POST", "/v2/sandboxes/iaaaaaaaaaaaaaaaaaaaa/connect"),
    ],
)
def test_without_a_right_key_nothing_is_told(wire, method, path, headers):
    is_error(wire.send(method, path, b"{}" if method == "POST" else None, headers), 401)


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b'"text"', b'{"templateID": 5}', b"{}", b'{"templateID": "\xff\xfe"}'],
    ids=["empty", "cut", "list", "text", "number", "no-template", "not-utf8"],
)
def test_a_bad_body_is_400(wire, body):
    is_error(wire.api("POST", "/v2/sandboxes", body), 400)


def test_deeply_nested_json_is_refused_not_fatal(wire):
    body = b'{"templateID": "base", "metadata": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    is_error(wire.api("POST", "/v2/sandboxes", body), 400)
    assert wire.send("GET", "/health").status in (200, 204)


def test_an_oversized_body_is_refused_and_the_server_lives(wire):
    body = json.dumps({"templateID": "base", "metadata": {"k": "x" * OVERSIZED_BYTES}}).encode()
    try:
        is_error(wire.api("POST", "/v2/sandboxes", body), 413)
    except (BrokenPipeError, ConnectionResetError):
        pass  # The server may hang up before a client that does not read has sent it all.
    assert wire.send("GET", "/health").status in (200, 204)


@pytest.mark.parametrize(("path", "status"), [("/v2/sandboxes", 401), ("/nope", 404)])
def test_a_refusal_reaches_a_client_that_sends_everything_first(wire, path, status):
    body = b"x" * (8 << 20)
    for _ in range(5):
        is_error(wire.send("POST", path, body, {"X-API-Key": "wrong"}), status)


@pytest.mark.parametrize("path", ["/sandboxes", "/v2/sandboxes"])
@pytest.mark.parametrize("timeout", [0, -5])
def test_a_timeout_of_nothing_is_refused(wire, path, timeout):
    answer = wire.api("POST", path, {"templateID": "base", "timeout": timeout})
    assert is_error(answer, 400) == "Timeout must be greater than 0"


def test_an_unknown_template_is_404(wire):
    for path in ("/sandboxes", "/v2/sandboxes"):
        assert "no-such" in is_error(wire.api("POST", path, {"templateID": "no-such"}), 404)
    is_error(wire.api("POST", "/v2/sandboxes", {"templateID": "../../etc"}), 400)


@pytest.mark.parametrize("sandbox", ["iaaaaaaaaaaaaaaaaaaaa", "nonexistingsandbox"])
def test_an_unknown_sandbox_is_404(wire, sandbox):
    wanted = f"Sandbox \"{sandbox}\" doesn't exist or you don't have access to it"
    assert is_error(wire.api("GET", f"/sandboxes/{sandbox}"), 404) == wanted
    is_error(wire.api("DELETE", f"/sandboxes/{sandbox}"), 404)
    is_error(wire.api("POST", f"/sandboxes/{sandbox}/timeout", {"timeout": 5}), 404)
    is_error(wire.api("POST", f"/sandboxes/{sandbox}/connect", {"timeout": 5}), 404)
    is_error(wire.api("POST", f"/v2/sandboxes/{sandbox}/connect", {}), 404)


@pytest.mark.parametrize("sandbox", ["a-b-c", "UPPER", "a%2Fb", "a.b"])
def test_a_malformed_id_is_400(wire, sandbox):
    assert is_error(wire.api("GET", f"/sandboxes/{sandbox}"), 400) == "Invalid sandbox ID"


@pytest.mark.parametrize(
    "query",
    ["limit=0", "limit=-1", "order=sideways", "nextToken=garbage", "metadata=novalue", "template=base:tag"],
)
def test_a_bad_list_query_is_400(wire, query):
    message = is_error(wire.api("GET", f"/v2/sandboxes?{query}"), 400)
    if query.startswith("nextToken"):
        assert message == "Invalid next token"


def test_unknown_fields_and_parameters_are_ignored(wire):
    made = wire.api("POST", "/v2/sandboxes?source=x", {"templateID": "base", "future": [1]})
    assert made.status == 201
    assert wire.kill(made.json()["sandboxID"]) == 204


def test_the_answers_of_create_get_and_list_have_every_field(wire):
    made = wire.create("base", timeout=60, metadata={"a": "b"})
    sandbox = made["sandboxID"]
    try:
        assert made["templateID"] and made["clientID"] and made["envdAccessToken"]
        assert made["alias"] == "base" and made.get("domain") is None
        assert tuple(map(int, made["envdVersion"].split("."))) >= (0, 6, 4)
        detail = wire.api("GET", f"/sandboxes/{sandbox}").json()
        listed = wire.api("GET", "/v2/sandboxes?metadata=a%3Db").json()
        entry = next(item for item in listed if item["sandboxID"] == sandbox)
        for name in REQUIRED_FIELDS:
            assert name in detail and name in entry, name
        assert detail["state"] == "running" and detail["metadata"] == {"a": "b"}
        assert detail["startedAt"].endswith("Z") and "." in detail["startedAt"]
    finally:
        wire.kill(sandbox)


def test_the_old_list_and_the_old_id_form_still_work(wire):
    sandbox = wire.create("base", timeout=60)["sandboxID"]
    try:
        ids = [item["sandboxID"] for item in wire.api("GET", "/sandboxes").json()]
        assert sandbox in ids
        assert wire.api("GET", f"/sandboxes/{sandbox}-6532622b").status == 200
    finally:
        assert wire.kill(f"{sandbox}-6532622b") == 204


def test_running_ones_are_counted_and_pages_end_without_a_token(wire):
    sandbox = wire.create("base", timeout=60)["sandboxID"]
    try:
        answer = wire.api("GET", "/v2/sandboxes?state=running")
        assert int(answer.headers["x-total-running"]) >= 1
        assert "x-next-token" not in answer.headers
    finally:
        wire.kill(sandbox)


def test_the_same_idempotency_key_makes_one_sandbox(wire):
    body = {"templateID": "base", "timeout": 60, "metadata": {"once": "only"}}
    headers = {"Idempotency_Key": "story-1234"}
    first = wire.api("POST", "/v2/sandboxes", body, **headers).json()["sandboxID"]
    second = wire.api("POST", "/v2/sandboxes", body, **headers).json()["sandboxID"]
    wire.kill(first)
    assert first == second


def test_chunked_bodies_are_read(wire):
    connection = wire.connect()
    body = [b'{"templateID": "ba', b'se", "timeout": 60}']
    headers = {"X-API-Key": wire.key, "Content-Type": "application/json"}
    connection.request("POST", "/v2/sandboxes", iter(body), headers, encode_chunked=True)
    answer = connection.getresponse()
    made = json.loads(answer.read())
    connection.close()
    assert answer.status == 201
    wire.kill(made["sandboxID"])


def test_a_key_can_be_made_and_revoked(server):
    key = server.new_key("short-lived")
    assert server.wire.send("GET", "/v2/sandboxes", headers={"X-API-Key": key}).status == 200
    assert server.revoke_key("short-lived", key) == 0
    assert server.wire.send("GET", "/v2/sandboxes", headers={"X-API-Key": key}).status == 401
