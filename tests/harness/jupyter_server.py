"""A stock `jupyter server` (or JupyterLab) of this machine in gateway mode, as a person starts it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

from .patience import eventually
from .server import Server
from .wire import Wire

# Imports of a hundred modules on a busy machine.
START_SECONDS = 90
STOP_SECONDS = 20
TOKEN = "story"


class JupyterServer:
    """Runs until it is stopped. `wire` speaks with it as a browser would."""

    def __init__(self, server: Server, application: str = "jupyter_server", options: tuple[str, ...] = ()):
        self._home = tempfile.TemporaryDirectory(prefix="soulbox-jupyter-")
        home = Path(self._home.name)
        self.notebooks = home / "notebooks"
        self.notebooks.mkdir()
        self.log = home / "log"
        own = {f"JUPYTER_{name}_DIR": str(home / name.lower()) for name in ("CONFIG", "DATA", "RUNTIME")}
        command = [sys.executable, "-m", application, "--no-browser", "--allow-root"]
        command += [f"--gateway-url={server.url}", f"--IdentityProvider.token={TOKEN}"]
        command += [f"--ServerApp.root_dir={self.notebooks}", "--ServerApp.ip=127.0.0.1", *options]
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                command,
                env={**os.environ, **own, "HOME": str(home), "JUPYTER_GATEWAY_AUTH_TOKEN": server.key},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                process_group=0,
            )
        try:
            self.port = eventually(lambda: self._port(home / "runtime"), START_SECONDS)
            self.wire = Wire(f"http://127.0.0.1:{self.port}", TOKEN)
            eventually(lambda: self.wire.send("GET", "/api").status == 200, START_SECONDS)
        except BaseException:
            self.stop()
            raise

    def _port(self, runtime: Path) -> int | None:
        assert self._process.poll() is None, self.log.read_text(errors="replace")[-3000:]
        for file in runtime.glob("jpserver-*.json"):
            try:
                return json.loads(file.read_text())["port"]
            except ValueError:
                return None  # Half written.
        return None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def stop(self) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait(STOP_SECONDS)
        self._home.cleanup()

    def __enter__(self) -> JupyterServer:
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()
