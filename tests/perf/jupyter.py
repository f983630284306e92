"""Jupyter clients on this server, on `jupyter kernelgateway` and on `jupyter server`, in one run.

All kernels run with the very Python and packages of the image: the other two servers' in a plain
chroot of its layers with no isolation, ours in sandboxes. One client for all, over WebSockets.

    tests/perf/jupyter.py [--isolation gvisor] [--json samples.json] [--quick]

Runs as root, with the Python of the jupyter venv (tests/setup.sh jupyter).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import machine

sys.path.insert(0, str(machine.ROOT / "tests"))

from harness import processes
from harness.jupyter import Channels, Jupyter, Kernel, kinds, printed
from harness.patience import eventually
from harness.server import Server
from harness.wire import Wire

TEMPLATE = "code-interpreter-v1"
OUTPUT_BYTES = 100 << 20
OUTPUT = "import sys\nline = 'x' * 1023 + '\\n'\nfor _ in range(100 * 1024): sys.stdout.write(line)"
DISPLAYS = 10_000
DISPLAY = f"for n in range({DISPLAYS}): display({{'text/plain': str(n)}}, raw=True)"
# The other servers hold about 250: a limit of the ZeroMQ library.
THEIR_SOCKETS = 200
# A slow reader gets no more from a server that drops; what came by then is what there is.
LONG_SECONDS = 300
TOKEN = "perf"


@dataclass
class Counts:
    cold: int
    cells: int
    cells_of_16: int
    sockets: int

    @staticmethod
    def of(quick: bool) -> Counts:
        return Counts(1, 20, 5, 100) if quick else Counts(5, 300, 60, 1000)


@dataclass
class Rival:
    """One server: its REST side, and the processes whose memory is its."""

    name: str
    jupyter: Jupyter
    pids: Callable[[], set[int]]


@contextmanager
def ours(isolation: str) -> Iterator[Rival]:
    server = Server(isolation=isolation, options=("--pool", "base=0", "--pool", f"{TEMPLATE}=1"))
    try:
        server.start()
        eventually(lambda: pool_is_full(server), 120)
        yield Rival("soulbox", Jupyter(server.wire), lambda: of_server(server))
    finally:
        server.destroy()


def pool_is_full(server: Server) -> bool:
    status = server.wire.api("GET", "/soulbox/v1/node").json()
    return all(one["warm"] >= one["warm_wanted"] for one in status["templates"])


def of_server(server: Server) -> set[int]:
    """Gateway and node, and everything in sandboxes."""
    roots = {process.pid for process in [*server.gateways(), *server.nodes()]}
    return roots | {below.pid for pid in roots for below in processes.descendants(pid)}


def below(pid: int) -> set[int]:
    return {pid, *(process.pid for process in processes.descendants(pid))}


@contextmanager
def theirs(name: str, module: str, *options: str) -> Iterator[Rival]:
    """A stock server whose kernels see the image's files. Its sockets' files lie in /dev/shm, which
    is the same place on both sides of the chroot."""
    home = Path(tempfile.mkdtemp(prefix="soulbox-perf-", dir="/dev/shm"))
    spec = home / "data/kernels/python3"
    spec.mkdir(parents=True)
    argv = [sys.executable, str(machine.ROOT / "tests/bare_image.py"), TEMPLATE, "--"]
    argv += ["python3", "-m", "ipykernel_launcher", "-f", "{connection_file}"]
    (spec / "kernel.json").write_text(
        json.dumps({"argv": argv, "display_name": "Python 3", "language": "python"})
    )
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    own = {f"JUPYTER_{part.upper()}_DIR": str(home / part) for part in ("config", "data", "runtime")}
    with (home / "log").open("wb") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *(option.format(port=port, token=TOKEN) for option in options)],
            env={**os.environ, **own, "HOME": str(home)},
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            process_group=0,
        )
    try:
        wire = Wire(f"http://127.0.0.1:{port}", TOKEN)
        headers = {"Authorization": f"token {TOKEN}"}
        eventually(lambda: wire.send("GET", "/api", headers=headers).status == 200, 60)
        yield Rival(name, Jupyter(wire), lambda: below(process.pid))
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(30)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        shutil.rmtree(home, ignore_errors=True)


KERNELGATEWAY = (
    *("--KernelGatewayApp.port={port}", "--KernelGatewayApp.auth_token={token}"),
    *("--KernelGatewayApp.ip=127.0.0.1", "--JupyterWebsocketPersonality.list_kernels=True"),
)
JUPYTER_SERVER = (
    *("--ServerApp.port={port}", "--IdentityProvider.token={token}", "--ServerApp.ip=127.0.0.1"),
    *("--allow-root", "--no-browser", "--ZMQChannelsWebsocketConnection.limit_rate=False"),
)


def timed(what: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


@contextmanager
def kernel_of(rival: Rival) -> Iterator[Kernel]:
    kernel = rival.jupyter.start(name="python3")
    try:
        yield kernel
    finally:
        kernel.end()


def first_cell(rival: Rival) -> float:
    """From the request for a kernel to the result of its first cell."""
    made: list[Kernel] = []

    def start_and_run() -> None:
        made.append(rival.jupyter.start(name="python3"))
        with made[0].connect() as channels:
            assert "execute_result" in kinds(channels.run("1 + 1"))

    seconds = timed(start_and_run)
    made[0].end()
    return seconds


def cells(kernel: Kernel, count: int) -> list[float]:
    with kernel.connect() as channels:
        channels.run("1 + 1")
        return [timed(lambda: channels.run("1 + 1")) for _ in range(count)]


def cells_of_16(rival: Rival, count: int) -> list[float]:
    """Sixteen kernels at once, each with a client of its own."""
    samples: list[float] = []
    with ExitStack() as stack:
        kernels = [stack.enter_context(kernel_of(rival)) for _ in range(16)]
        threads = [
            threading.Thread(target=lambda kernel=kernel: samples.extend(cells(kernel, count)))
            for kernel in kernels
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert len(samples) == 16 * count, "a client failed"
    return samples


def output(kernel: Kernel) -> tuple[float, float]:
    """Seconds for 100 MB of stdout, and the part of it that arrived."""
    with kernel.connect() as channels:
        got: list[Any] = []
        seconds = timed(lambda: got.extend(channels.finish(channels.execute(OUTPUT), LONG_SECONDS)))
        return seconds, len(printed(got)) / OUTPUT_BYTES


def displays(kernel: Kernel) -> tuple[float, float]:
    with kernel.connect() as channels:
        got: list[Any] = []
        seconds = timed(lambda: got.extend(channels.finish(channels.execute(DISPLAY), LONG_SECONDS)))
        return seconds, kinds(got).count("display_data") / DISPLAYS


def memory(pids: set[int]) -> int:
    return sum(processes.resident_bytes(pid) for pid in pids)


def sockets(rival: Rival, kernel: Kernel, count: int) -> tuple[float, int]:
    """Memory of each idle socket in KB, on all hops together, and how many of them answer."""
    with kernel.connect() as channels:
        channels.run("1")
    before = memory(rival.pids())
    opened: list[Channels] = []
    try:
        for _ in range(count):
            opened.append(kernel.connect())
        each = (memory(rival.pids()) - before) / count / 1024
        parent = opened[0].execute("print('all')")

        def ended(message: dict[str, Any]) -> bool:
            is_idle = message["content"].get("execution_state") == "idle"
            return is_idle and message["parent_header"].get("msg_id") == parent

        for one in opened:
            one.until(ended, LONG_SECONDS)
        for one in opened[:: max(1, count // 20)]:
            one.finish(one.send("kernel_info_request", {}))
        return each, len(opened)
    finally:
        for one in opened:
            one.close()


def measure(rival: Rival, counts: Counts, wanted_sockets: int) -> dict[str, Any]:
    found: dict[str, Any] = {"start": [first_cell(rival) for _ in range(counts.cold)]}
    with kernel_of(rival) as kernel:
        found["cell"] = cells(kernel, counts.cells)
        found["output"], found["output_part"] = output(kernel)
        found["displays"], found["displays_part"] = displays(kernel)
        found["socket_kb"], found["sockets"] = sockets(rival, kernel, wanted_sockets)
    found["cell_of_16"] = cells_of_16(rival, counts.cells_of_16)
    return found


def shown(found: dict[str, Any]) -> dict[str, float]:
    def p99(samples: list[float]) -> float:
        return sorted(samples)[min(len(samples) - 1, int(len(samples) * 0.99))]

    return {
        "start to first result, ms": statistics.median(found["start"]) * 1000,
        "cell p50, ms": statistics.median(found["cell"]) * 1000,
        "cell p99, ms": p99(found["cell"]) * 1000,
        "cell p50 of 16 kernels, ms": statistics.median(found["cell_of_16"]) * 1000,
        "cell p99 of 16 kernels, ms": p99(found["cell_of_16"]) * 1000,
        "100 MB of stdout, s": found["output"],
        "  of which arrived, %": found["output_part"] * 100,
        "10,000 displays, s": found["displays"],
        "  of these arrived, %": found["displays_part"] * 100,
        "memory per idle socket, KB": found["socket_kb"],
        "  sockets that answered": found["sockets"],
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isolation", default=os.environ.get("SOULBOX_ISOLATION", "gvisor"))
    parser.add_argument("--json", type=Path, help="where to keep the raw samples")
    parser.add_argument("--quick", action="store_true", help="few samples: shows that it works")
    parser.add_argument("--servers", default="soulbox,kernelgateway,server", help="which of them, in order")
    wanted = parser.parse_args()
    counts = Counts.of(wanted.quick)
    their_sockets = min(THEIR_SOCKETS, counts.sockets)
    samples: dict[str, Any] = {}
    servers = {
        "soulbox": (lambda: ours(wanted.isolation), counts.sockets),
        "kernelgateway": (lambda: theirs("kernelgateway", "kernel_gateway", *KERNELGATEWAY), their_sockets),
        "server": (lambda: theirs("server", "jupyter_server", *JUPYTER_SERVER), their_sockets),
    }
    for name in wanted.servers.split(","):
        print(f"measuring {name}", file=sys.stderr, flush=True)
        start, most = servers[name]
        with start() as rival:
            samples[name] = measure(rival, counts, most)
    rows = {name: shown(found) for name, found in samples.items()}
    first = rows.get("soulbox")
    print(f"{wanted.isolation:<28}" + "".join(f" {name:>14} {'ratio':>7}" for name in rows))
    for row in next(iter(rows.values())):
        line = f"{row:<28}"
        for values in rows.values():
            ratio = first[row] / values[row] if first and values[row] else 0
            line += f" {values[row]:>14.1f} {ratio:>7.2f}"
        print(line)
    record = {"machine": machine.described(), "isolation": wanted.isolation, "samples": samples}
    print(json.dumps(record))
    if wanted.json:
        wanted.json.write_text(json.dumps(record))


if __name__ == "__main__":
    main()
