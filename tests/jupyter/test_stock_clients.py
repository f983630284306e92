"""Clients that other people wrote, as they are, on kernels of this server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import websocket
from e2b_code_interpreter import Sandbox
from harness.jupyter import Jupyter, Kernel, kinds, printed, result
from harness.jupyter_server import JupyterServer
from harness.patience import eventually
from jupyter_kernel_client import JupyterKernelClient

PROGRAM = Path(__file__).with_name("run_notebooks.py")
PROGRAM_SECONDS = 240
# Two of these are more than the server's client takes in one message.
LINES = "for _ in range(12_000): print('x' * 1023)"
# A message with binary data, as widgets send it.
BINARY = """\
from comm import create_comm
create_comm(target_name='story', data={'a': 1}, buffers=[b'\\xff\\xfe'])
print('alive')"""


def test_jupyter_server_in_gateway_mode(server, jupyter):
    with JupyterServer(server) as proxy:
        through = Jupyter(proxy.wire)
        specs = through.json("GET", "/api/kernelspecs")
        assert specs["default"] == "python3"
        picture = specs["kernelspecs"]["python3"]["resources"]["logo-64x64"]
        assert through.ask("GET", picture).body.startswith(b"\x89PNG")
        body = {"path": "a.ipynb", "type": "notebook", "name": "", "kernel": {"name": "python3"}}
        session = through.json("POST", "/api/sessions", body, 201)
        kernel = Kernel(through, session["kernel"]["id"], session["kernel"])
        assert kernel.id in jupyter.kernel_ids(), "the kernel is the gateway's"
        with kernel.connect(v1=False) as channels:
            messages = channels.run("print('out'); 6 * 7")
            assert printed(messages) == "out\n" and result(messages) == "42"
            assert len(printed(channels.run(LINES))) == 12_000 * 1024, "whole, in spite of its size"
            messages = channels.run(BINARY)
            assert printed(messages) == "alive\n" and "Binary data" in printed(messages, "stderr")
            kernel.restart()
            assert "error" in kinds(channels.run("x")), "the socket outlives a restart"
        assert through.ask("DELETE", f"/api/sessions/{session['id']}").status == 204
        assert kernel.id not in jupyter.kernel_ids()


def test_jupyter_kernel_client(server, jupyter):
    with JupyterKernelClient(server_url=server.url, token=server.key) as client:
        reply = client.execute("print('out'); 6 * 7")
        assert reply["status"] == "ok"
        texts = [one.get("text") or one["data"]["text/plain"] for one in reply["outputs"]]
        assert texts == ["out\n", "42"]
        client.execute("x = [1, 2]")
        assert ("x", "list") in [(one["name"], one["type"][1]) for one in client.list_variables()]


def test_nbclient_and_papermill(configured, tmp_path):
    """Their client opens its WebSocket without any header, so the key is in the path."""
    server = configured.server
    environment = {
        **os.environ,
        "JUPYTER_GATEWAY_URL": f"{server.url}/lab",
        "JUPYTER_GATEWAY_WS_URL": f"{server.url.replace('http', 'ws')}/lab/t/{server.key}",
        "JUPYTER_GATEWAY_AUTH_TOKEN": server.key,
        "HOME": str(tmp_path),
    }
    done = subprocess.run(
        [sys.executable, PROGRAM, tmp_path],
        env=environment,
        capture_output=True,
        text=True,
        timeout=PROGRAM_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    given = json.loads(done.stdout)
    assert given == {"nbclient": ["42\n", "ZeroDivisionError"], "papermill": ["42\n"]}


def test_e2b_and_jupyter_on_one_kernel(jupyter, server):
    """Variables and pictures go both ways; a cell of either is seen by the other."""
    sandbox = Sandbox.create(timeout=600)
    try:
        sandbox.run_code("x = 41")
        listed = jupyter.json("GET", "/api/kernels")
        model = next(model for model in listed if model["sandbox"] == sandbox.sandbox_id)
        kernel = Kernel(jupyter, model["id"], model)
        with kernel.connect() as channels:
            assert channels.text("x += 1; print(x)") == "42\n"
            drawn = sandbox.run_code(
                "from matplotlib import pyplot\npyplot.plot([x, 2])\npyplot.show()\nprint(x)"
            )
            assert drawn.results[0].png and drawn.logs.stdout == ["42\n"]
            seen = channels.until(lambda m: "image/png" in m["content"].get("data", {}))
            assert seen[-1]["content"]["data"]["image/png"].strip() == drawn.results[0].png.strip()
            channels.until(lambda m: m["content"].get("execution_state") == "idle")
            messages = channels.run("pyplot.bar(['a'], [x])\npyplot.show()")
            assert any("image/png" in m["content"].get("data", {}) for m in messages)
            assert sandbox.run_code("x").text == "42"
    finally:
        sandbox.kill()


@pytest.mark.parametrize("own_server", [("--pool", "base=0")], indirect=True)
def test_kill_9_of_the_gateway_and_a_client_that_comes_back(own_server):
    jupyter = Jupyter(own_server.wire)
    kernel = jupyter.start(env={"KERNEL_EXTRA_A": "1"})
    body = {"path": "a.ipynb", "type": "notebook", "kernel": {"id": kernel.id}}
    session = jupyter.json("POST", "/api/sessions", body, 201)
    channels = kernel.connect("tab")
    parent = channels.execute(
        "import pathlib, time\nprint('begun', flush=True)\n"
        "while not pathlib.Path('go').exists(): time.sleep(0.05)\nprint('ended')"
    )
    channels.until(lambda m: m["header"]["msg_type"] == "stream")
    own_server.kill_gateway()
    with pytest.raises((ConnectionError, websocket.WebSocketException)):
        channels.receive()
    channels.close()
    own_server.start()
    eventually(lambda: kernel.id in jupyter.kernel_ids())
    assert [one["id"] for one in jupyter.json("GET", "/api/sessions")] == [session["id"]]
    sandbox = Sandbox.connect(
        kernel.sandbox, api_url=own_server.url, sandbox_url=own_server.url, api_key=own_server.key
    )
    sandbox.files.write("/home/user/go", "")
    eventually(lambda: kernel.now()["execution_state"] == "idle")
    with kernel.connect("tab") as channels:
        messages = channels.finish(parent)
        assert printed(messages).endswith("ended\n") and "execute_reply" in kinds(messages)
    assert kernel.end() == 204
    assert own_server.wire.death_of(kernel.sandbox)["state"] == "dead", "still known as Jupyter's own"
