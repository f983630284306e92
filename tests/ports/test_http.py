"""Programs on ports of a sandbox, over HTTP: contract, section 1.5 and the table of 1.3."""

from __future__ import annotations

import hashlib
import http.client
import json
import os
import time
from itertools import pairwise
from pathlib import Path

import pytest
from harness.patience import eventually
from harness.web import OPEN_PORT, serve
from harness.wire import routing

MIB = 1 << 20


def test_the_host_name_that_the_client_derives_leads_to_the_program(web):
    answer = web.send("POST", "/some/path%20here?a=1&b=%2F", b"hello")
    seen = answer.json()
    assert (answer.status, seen["method"]) == (200, "POST")
    assert seen["path"] == "/some/path%20here?a=1&b=%2F"
    assert (seen["length"], seen["body"]) == (5, hashlib.sha256(b"hello").hexdigest())
    assert answer.headers["x-from-program"] == "yes"


def test_the_program_sees_the_host_that_the_client_named(web):
    assert web.send("GET", "/").json()["host"] == web.host


def test_names_of_headers_are_written_as_their_sender_did(web):
    """Letters do not matter in them, but not every program knows."""
    connection = web.connect()
    connection.request("GET", "/", headers={"Host": web.host, "X-cAsE": "1"})
    response = connection.getresponse()
    assert {"Host", "X-cAsE"} <= set(json.loads(response.read())["names"])
    assert "X-From-Program" in dict(response.getheaders())
    connection.close()


def test_routing_headers_lead_there_too_and_are_not_shown(web):
    answer = web.wire.data(web.sandbox.sandbox_id, web.port, "GET", "/")
    assert answer.status == 200
    assert not [name for name in answer.json()["headers"] if name.startswith("e2b-sandbox")]


def test_a_server_on_every_address_is_reached(web):
    everywhere = serve(web.wire, web.sandbox, OPEN_PORT, "0.0.0.0")
    assert everywhere.send("GET", "/").status == 200


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_every_method_passes(web, method):
    answer = web.send(method, "/x")
    assert answer.status == 200
    if method == "HEAD":
        assert answer.body == b"" and int(answer.headers["content-length"]) > 0
    else:
        assert answer.json()["method"] == method


def test_a_preflight_is_the_programs_to_answer(web):
    answer = web.send("OPTIONS", "/x", Origin="http://page.example", Access_Control_Request_Method="POST")
    assert (answer.status, answer.json()["method"]) == (200, "OPTIONS")
    assert "access-control-allow-origin" not in answer.headers


def test_headers_of_one_connection_end_there(web):
    answer = web.send(
        "GET",
        "/",
        Connection="X-Mine, keep-alive",
        X_Mine="1",
        Keep_Alive="timeout=5",
        Te="trailers",
        X_Other="2",
    )
    seen = answer.json()["headers"]
    assert seen["x-other"] == "2"
    assert not {"x-mine", "keep-alive", "te"} & set(seen)
    assert "x-secret-hop" not in answer.headers


def test_cookies_and_foreign_keys_pass_and_ours_do_not(web):
    seen = web.send("GET", "/", Cookie="a=b", X_API_Key="theirs").json()["headers"]
    assert (seen["cookie"], seen["x-api-key"]) == ("a=b", "theirs")
    ours = web.send("GET", "/", X_API_Key=web.wire.key, X_Access_Token=web.sandbox._envd_access_token).json()[
        "headers"
    ]
    assert not {"x-api-key", "x-access-token"} & set(ours)


def test_one_connection_serves_many_requests(web):
    connection = web.connect()
    for number in range(20):
        connection.request("GET", f"/{number}", headers={"Host": web.host})
        answer = connection.getresponse()
        assert json.loads(answer.read())["path"] == f"/{number}"
    connection.close()


def test_events_arrive_when_they_are_sent(web):
    connection, response = web.stream("/events")
    assert response.getheader("content-type") == "text/event-stream"
    arrivals = []
    for number in range(4):
        assert response.readline() == f"data: {number}\n".encode()
        assert response.readline() == b"\n"
        arrivals.append(time.monotonic())
    gaps = [after - before for before, after in pairwise(arrivals)]
    assert all(0.2 < gap < 1.5 for gap in gaps), gaps
    response.close()
    connection.close()
    # The program learns at once that its reader is gone.
    eventually(lambda: web.send("GET", "/listeners").json() == 0, 10)


def test_large_bodies_pass_whole_both_ways(web):
    payload = bytes(range(256)) * 4096 * 64
    answer = web.send("POST", "/swallow", payload)
    assert answer.json() == {"length": len(payload), "body": hashlib.sha256(payload).hexdigest()}
    answer = web.send("GET", f"/large?bytes={len(payload)}")
    assert answer.body == payload


