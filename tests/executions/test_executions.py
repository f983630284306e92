"""An execution lives on when nobody listens, and can be listened to from any number."""

from __future__ import annotations

import json

import pytest
from e2b_code_interpreter import Sandbox
from harness.executing import numbers, printed
from harness.wire import INTERPRETER_PORT, routing, text_of

STEPS = "import time\nfor i in range(3):\n    print(i, flush=True)\n    time.sleep(0.3)\n'done'"


def test_output_written_while_nobody_listens_is_read_later(interpreter):
    started = interpreter.start(STEPS)
    assert started["state"] in ("queued", "running") and started["origin"] == "executions"
    events = interpreter.events(started["id"])
    assert numbers(events) == list(range(1, len(events) + 1))
    assert (printed(events), events[-1]["type"], events[-1]["end"]) == ("0\n1\n2\n", "end_of_execution", "ok")
    shown = interpreter.shown(started["id"])
    assert (shown["state"], shown["end"]) == ("ended", "ok")
    assert shown["created_at"] <= shown["started_at"] <= shown["ended_at"]
    assert interpreter.events(started["id"]) == events, "as often as wanted"
    later = interpreter.events(started["id"], 3)
    assert later == events[2:]


def test_a_browser_comes_back_where_it_was(interpreter):
    execution = interpreter.start(STEPS)["id"]
    stream = {"Accept": "text/event-stream"}
    reader = interpreter.follow(execution, **stream)
    seen, last = [], ""
    for line in reader.lines():
        if line.startswith("id: "):
            last = line.removeprefix("id: ")
        if line.startswith("data: "):
            seen.append(json.loads(line.removeprefix("data: ")))
            if seen[-1]["type"] == "stdout":
                break
    reader.leave()
    again = interpreter.follow(execution, **stream, **{"Last-Event-ID": last})
    assert again.response.getheader("content-type") == "text/event-stream"
    data = [line.removeprefix("data: ") for line in again.lines() if line.startswith("data: ")]
    events = seen + [json.loads(line) for line in data]
    assert numbers(events) == list(range(1, len(events) + 1))
    assert printed(events) == "0\n1\n2\n"


def test_attached_from_the_start_and_left_alone(interpreter):
    """Hanging up ends an E2B cell, and not this."""
    body = json.dumps({"code": STEPS, "attach": True}).encode()
    connection = interpreter.wire.connect()
    headers = {**routing(interpreter.sandbox, INTERPRETER_PORT), "Content-Type": "application/json"}
    connection.request("POST", "/executions", body, headers)
    answer = connection.getresponse()
    execution = answer.getheader("x-soulbox-execution-id")
    assert json.loads(answer.readline())["seq"] == 1
    answer.close()
    connection.close()
    assert printed(interpreter.events(execution)) == "0\n1\n2\n"


def test_a_stock_client_and_plain_http_share_a_kernel(interpreter):
    """What one sets the other sees, and what either runs is listed."""
    stock = Sandbox.connect(interpreter.sandbox)
    interpreter.run("shared = 41")
    assert stock.run_code("shared + 1").text == "42"
    listed = interpreter.ask("GET", "/executions?limit=2").json()
    assert [one["origin"] for one in listed["executions"]] == ["e2b", "executions"]
    events = interpreter.events(listed["executions"][0]["id"])
    assert [event["text"] for event in events if event["type"] == "result"] == ["42"]


# The kernel of bash speaks ZeroMQ, so whoever may read its connection file can be its client.
JUPYTER = """
import glob, json
from jupyter_client import BlockingKernelClient
files = glob.glob('/run/soulbox/*/connection.json') + glob.glob('/tmp/.soulbox/*/connection.json')
file = next(file for file in files if json.load(open(file))['kernel_name'] == 'bash')
client = BlockingKernelClient(connection_file=file)
client.load_connection_file()
client.start_channels()
client.wait_for_ready(timeout=60)
print(client.execute_interactive(CODE, timeout=60, output_hook=lambda message: None)['content']['status'])
"""


def test_a_cell_of_a_client_inside_the_sandbox_is_an_execution_too(interpreter):
    """One that speaks to the kernel itself, past all of our routes."""
    stock = Sandbox.connect(interpreter.sandbox)
    interpreter.run("notebook=3", language="bash")
    for code, end, status in [("echo jupyter $notebook", "ok", "ok"), ("false", "error", "error")]:
        stock.files.write("/tmp/client.py", JUPYTER.replace("CODE", repr(code)))
        ran = stock.commands.run("python3 /tmp/client.py", user="root", timeout=120)
        assert ran.stdout.strip() == status
        newest = interpreter.ask("GET", "/executions?limit=1").json()["executions"][0]
        assert newest["origin"] == "jupyter"
        events = interpreter.events(newest["id"])
        assert events[-1]["end"] == end
        if end == "ok":
            kinds = [event["type"] for event in events]
            assert kinds == ["number_of_executions", "stdout", "end_of_execution"]
            assert printed(events) == "jupyter 3\n"


def test_pages_go_back_to_the_first(interpreter):
    started = [interpreter.start("1")["id"] for _ in range(3)]
    for execution in started:
        interpreter.state(execution, "ended")
    found, before = [], ""
    while True:
        page = interpreter.ask("GET", f"/executions?limit=2{before}").json()
        found += [one["id"] for one in page["executions"]]
        if "next" not in page:
            break
        before = f"&before={page['next']}"
    assert found[:3] == started[::-1]
    assert len(found) == len(set(found))


