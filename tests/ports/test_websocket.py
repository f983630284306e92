"""WebSockets to programs in a sandbox, with a stock WebSocket client."""

from __future__ import annotations

import socket

import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import ClientConnection, connect

MIB = 1 << 20


def open_socket(web, path: str = "/echo", **options) -> ClientConnection:
    """The URL has the host that the client derives; the bytes go to the test's server."""
    return connect(
        f"ws://{web.host}{path}", sock=_socket(web), max_size=64 * MIB, proxy=None, open_timeout=30, **options
    )


def _socket(web):
    return socket.create_connection((web.wire.host, web.wire.port), timeout=60)


def test_messages_go_both_ways(web):
    with open_socket(web) as ws:
        for text in ["hello", "grüße", ""]:
            ws.send(text)
            assert ws.recv(30) == text
            assert ws.recv(30) == str(len(text))


def test_the_subprotocol_is_agreed_upon(web):
    with open_socket(web, subprotocols=["other", "chat"]) as ws:
        assert ws.subprotocol == "chat"


def test_large_binary_messages_arrive_whole(web):
    payload = bytes(range(256)) * 4096 * 16
    with open_socket(web) as ws:
        ws.send(payload)
        assert ws.recv(60) == payload
        assert ws.recv(60) == str(len(payload))


def test_a_proper_end_is_a_proper_end(web):
    with open_socket(web) as ws:
        ws.send("x")
        assert ws.recv(30) == "x"
    assert ws.close_code == 1000


def test_a_refused_upgrade_is_the_programs_answer(web):
    with pytest.raises(InvalidStatus) as raised:
        open_socket(web, "/no-socket-here")
    assert raised.value.response.status_code == 200
    assert raised.value.response.headers["x-from-program"] == "yes"


def test_routing_headers_lead_to_a_socket_too(web):
    headers = {"E2b-Sandbox-Id": web.sandbox.sandbox_id, "E2b-Sandbox-Port": str(web.port)}
    url = f"ws://{web.wire.host}:{web.wire.port}/echo"
    with connect(url, additional_headers=headers, proxy=None) as ws:
        ws.send("x")
        assert ws.recv(30) == "x"
