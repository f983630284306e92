"""A real server with a data directory of its own, from its start to the proof that it left nothing.

The server gets a port that no outgoing connection of this machine is ever given, so that it can
have the same one again after it was killed. It says on its standard output where it listens.
Its log goes to a file beside the data directory, which pytest prints when a test fails.
"""

from __future__ import annotations

import os
import random
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import leftovers, processes
from .wire import Wire

ROOT = Path(__file__).resolve().parents[2]
BINARY = Path(os.environ.get("SOULBOX_BIN", ROOT / "target/x86_64-unknown-linux-gnu/release/soulbox"))
IMAGES = Path(os.environ.get("SOULBOX_IMAGES", "/var/lib/soulbox/images"))
ISOLATION = os.environ.get("SOULBOX_ISOLATION", "gvisor")

# A first start probes the tiers, which has its own deadlines on a busy two-core machine.
READY_SECONDS = 90
# A graceful stop waits for running requests and then kills every sandbox.
STOP_SECONDS = 60
# After a stop the kernel needs a moment to give back mounts and cgroups.
CLEAN_SECONDS = 15

# Below the ports that systems give to outgoing connections.
PORTS = range(15_000, 30_000)

READY_LINE = re.compile(r"soulbox is ready on (http://127\.0\.0\.1:\d+)")
KEY_LINE = re.compile(r"API key: (e2b_[0-9a-f]{40})")


def free_port() -> int:
    """A port on which nobody listens."""
    for port in random.sample(PORTS, 100):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port
    raise RuntimeError("no free port was found")


