"""`soulbox logs`, and the control plane's logs that it shows (contract 3.8)."""

from __future__ import annotations

import json
import subprocess

from harness.commandline import PATIENCE_SECONDS, environment
from harness.server import BINARY
from harness.wire import ENVD_PORT


def test_the_life_of_a_sandbox_is_told_until_its_end(soulbox, server, wire):
    made = wire.create("base", timeout=120)
    sandbox = made["sandboxID"]
    following = subprocess.Popen(
        [str(BINARY), "logs", "-f", sandbox], stdout=subprocess.PIPE, env=environment(server)
    )
    try:
        assert following.stdout and b"handed over" in following.stdout.readline()
        assert soulbox("exec", sandbox, "--", "sh", "-c", "echo a-secret-word").returncode == 0
        assert b"envd: a process was started status=200" in following.stdout.readline()
        assert wire.api("POST", f"/sandboxes/{sandbox}/refreshes", {"duration": 600}).status == 204
        assert b"the end was moved" in following.stdout.readline()
        assert wire.kill(sandbox) == 204
        assert b"the sandbox ended reason=killed" in following.stdout.read()
        assert following.wait(PATIENCE_SECONDS) == 0
    finally:
        following.kill()
    told = soulbox("logs", sandbox)
    lines = told.stdout.decode().splitlines()
    assert told.returncode == 0 and len(lines) == 4
    assert "secret" not in told.stdout.decode()
    assert soulbox("logs", "--level", "error", sandbox).stdout == b""
    unknown = soulbox("logs", "iaaaaaaaaaaaaaaaaaaaa")
    assert unknown.returncode == 1 and b"doesn't exist" in unknown.stderr


def test_logs_have_the_shapes_that_clients_read(wire, sandbox):
    missing = wire.data(sandbox, ENVD_PORT, "GET", "/files?path=/no/such", **token(wire, sandbox))
    assert missing.status == 404
    path = f"/sandboxes/{sandbox}/logs"
    old = wire.api("GET", path).json()
    assert set(old) == {"logs", "logEntries"} and len(old["logs"]) == len(old["logEntries"])
    assert set(old["logs"][0]) == {"timestamp", "line"}
    assert json.loads(old["logs"][0]["line"]).items() >= {"level": "info", "logger": "sandbox"}.items()
    assert set(old["logEntries"][0]) == {"timestamp", "message", "level", "fields"}
    new = wire.api("GET", f"/v2{path}?direction=backward&level=warn&search=file+was+read").json()["logs"]
    assert [entry["fields"]["status"] for entry in new] == ["404"]
    assert len(wire.api("GET", f"{path}?limit=1").json()["logs"]) == 1
    assert wire.api("GET", f"{path}?start=99999999999999").json() == {"logs": [], "logEntries": []}
    for query in ("limit=0", "direction=up", "level=loud", "cursor=x"):
        assert wire.api("GET", f"/v2{path}?{query}").status == 400, query
    assert wire.api("GET", "/sandboxes/nonexistingsandbox/logs").status == 404


def token(wire, sandbox: str) -> dict[str, str]:
    detail = wire.api("GET", f"/sandboxes/{sandbox}").json()
    return {"X-Access-Token": detail["envdAccessToken"]}
