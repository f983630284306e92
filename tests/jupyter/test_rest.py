"""The REST routes as Jupyter clients use them: kernelspecs, kernels, sessions, errors."""

from __future__ import annotations

import re
import uuid

import pytest
from harness.patience import eventually

TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}Z")


def test_the_liveness_probe_needs_no_key_and_everything_else_does(jupyter):
    probe = jupyter.wire.send("GET", "/api")
    assert probe.status == 200 and "version" in probe.json()
    for method, path in [("GET", "/api/kernels"), ("POST", "/api/kernels"), ("GET", "/api/sessions")]:
        refused = jupyter.wire.send(method, path)
        assert refused.status == 401, path
        assert refused.headers["www-authenticate"] == "Bearer"
        assert set(refused.json()) >= {"message", "reason"}


def test_a_key_is_taken_in_all_the_places_where_clients_put_it(jupyter):
    key = jupyter.wire.key
    for headers in [
        {"Authorization": f"token {key}"},
        {"Authorization": f"Bearer {key}"},
        {"X-API-Key": key},
    ]:
        assert jupyter.wire.send("GET", "/api/status", headers=headers).status == 200
    assert jupyter.wire.send("GET", f"/api/status?token={key}&1712345678").status == 200
    for headers in [{"Authorization": "token "}, {"Authorization": "token None"}, {"Cookie": f"token={key}"}]:
        assert jupyter.wire.send("GET", "/api/status", headers=headers).status == 401
    closed = jupyter.wire.send("GET", f"/t/{key}/api/status")
    assert closed.status == 404, "keys in paths are taken only when the operator says so"


def test_kernelspecs_have_what_clients_look_for(jupyter):
    listed = jupyter.json("GET", "/api/kernelspecs?1712345678")
    assert listed["default"] == "python3"
    model = listed["kernelspecs"]["python3"]
    assert set(model) == {"name", "spec", "resources"} and model["name"] == "python3"
    assert model["spec"]["language"] == "python" and model["spec"]["display_name"]
    assert model["spec"]["metadata"]["debugger"] is False
    for resource, kind in [("logo-svg", "image/svg+xml"), ("logo-64x64", "image/png")]:
        path = model["resources"][resource]
        assert path.startswith("/kernelspecs/")
        answer = jupyter.wire.send("GET", path)
        assert (answer.status, answer.headers["content-type"]) == (200, kind)
        assert jupyter.wire.send("HEAD", path).status == 200
    assert jupyter.json("GET", "/api/kernelspecs/python3/") == model
    assert jupyter.json("GET", "/api/kernelspecs/python")["name"] == "python"
    assert "cobol" in jupyter.json("GET", "/api/kernelspecs/cobol", status=404)["message"]


def test_a_kernel_from_its_start_to_its_end(jupyter, wire):
    answer = jupyter.ask("POST", "/api/kernels", b"")
    assert answer.status == 201
    model = answer.json()
    assert answer.headers["location"] == f"/api/kernels/{model['id']}"
    assert model["name"] == "python3" and model["connections"] == 0
    assert str(uuid.UUID(model["id"])) == model["id"] and TIME.fullmatch(model["last_activity"])
    path = f"/api/kernels/{model['id']}"
    assert eventually(lambda: jupyter.json("GET", path + "/")["execution_state"] == "idle")
    assert model["id"] in jupyter.kernel_ids()
    assert jupyter.json("GET", "/api/status")["kernels"] >= 1
    assert jupyter.ask("POST", f"{path}/interrupt", {}).status == 204
    restarted = jupyter.json("POST", f"{path}/restart", {})
    assert (restarted["id"], restarted["execution_state"]) == (model["id"], "idle")
    gone = jupyter.ask("DELETE", path)
    assert (gone.status, gone.body) == (204, b"")
    assert jupyter.ask("DELETE", path).status == 404
    assert model["id"] not in jupyter.kernel_ids()
    for method, part in [("GET", ""), ("POST", "/interrupt"), ("POST", "/restart"), ("GET", "/channels")]:
        refused = jupyter.ask(method, path + part)
        assert refused.status == 404 and model["id"] in refused.json()["message"]
    assert wire.death_of(model["sandbox"])["state"] == "dead", "the sandbox was made for this kernel"


def test_a_kernel_takes_an_id_variables_and_a_directory(start):
    own = str(uuid.uuid4())
    awkward = 'it\'s "quoted"\n$HOME `x` \\'
    env = {"KERNEL_ID": own, "KERNEL_WORKING_DIR": "/tmp", "KERNEL_EXTRA_TEXT": awkward}
    kernel = start(name="python", env=env)
    assert kernel.id == own
    with kernel.connect() as channels:
        assert channels.text("import os; print(os.environ['KERNEL_EXTRA_TEXT'], end='')") == awkward
        assert channels.text("os.getcwd()") == "'/tmp'"
    taken = kernel.jupyter.ask("POST", "/api/kernels", {"kernel_id": own})
    assert taken.status == 409


