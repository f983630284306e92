"""The interpreter's own route, byte by byte: lines, order, and what is refused.

Contract: section 5.1 and the captured exchange of section 9.
"""

from __future__ import annotations

import json

import pytest
from harness.wire import INTERPRETER_PORT, text_of

JSON = {"Content-Type": "application/json"}


@pytest.fixture(scope="module")
def sandbox(wire):
    answer = wire.create(timeout=600)
    yield answer["sandboxID"]
    wire.kill(answer["sandboxID"])


def post(wire, sandbox: str, body: bytes):
    return wire.data(sandbox, INTERPRETER_PORT, "POST", "/execute", body, **JSON)


def test_health_is_a_json_string(wire, sandbox):
    answer = wire.data(sandbox, INTERPRETER_PORT, "GET", "/health")
    assert (answer.status, answer.json()) == (200, "OK")


def test_the_captured_exchange(wire, sandbox):
    body = {"code": "1+1", "context_id": None, "language": None, "env_vars": None}
    answer = post(wire, sandbox, json.dumps(body).encode())
    assert answer.status == 200
    assert answer.body.endswith(b"\n") and b"\n\n" not in answer.body
    lines = [json.loads(line) for line in answer.body.splitlines()]
    assert lines[0]["type"] == "number_of_executions"
    assert lines[1:] == [
        {"type": "result", "text": "2", "is_main_result": True, "extra": {}},
        {"type": "end_of_execution"},
    ]


def test_output_has_a_time_and_comes_before_the_end(wire, sandbox):
    items = wire.execute(sandbox, "print('a')\n1/0").items()
    assert [item["type"] for item in items] == [
        "number_of_executions",
        "stdout",
        "error",
        "end_of_execution",
    ]
    assert items[1]["text"] == "a\n" and "T" in items[1]["timestamp"]
    assert set(items[2]) == {"type", "name", "value", "traceback"}


def test_silence_is_filled_with_keepalives(wire, sandbox):
    items = wire.execute(sandbox, "import time; time.sleep(12)").items()
    assert len([item for item in items if item["type"] == "keepalive"]) >= 2


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"[]", b"{}", b'{"code": 1}', b'{"code": "print(\xff)"}'],
    ids=["empty", "cut", "list", "no-code", "number", "not-utf8"],
)
def test_a_bad_body_is_a_client_error(wire, sandbox, body):
    assert post(wire, sandbox, body).status in (400, 422)
    assert text_of(wire.execute(sandbox, "print('alive')").items()) == "alive\n"


def test_context_and_language_together_are_refused(wire, sandbox):
    answer = post(wire, sandbox, b'{"code": "1", "context_id": "x", "language": "python"}')
    assert answer.status == 400
    assert b"Only one of context_id or language can be provided" in answer.body


def test_an_unknown_context_is_404(wire, sandbox):
    answer = post(wire, sandbox, b'{"code": "1", "context_id": "nowhere"}')
    assert answer.status == 404
    assert b"Context nowhere not found" in answer.body


def test_code_with_nulls_and_lone_surrogates_is_an_error_of_the_cell(wire, sandbox):
    for code in ("print('a\\u0000b')", "print('\\ud800')"):
        raw = b'{"code": "' + code.encode() + b'"}'
        assert post(wire, sandbox, raw).status in (200, 400, 422)
    assert text_of(wire.execute(sandbox, "print('alive')").items()) == "alive\n"


def test_a_hang_up_interrupts_a_silent_cell(wire, sandbox):
    running = wire.execute(sandbox, "import time\nbegun = 1\ntime.sleep(300)")
    next(iter(running))
    running.close()
    items = wire.execute(sandbox, "print(begun)", timeout=20).items()
    assert text_of(items) == "1\n"