def test_a_body_in_chunks_passes(web):
    connection = web.connect()
    pieces = [b"a" * 100_000 for _ in range(50)]
    connection.request("POST", "/swallow", body=iter(pieces), headers={"Host": web.host})
    assert json.loads(connection.getresponse().read())["length"] == 5_000_000
    connection.close()


def test_a_slow_reader_holds_the_program_back_and_nobody_else(web):
    connection, response = web.stream(f"/large?bytes={512 * MIB}")
    response.read(1000)
    time.sleep(2)
    before = web.send("GET", "/sent").json()
    time.sleep(1)
    after = web.send("GET", "/sent").json()
    # What lies in the windows and sockets between program and reader.
    assert before == after < 64 * MIB
    response.close()
    connection.close()


def test_a_gibibyte_passes_with_flat_memory(web, server):
    def resident() -> int:
        """Memory of gateway and node together, in bytes."""
        total = 0
        for process in [*server.gateways(), *server.nodes()]:
            pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
            total += int(pages) * os.sysconf("SC_PAGE_SIZE")
        return total

    before, highest, length = resident(), 0, 0
    connection, response = web.stream(f"/large?bytes={1024 * MIB}")
    while piece := response.read(8 * MIB):
        length += len(piece)
        highest = max(highest, resident())
    connection.close()
    assert length == 1024 * MIB
    assert highest - before < 48 * MIB


def test_an_answer_that_breaks_off_is_not_whole_for_the_client_either(web):
    with pytest.raises((http.client.IncompleteRead, ConnectionResetError)):
        web.send("GET", "/half")


def test_a_closed_port_is_told_in_exact_words(web):
    begun = time.monotonic()
    answer = web.wire.data(web.sandbox.sandbox_id, 9999, "POST", "/", b"x" * MIB)
    assert time.monotonic() - begun < 10
    assert answer.status == 502
    assert answer.headers["content-type"] == "application/json; charset=utf-8"
    assert answer.json() == {
        "sandboxId": web.sandbox.sandbox_id,
        "message": "The sandbox is running but port is not open",
        "port": 9999,
        "code": 502,
    }


def test_a_person_in_a_browser_sees_a_page_and_a_script_does_not(web):
    navigating = {"Sec-Fetch-Mode": "navigate", "Accept": "text/html"}
    for sandbox, words in (
        (web.sandbox.sandbox_id, b"port 9999"),
        ("iaaaaaaaaaaaaaaaaaaaa", b"does not run"),
    ):
        answer = web.wire.data(sandbox, 9999, "GET", "/", **navigating)
        assert (answer.status, answer.headers["content-type"]) == (502, "text/html; charset=utf-8")
        assert words in answer.body and sandbox.encode() in answer.body
        script = web.wire.data(sandbox, 9999, "GET", "/", **{"Sec-Fetch-Mode": "cors", "Accept": "text/html"})
        assert script.json()["code"] == 502


def test_a_port_that_opens_late_is_waited_for(web):
    web.sandbox.commands.run("sleep 0.4; python3 -m http.server 8090 --bind 127.0.0.1", background=True)
    headers = routing(web.sandbox.sandbox_id, 8090)
    # The first try may be too early on a busy machine; others follow at once, as a client's would.
    # A refusal comes late itself, so there are few of them.
    statuses: list[int] = []
    while 200 not in statuses and len(statuses) < 20:
        statuses.append(web.wire.send("GET", "/", headers=headers).status)
    assert statuses[-1] == 200 and set(statuses) <= {200, 502}


def test_a_server_that_speaks_http_1_0_and_closes_is_read_to_its_end(web):
    web.sandbox.files.write("/home/user/site/page.txt", "page" * 10_000)
    web.sandbox.commands.run("python3 -m http.server 8091 --bind 127.0.0.1 -d site", background=True)
    headers = routing(web.sandbox.sandbox_id, 8091)
    eventually(lambda: web.wire.send("GET", "/", headers=headers).status == 200, 20)
    assert web.wire.send("GET", "/page.txt", headers=headers).body == b"page" * 10_000


# Answers every connection with something that is no HTTP.
MUTE = """
import socket
listener = socket.create_server(("127.0.0.1", 8092))
while True:
    connection, _ = listener.accept()
    connection.recv(9999)
    connection.sendall(b"what?\\n\\n")
    connection.close()
"""


def test_a_program_that_does_not_speak_http_is_a_502_that_says_so(web):
    web.sandbox.files.write("/home/user/mute.py", MUTE)
    web.sandbox.commands.run("python3 mute.py", background=True)
    headers = routing(web.sandbox.sandbox_id, 8092)
    answers = []

    def answered() -> bool:
        answers.append(web.wire.send("GET", "/", headers=headers).json())
        return "not open" not in answers[-1]["message"]

    eventually(answered, 20)
    assert answers[-1]["message"] == "The program on this port gave no answer in HTTP"
    assert (answers[-1]["code"], answers[-1]["port"]) == (502, 8092)