def test_a_second_kernel_in_a_live_sandbox(jupyter, wire, start):
    made = wire.create(timeout=600)
    sandbox = made["sandboxID"]
    kernel = start(sandbox=sandbox, env={"KERNEL_EXTRA_A": "1"})
    other = jupyter.ask("POST", "/api/kernels", {}, X_SoulBox_Sandbox=sandbox).json()
    assert kernel.sandbox == other["sandbox"] == sandbox and other["id"] != kernel.id
    with kernel.connect() as channels:
        assert channels.text("import os; print(os.environ['KERNEL_EXTRA_A'])") == "1\n"
    assert kernel.end() == 204
    assert jupyter.ask("DELETE", f"/api/kernels/{other['id']}").status == 204
    assert wire.api("GET", f"/sandboxes/{sandbox}").status == 200, "its owner did not end it"
    assert wire.kill(sandbox) == 204
    assert jupyter.ask("POST", "/api/kernels", {"sandbox": sandbox}).status == 404


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"{", 400),
        ({"env": ["a"]}, 400),
        ({"env": {"a": 1}}, 400),
        ({"kernel_id": "mine"}, 400),
        ({"name": "cobol"}, 404),
    ],
)
def test_what_can_not_be_made_is_refused_with_a_sentence(jupyter, body, status):
    answer = jupyter.ask("POST", "/api/kernels", body)
    assert answer.status == status
    said = answer.json()
    assert said["message"] and said["reason"] and "traceback" not in said


def test_unknown_routes_are_json_too(jupyter):
    for method, path in [
        ("GET", "/api/contents"),
        ("GET", "/api/kernels/not-an-id"),
        ("PUT", "/api/kernels"),
    ]:
        answer = jupyter.ask(method, path)
        assert answer.status in (404, 405) and answer.json()["message"]


def test_a_session_from_its_start_to_its_end(jupyter):
    body = {"path": "a/b.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}}
    made = jupyter.ask("POST", "/api/sessions", body)
    session = made.json()
    path = f"/api/sessions/{session['id']}"
    assert made.status == 201 and made.headers["location"] == path
    assert session["notebook"] == {"path": "a/b.ipynb", "name": ""}
    assert jupyter.json("POST", "/api/sessions", body, 201)["id"] == session["id"], "one per path"
    assert [one["id"] for one in jupyter.json("GET", "/api/sessions")] == [session["id"]]
    renamed = jupyter.json("PATCH", path, {"path": "c.ipynb"})
    assert (renamed["path"], renamed["kernel"]["id"]) == ("c.ipynb", session["kernel"]["id"])
    changed = jupyter.json("PATCH", path, {"kernel": {"name": "python3"}})
    assert changed["kernel"]["id"] != session["kernel"]["id"]
    assert session["kernel"]["id"] not in jupyter.kernel_ids(), "the old kernel is ended"
    refused = jupyter.ask("PATCH", path, {"kernel": {"id": session["kernel"]["id"]}})
    assert refused.status == 400
    assert jupyter.ask("DELETE", path).status == 204
    assert jupyter.ask("DELETE", path).status == 404
    assert jupyter.json("GET", "/api/sessions") == []
    assert changed["kernel"]["id"] not in jupyter.kernel_ids()


def test_a_session_vanishes_with_its_kernel(jupyter, start):
    kernel = start()
    body = {"notebook": {"path": "old.ipynb"}, "kernel": {"id": kernel.id}}
    session = jupyter.json("POST", "/api/sessions", body, 201)
    assert session["kernel"]["id"] == kernel.id
    kernel.end()
    assert jupyter.json("GET", "/api/sessions") == []
    assert jupyter.ask("GET", f"/api/sessions/{session['id']}").status == 404


def test_sessions_say_what_is_missing(jupyter):
    for body, status in [
        ({"type": "notebook"}, 400),
        ({"path": "x.ipynb"}, 400),
        ({"path": "x.ipynb", "type": "notebook", "kernel": {"name": "cobol"}}, 501),
    ]:
        answer = jupyter.ask("POST", "/api/sessions", body)
        assert answer.status == status and answer.json()["message"]


def test_kernels_of_e2b_clients_are_listed_and_stay_their_owners(jupyter, wire):
    sandbox = wire.create(timeout=600)["sandboxID"]
    listed = [model for model in jupyter.json("GET", "/api/kernels") if model["sandbox"] == sandbox]
    assert [model["name"] for model in listed] == ["python3"], "the warm kernel, and no other"
    before = wire.api("GET", f"/sandboxes/{sandbox}").json()["endAt"]
    assert jupyter.ask("DELETE", f"/api/kernels/{listed[0]['id']}").status == 204
    assert wire.api("GET", f"/sandboxes/{sandbox}").json()["endAt"] == before
    wire.kill(sandbox)
