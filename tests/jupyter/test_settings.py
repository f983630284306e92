"""What an operator can change: base path, keys in paths, pages of other origins, culling."""

from __future__ import annotations

import websocket
from harness.patience import eventually

ORIGIN = {"Origin": "https://lab.example.org"}


def test_a_base_path_is_before_every_route(configured):
    server, jupyter = configured.server, configured.jupyter
    assert server.wire.send("GET", "/api").status == 404
    assert server.wire.send("GET", "/lab/api").status == 200
    specs = jupyter.json("GET", "/api/kernelspecs")
    picture = specs["kernelspecs"]["python3"]["resources"]["logo-svg"]
    assert picture.startswith("/lab/kernelspecs/") and server.wire.send("GET", picture).status == 200


def test_a_key_in_the_path_opens_a_socket(configured):
    server, jupyter = configured.server, configured.jupyter
    kernel = jupyter.start()
    path = f"{server.wire.host}:{server.wire.port}/lab/t/{server.key}{kernel.path}/channels"
    socket = websocket.create_connection(f"ws://{path}", timeout=60)
    socket.close()
    assert server.wire.send("GET", "/lab/t/e2b_wrong/api/kernels").status == 401
    assert kernel.end() == 204


def test_pages_of_named_origins_may_call_and_no_others(configured):
    server = configured.server
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization"}
    allowed = server.wire.send("OPTIONS", "/lab/api/kernels", headers={**ORIGIN, **asked})
    assert allowed.status == 204
    assert allowed.headers["access-control-allow-origin"] == ORIGIN["Origin"]
    assert server.wire.send("GET", "/lab/api", headers=ORIGIN).headers["access-control-allow-origin"]
    other = {"Origin": "https://other.example.org"}
    refused = server.wire.send("OPTIONS", "/lab/api/kernels", headers={**other, **asked})
    assert "access-control-allow-origin" not in refused.headers and refused.status == 405


def test_an_idle_kernel_ends_with_its_sandbox_and_a_used_one_does_not(configured):
    server, jupyter, idle = configured.server, configured.jupyter, configured.idle
    used = jupyter.start()
    with used.connect() as channels:
        channels.run("x = 1")
        eventually(lambda: jupyter.ask("GET", idle.path).status == 404, 60)
        death = server.wire.death_of(idle.sandbox)
        assert death["death"]["reason"] == "timeout"
        assert channels.text("print(x)") == "1\n"
    assert used.end() == 204
