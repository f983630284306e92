"""A kernel's WebSocket: the handshake, both framings, and what clients see of other clients."""

from __future__ import annotations

import uuid

import pytest
import websocket
from harness.jupyter import V1, kinds, printed, result


@pytest.mark.parametrize("v1", [True, False], ids=["v1", "default"])
def test_a_cell_in_both_framings(kernel, v1):
    with kernel.connect(v1=v1) as channels:
        assert channels.socket.getsubprotocol() == (V1 if v1 else None)
        messages = channels.run("print('out'); 6 * 7")
        assert printed(messages) == "out\n" and result(messages) == "42"
        assert {"execute_input", "execute_reply", "status"} <= set(kinds(messages))
        if not v1:
            assert all("msg_id" in message and message["buffers"] == [] for message in messages)


def test_replies_go_to_the_asker_and_outputs_to_everybody(kernel):
    with kernel.connect() as asker, kernel.connect(v1=False) as other:
        other.finish(other.send("kernel_info_request", {}))
        parent = asker.execute("print('shared')")
        mine = asker.finish(parent)
        theirs = other.until(lambda m: m["content"].get("execution_state") == "idle")
        assert "execute_reply" in kinds(mine) and "execute_reply" not in kinds(theirs)
        assert printed(mine) == printed(theirs) == "shared\n"


def test_a_question_is_put_to_the_asker_alone(kernel):
    with kernel.connect() as channels, kernel.connect() as other:
        parent = channels.execute("name = input('who? '); print('hi', name)", allow_stdin=True)
        asked = channels.until(lambda m: m["header"]["msg_type"] == "input_request")[-1]
        assert asked["channel"] == "stdin" and asked["content"]["prompt"] == "who? "
        channels.send("input_reply", {"value": "soul", "status": "ok"}, "stdin")
        assert printed(channels.finish(parent)) == "hi soul\n"
        seen = other.until(lambda m: m["content"].get("execution_state") == "idle")
        assert "input_request" not in kinds(seen)


def test_a_message_above_the_usual_limit_both_ways(kernel):
    """Other gateways end at ten megabytes."""
    with kernel.connect() as channels:
        big = "x" * 11_000_000
        messages = channels.run(f"text = '{big}'; text")
        assert len(result(messages)) == len(big) + 2


def test_restart_keeps_the_socket(start):
    kernel = start()
    with kernel.connect() as channels:
        assert channels.text("x = 1; print(x)") == "1\n"
        assert kernel.restart()["execution_state"] == "idle"
        messages = channels.run("x")
        assert "error" in kinds(messages), "the variables are gone"


def test_interrupt_stops_a_cell(kernel):
    with kernel.connect() as channels:
        parent = channels.execute("import time\nprint('begun', flush=True)\ntime.sleep(600)")
        channels.until(lambda m: m["header"]["msg_type"] == "stream")
        kernel.interrupt()
        messages = channels.finish(parent)
        error = next(m for m in messages if m["header"]["msg_type"] == "error")
        assert error["content"]["ename"] == "KeyboardInterrupt"


def test_the_end_of_a_kernel_is_announced(start):
    kernel = start()
    with kernel.connect() as channels:
        channels.run("1")
        assert kernel.end() == 204
        with pytest.raises((ConnectionError, websocket.WebSocketException)):
            channels.until(lambda m: m["content"].get("execution_state") == "dead")
            channels.receive()
            channels.receive()


def test_what_was_missed_is_replayed_to_the_same_session(kernel):
    session = uuid.uuid4().hex
    first = kernel.connect(session)
    parent = first.execute("import time\nprint('before', flush=True)\ntime.sleep(1)\nprint('after')")
    first.until(lambda m: m["header"]["msg_type"] == "stream")
    first.close()
    with kernel.connect() as other:
        other.text("print('done')")
    with kernel.connect(session) as second:
        messages = second.finish(parent)
        assert "after\n" in printed(messages) and "execute_reply" in kinds(messages)


def refusal(kernel, path: str, **options) -> int:
    wire = kernel.jupyter.wire
    with pytest.raises(websocket.WebSocketBadStatusException) as refused:
        websocket.create_connection(f"ws://{wire.host}:{wire.port}{path}", timeout=60, **options)
    return refused.value.status_code


def test_a_handshake_is_refused_with_a_status(kernel):
    wire = kernel.jupyter.wire
    channels = f"{kernel.path}/channels"
    unknown = f"/api/kernels/{uuid.uuid4()}/channels"
    assert refusal(kernel, channels) == 401
    assert refusal(kernel, f"{channels}?token=e2b_wrong") == 401
    assert refusal(kernel, unknown, header=[f"Authorization: token {wire.key}"]) == 404
    assert kernel.jupyter.ask("GET", channels).status == 400, "no WebSocket was asked for"