def test_a_key_names_one_execution(interpreter):
    code = "runs = globals().get('runs', 0) + 1; runs"
    first = interpreter.start(code, idempotency_key="once")
    again = interpreter.ask("POST", "/executions", {"code": code}, **{"Idempotency-Key": "once"})
    assert (again.status, again.json()["id"]) == (200, first["id"])
    other = interpreter.ask("POST", "/executions", {"code": "2", "idempotency_key": "once"})
    assert other.status == 409 and "idempotency" in other.json()["message"]
    interpreter.state(first["id"], "ended")
    assert [event["text"] for event in interpreter.run("runs") if event["type"] == "result"] == ["1"]


def test_interrupted_and_the_state_stays(interpreter):
    execution = interpreter.start("kept = 7\nprint('in', flush=True)\nimport time; time.sleep(600)")["id"]
    reader = interpreter.follow(execution)
    reader.until("stdout")
    reader.leave()
    assert interpreter.ask("POST", f"/executions/{execution}/interrupt").status == 202
    events = interpreter.events(execution)
    assert (events[-1]["end"], events[-2]["name"]) == ("interrupted", "KeyboardInterrupt")
    assert "kept" not in printed(events)
    assert printed(interpreter.run("print(kept)")) == "7\n"


def test_a_flood_that_nobody_reads_is_interrupted(interpreter):
    execution = interpreter.start("while True: print('x' * 100_000)")["id"]
    reader = interpreter.follow(execution)
    reader.until("stdout")
    # From here on nobody reads, and the kernel goes on.
    interpreter.ask("POST", f"/executions/{execution}/interrupt")
    shown = interpreter.state(execution, "ended")
    reader.leave()
    assert shown["end"] == "interrupted" and "gone" not in shown["output"]
    newest = interpreter.events(execution, shown["output"]["events"])
    assert newest[0]["name"] == "KeyboardInterrupt"


def test_one_that_waits_is_ended_before_its_turn(interpreter):
    first = interpreter.start("import time; time.sleep(600)")["id"]
    interpreter.state(first, "running")
    waiting = interpreter.start("ran = True")["id"]
    assert interpreter.shown(waiting)["state"] == "queued"
    interpreter.ask("POST", f"/executions/{waiting}/interrupt")
    assert interpreter.state(waiting, "ended")["end"] == "interrupted"
    interpreter.ask("POST", f"/executions/{first}/interrupt")
    assert printed(interpreter.run("print('ran' in globals())")) == "False\n"


def test_the_whole_of_a_long_output_is_kept(interpreter):
    """Head and tail at hand, everything in a file of the sandbox, and counts that add up."""
    code = "for i in range(40): print(f'{i:04}' + 'x' * 250_000)"
    execution = interpreter.start(code)["id"]
    shown = interpreter.state(execution, "ended")
    output = shown["output"]
    assert "gone" not in output
    assert (output["file"]["events"], output["file"]["bytes"]) == (output["events"], output["bytes"])
    assert output["tail"]["first"] + output["tail"]["events"] == output["events"] + 1
    assert output["bytes"] > 10_000_000 > 1_000_000 > output["head"]["bytes"] + output["tail"]["bytes"]
    events = interpreter.events(execution)
    assert numbers(events) == list(range(1, output["events"] + 2))
    text = printed(events)
    assert [text[at : at + 4] for at in range(0, len(text), 250_005)] == [f"{i:04}" for i in range(40)]
    middle = output["events"] // 2
    assert interpreter.events(execution, middle) == events[middle - 1 :]
    counted = interpreter.run(f"print(len(open({output['file']['path']!r}).readlines()))")
    assert printed(counted) == f"{output['events']}\n"


def test_a_reader_that_stops_reading_slows_nobody(interpreter):
    """The kernel prints on, and the reader gets everything when it comes back to it."""
    code = "for i in range(300): print('x' * 100_000)"
    running = interpreter.wire.execute(interpreter.sandbox, code)
    execution = running.response.getheader("x-soulbox-execution-id")
    first = next(iter(running))
    assert first["type"] == "number_of_executions"
    interpreter.state(execution, "ended")
    assert len(text_of(running.items())) == 300 * 100_001


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/executions/nowhere", None, 404),
        ("GET", "/executions/nowhere/events", None, 404),
        ("POST", "/executions/nowhere/interrupt", None, 404),
        ("GET", "/executions?limit=0", None, 400),
        ("GET", "/executions?before=nowhere", None, 400),
        ("GET", "/executions?state=odd", None, 400),
        ("POST", "/executions", {}, 400),
        ("POST", "/executions", {"code": "1", "odd": 1}, 400),
        ("POST", "/executions", {"code": "1", "deadline_seconds": 0}, 400),
        ("POST", "/executions", {"code": "1", "idempotency_key": ""}, 400),
        ("POST", "/executions", {"code": "1", "language": "cobol"}, 400),
        ("POST", "/executions", {"code": "1", "context_id": "nowhere"}, 404),
        ("POST", "/executions", {"code": "1", "env_vars": {"A": "\u0000"}}, 400),
    ],
)
def test_what_makes_no_sense_is_refused_by_its_text(interpreter, method, path, body, status):
    answer = interpreter.ask(method, path, body)
    assert answer.status == status
    assert answer.json()["code"] == status and answer.json()["message"]


def test_a_token_that_is_sent_has_to_be_right(interpreter):
    answer = interpreter.ask("GET", "/executions", **{"X-Access-Token": "wrong"})
    assert answer.status == 401
