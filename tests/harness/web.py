"""A web server inside a sandbox, started as a user starts one, and the way to it by host name."""

from __future__ import annotations

import http.client
from pathlib import Path

from e2b_code_interpreter import Sandbox

from .patience import eventually
from .wire import Answer, Wire

PROGRAM = Path(__file__).with_name("web_program.py").read_text()
# One server on loopback only, and one on every address.
PORT, OPEN_PORT = 8080, 8081


class Web:
    """A web server in a sandbox, and the way to it by host name, as browsers go."""

    def __init__(self, wire: Wire, sandbox: Sandbox, port: int, headers: dict[str, str]):
        self.wire, self.sandbox, self.port, self.headers = wire, sandbox, port, headers

    @property
    def host(self) -> str:
        return self.sandbox.get_host(self.port)

    def connect(self) -> http.client.HTTPConnection:
        return self.wire.connect(60)

    def send(self, method: str, path: str, body: bytes | None = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self.wire.send(method, path, body, {"Host": self.host, **self.headers, **named})

    def stream(self, path: str) -> tuple[http.client.HTTPConnection, http.client.HTTPResponse]:
        connection = self.connect()
        connection.request("GET", path, headers={"Host": self.host, **self.headers})
        return connection, connection.getresponse()


def serve(wire: Wire, sandbox: Sandbox, port: int = PORT, address: str = "127.0.0.1", **headers: str) -> Web:
    sandbox.files.write("/home/user/program.py", PROGRAM)
    sandbox.commands.run(f"python3 program.py {address} {port}", background=True, timeout=0)
    web = Web(wire, sandbox, port, headers)
    eventually(lambda: web.send("GET", "/").status == 200, 30)
    return web
