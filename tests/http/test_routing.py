"""Which sandbox and port a request is for, and the exact words when there is none.

Contract: section 1.3, row 37 of section 8. Clients search these texts.
"""

from __future__ import annotations

import pytest
from harness.wire import ENVD_PORT, INTERPRETER_PORT, routing

UNKNOWN = "iaaaaaaaaaaaaaaaaaaaa"


@pytest.fixture(scope="module")
def made(wire):
    """What create answered for one base sandbox."""
    answer = wire.create("base", timeout=300)
    yield answer
    wire.kill(answer["sandboxID"])


def host(sandbox: str, port: int) -> dict[str, str]:
    return {"Host": f"{port}-{sandbox}.sandboxes.example"}


def test_headers_choose_the_sandbox(wire, made):
    assert wire.data(made["sandboxID"], ENVD_PORT, "GET", "/health").status == 204


def test_the_host_chooses_the_sandbox(wire, made):
    answer = wire.send("GET", "/health", headers=host(made["sandboxID"], ENVD_PORT))
    assert (answer.status, answer.body) == (204, b"")
    assert answer.headers.get("cache-control") == "no-store"


def test_the_host_beats_the_headers(wire, made):
    both = {**host(made["sandboxID"], ENVD_PORT), **routing(UNKNOWN, ENVD_PORT)}
    assert wire.send("GET", "/health", headers=both).status == 204


@pytest.mark.parametrize("by", ["host", "headers"])
@pytest.mark.parametrize("port", [ENVD_PORT, INTERPRETER_PORT, 8080])
def test_an_unknown_sandbox_is_502_in_exact_words(wire, by, port):
    headers = host(UNKNOWN, port) if by == "host" else routing(UNKNOWN, port)
    answer = wire.send("GET", "/health", headers=headers)
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == {
        "sandboxId": UNKNOWN,
        "message": "The sandbox was not found",
        "code": 502,
    }


def test_a_killed_sandbox_is_502_at_once(wire):
    sandbox = wire.create("base", timeout=60)["sandboxID"]
    assert wire.kill(sandbox) == 204
    answer = wire.data(sandbox, ENVD_PORT, "GET", "/health")
    assert (answer.status, answer.json()["message"]) == (502, "The sandbox was not found")


def test_a_closed_port_is_502_in_other_words(wire, made):
    answer = wire.data(made["sandboxID"], 8080, "GET", "/")
    assert answer.status == 502
    assert answer.json() == {
        "sandboxId": made["sandboxID"],
        "message": "The sandbox is running but port is not open",
        "port": 8080,
        "code": 502,
    }


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({"E2b-Sandbox-Id": UNKNOWN}, "missing header"),
        ({"E2b-Sandbox-Port": "49983"}, "missing header"),
        ({"E2b-Sandbox-Id": UNKNOWN, "E2b-Sandbox-Port": "many"}, ""),
        ({"E2b-Sandbox-Id": UNKNOWN, "E2b-Sandbox-Port": "99999"}, ""),
        ({"E2b-Sandbox-Id": "../etc", "E2b-Sandbox-Port": "49983"}, "Invalid sandbox ID"),
    ],
)
def test_half_a_route_is_400(wire, headers, text):
    answer = wire.send("GET", "/health", headers=headers)
    assert answer.status == 400
    assert text in answer.body.decode()


def test_envd_wants_the_token_of_its_sandbox(wire, made):
    sandbox, body = made["sandboxID"], b"{}"
    json_type = {"Content-Type": "application/json"}
    path = "/process.Process/List"
    without = wire.data(sandbox, ENVD_PORT, "POST", path, body, **json_type)
    wrong = wire.data(sandbox, ENVD_PORT, "POST", path, body, **json_type, **{"X-Access-Token": "x"})
    right = wire.data(
        sandbox, ENVD_PORT, "POST", path, body, **json_type, **{"X-Access-Token": made["envdAccessToken"]}
    )
    assert (without.status, wrong.status, right.status) == (401, 401, 200)
    assert without.json()["code"] == 401


def test_files_want_a_token_or_a_signature(wire, made):
    answer = wire.data(made["sandboxID"], ENVD_PORT, "GET", "/files?path=/etc/passwd")
    assert (answer.status, answer.json()) == (
        401,
        {"code": 401, "message": "missing signature query parameter"},
    )
    wrong = wire.data(
        made["sandboxID"], ENVD_PORT, "GET", "/files?path=/etc/passwd", **{"X-Access-Token": "x"}
    )
    assert wrong.status == 401


@pytest.mark.parametrize("path", ["/init", "/freeze", "/unfreeze"])
def test_control_routes_are_closed_from_outside(wire, made, path):
    answer = wire.data(
        made["sandboxID"], ENVD_PORT, "POST", path, b"{}", **{"X-Access-Token": made["envdAccessToken"]}
    )
    assert answer.status == 404


def test_one_sandbox_cannot_be_reached_with_the_token_of_another(wire, made):
    other = wire.create("base", timeout=60)
    try:
        answer = wire.data(
            other["sandboxID"],
            ENVD_PORT,
            "GET",
            "/files?path=/etc/hostname",
            **{"X-Access-Token": made["envdAccessToken"]},
        )
        assert answer.status == 401
    finally:
        wire.kill(other["sandboxID"])


def test_browsers_of_any_origin_may_ask(wire, made):
    answer = wire.data(
        made["sandboxID"],
        ENVD_PORT,
        "OPTIONS",
        "/files",
        **{
            "Origin": "http://page.example",
            "Access-Control-Request-Method": "POST",
            "Access-Control-Request-Headers": "x-access-token",
        },
    )
    assert answer.status in (200, 204)
    assert answer.headers["access-control-allow-origin"] in ("*", "http://page.example")