class Server:
    """`soulbox serve` and the node that it starts."""

    def __init__(self, isolation: str = ISOLATION, options: tuple[str, ...] = ()):
        self.isolation = isolation
        self.options = options
        self.home = Path(tempfile.mkdtemp(prefix="soulbox-test-"))
        # The gateway gives up root, so its user must be able to walk to its directory.
        self.home.chmod(0o755)
        self.data = self.home / "data"
        self.output = self.home / "serve.out"
        self.log = self.home / "serve.log"
        self.url = ""
        self.key = ""
        self._process: subprocess.Popen[bytes] | None = None

    # Life

    def start(self) -> Server:
        """Starts the server, on the port that it had before when it is started again."""
        if not BINARY.exists():
            raise FileNotFoundError(f"{BINARY} is missing: run `make build`, or set SOULBOX_BIN")
        listen = self.url.removeprefix("http://") or f"127.0.0.1:{free_port()}"
        command = [str(BINARY), "serve", "--data-dir", str(self.data), "--images-dir", str(IMAGES)]
        command += ["--listen", listen, "--isolation", self.isolation, *self.options]
        with self.output.open("wb") as out, self.log.open("ab") as log:
            # A group of its own, so that a Ctrl-C in the terminal reaches the tests only.
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=out, stderr=log, process_group=0
            )
        self._await_ready()
        return self

    def _await_ready(self) -> None:
        assert self._process
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline:
            text = self.output.read_text(errors="replace")
            if key := KEY_LINE.search(text):
                self.key = key.group(1)
            if ready := READY_LINE.search(text):
                self.url = ready.group(1)
                if not self.key:
                    self.key = self.new_key("tests")
                return
            if (code := self._process.poll()) is not None:
                raise RuntimeError(f"soulbox serve ended with {code}:\n{self.tail()}")
            time.sleep(0.05)
        raise TimeoutError(f"soulbox serve was not ready in {READY_SECONDS} s:\n{self.tail()}")

    def stop(self) -> None:
        """Stops gracefully. Whatever had to be killed, or is left, is an error."""
        cells, groups = leftovers.cells(self.data), leftovers.groups(self.data)
        stuck = []
        if self._process and self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                stuck.append("soulbox serve did not end on SIGTERM")
        left = self._settle(cells, groups)
        self.destroy()
        assert not stuck and not left, f"left behind: {stuck} {left}"

    def _settle(self, cells: list[str], groups: list[str]) -> leftovers.Leftovers:
        deadline = time.monotonic() + CLEAN_SECONDS
        while left := leftovers.of_server(self.data, cells, groups):
            if time.monotonic() > deadline:
                break
            time.sleep(0.25)
        return left

    def destroy(self) -> None:
        """Removes what is there, however the server ended. Never raises for what is gone."""
        for process in self.processes():
            processes.end(process, signal.SIGKILL, 5)
        if self._process:
            self._process.wait(5)
            self._process = None
        for point in sorted(leftovers.mounts(self.home), reverse=True):
            subprocess.run(["umount", "--lazy", point], check=False)
        for loop in leftovers.loops(self.home):
            subprocess.run(["losetup", "--detach", loop.split()[0]], check=False)
        shutil.rmtree(self.home, ignore_errors=True)

    # Its parts

    def processes(self) -> list[processes.Seen]:
        return processes.of_directory(self.data)

    def gateways(self) -> list[processes.Seen]:
        """Launcher and worker of the gateway, in the order of their start."""
        own = {self._process.pid} if self._process else set()
        below = {p.pid for pid in own for p in processes.descendants(pid)}
        nodes = {p.pid for p in self.nodes()}
        under_node = {d.pid for pid in nodes for d in processes.descendants(pid)}
        numbers = sorted((own | below) - nodes - under_node)
        return [process for pid in numbers if (process := processes.seen(pid))]

    def nodes(self) -> list[processes.Seen]:
        """The node. Its helpers have its arguments, but only it leads a process group."""
        named = [process for process in self.processes() if process.does("node")]
        return [process for process in named if processes.leads_group(process.pid)]

    def kill_gateway(self) -> None:
        """SIGKILL to launcher and worker. The node and its sandboxes are not touched."""
        for process in self.gateways():
            assert processes.end(process, signal.SIGKILL, 10), f"{process} survived SIGKILL"
        if self._process:
            self._process.wait(10)

    def kill_worker(self) -> None:
        """SIGKILL to the unprivileged worker alone. Its launcher stays."""
        workers = [p for p in self.gateways() if self._process and p.pid != self._process.pid]
        assert workers, "no worker process was found"
        for process in workers:
            assert processes.end(process, signal.SIGKILL, 10), f"{process} survived SIGKILL"

    def kill_node(self) -> None:
        """SIGKILL to the privileged daemon alone, as the kernel's OOM killer would do it."""
        found = self.nodes()
        assert found, "no node process was found"
        for process in found:
            assert processes.end(process, signal.SIGKILL, 10), f"{process} survived SIGKILL"

    # What one asks it

    def new_key(self, name: str) -> str:
        """A key from the command line, as an operator makes one."""
        done = self._soulbox("key", "create", "--name", name)
        found = re.search(r"e2b_[0-9a-f]{40}", done.stdout)
        if done.returncode or not found:
            raise RuntimeError(f"no key was made: {done.stdout} {done.stderr}")
        return found.group(0)

    def revoke_key(self, name: str, key: str) -> int:
        """Revokes a key by the number that `soulbox key list` shows beside its name."""
        listed = self._soulbox("key", "list")
        row = next(line for line in listed.stdout.splitlines() if name in line.split())
        assert key not in listed.stdout, "a key is never shown again"
        return self._soulbox("key", "revoke", row.split()[0]).returncode

    def _soulbox(self, *words: str) -> subprocess.CompletedProcess[str]:
        command = [str(BINARY), *words[:2], "--data-dir", str(self.data), *words[2:]]
        return subprocess.run(command, capture_output=True, text=True, timeout=30)

    @property
    def wire(self) -> Wire:
        return Wire(self.url, self.key)

    def sandbox_ids(self) -> list[str]:
        """The ids of all live sandboxes, or none when the server does not answer any more."""
        try:
            return [item["sandboxID"] for item in self.wire.api("GET", "/v2/sandboxes").json()]
        except OSError:
            return []

    def settings(self) -> dict[str, str]:
        """The environment that points a stock client at this server."""
        return {
            "E2B_API_KEY": self.key,
            "E2B_API_URL": self.url,
            "E2B_SANDBOX_URL": self.url,
            "NO_PROXY": "127.0.0.1,localhost",
        }

    def tail(self, lines: int = 40) -> str:
        text = self.output.read_text(errors="replace") if self.output.exists() else ""
        for log in (self.log, self.data / "node.log"):
            text += log.read_text(errors="replace") if log.exists() else ""
        return "\n".join(text.splitlines()[-lines:])
