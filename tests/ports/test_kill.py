"""A killed sandbox ends every connection to its programs, and its URL says so: contract, rows 1 and 37."""

from __future__ import annotations

import http.client
import threading
import time

import pytest
from harness.web import serve
from test_websocket import open_socket
from websockets.exceptions import ConnectionClosedError


def test_a_kill_breaks_streams_and_sockets_and_the_url_says_why(create, wire):
    sandbox = create()
    web = serve(wire, sandbox)
    connection, response = web.stream("/events")
    assert response.readline() == b"data: 0\n"
    with pytest.raises(ConnectionClosedError) as raised, open_socket(web) as ws:
        ws.send("x")
        assert ws.recv(30) == "x"
        threading.Timer(0.5, sandbox.kill).start()
        begun = time.monotonic()
        with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
            response.read()
        while True:
            ws.recv(30)
    assert raised.value.rcvd is None, "no close frame: nobody may take it for a proper end"
    assert time.monotonic() - begun < 10
    connection.close()

    answer = web.send("GET", "/")
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == {
        "sandboxId": sandbox.sandbox_id,
        "message": "The sandbox was not found",
        "code": 502,
    }
