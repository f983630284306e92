"""What commands, files, watching and ports cost: each beside the same thing without a sandbox.

    tests/perf/services.py [--isolation gvisor] [--json samples.json] [--quick]

A command, 1 GB up and down, 10,000 files listed, the delay of a watch event, and TCP through a
forwarded port. Both sides run in the same process and the same run, so that the ratio is worth
more than either number.
"""

from __future__ import annotations

import argparse
import os
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import machine

sys.path.insert(0, str(machine.ROOT / "tests"))

from e2b_code_interpreter import Sandbox
from harness.patience import eventually
from harness.server import BINARY, Server

MEGABYTE = 1 << 20
PIECE = bytes(MEGABYTE)
PORT = 9200

# Sends as many bytes as the first line asks for, on every connection.
SOURCE = """
import socketserver
class Source(socketserver.StreamRequestHandler):
    def handle(self):
        left, piece = int(self.rfile.readline()), bytes(1 << 20)
        while left > 0: left -= self.request.send(piece[:left])
class Server(socketserver.ThreadingTCPServer): allow_reuse_address = True
Server(('127.0.0.1', 9200), Source).serve_forever()
"""

# Title and unit.
ROWS = {
    "command": ('commands.run("true")', "ms"),
    "upload": ("upload", "MB/s"),
    "download": ("download", "MB/s"),
    "list": ("10,000 files listed", "ms"),
    "watch": ("watch event", "ms"),
    "port": ("TCP through a forwarded port", "MB/s"),
}

Samples = dict[str, list[float]]


def seconds(what: Callable[[], object]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def pieces(count: int) -> Iterator[bytes]:
    for _ in range(count):
        yield PIECE


def read_all(address: tuple[str, int], count: int) -> None:
    with socket.create_connection(address, timeout=120) as connection:
        connection.sendall(f"{count}\n".encode())
        got = 0
        while piece := connection.recv(MEGABYTE):
            got += len(piece)
        assert got == count, (got, count)


@contextmanager
def forwarded(server: Server, sandbox: Sandbox) -> Iterator[tuple[str, int]]:
    """`soulbox port-forward`, for as long as it is needed."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "SOULBOX_URL": server.url, "SOULBOX_API_KEY": server.key}
    command = [str(BINARY), "port-forward", sandbox.sandbox_id, str(PORT), str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL)
    try:
        eventually(lambda: read_all(("127.0.0.1", port), 1) or True, 60)
        yield "127.0.0.1", port
    finally:
        process.terminate()
        process.wait(20)


def in_sandbox(server: Server, counts: dict[str, int]) -> Samples:
    sandbox = Sandbox.create("base", timeout=3600)
    files, megabytes = sandbox.files, counts["megabytes"]
    samples: Samples = {}
    sandbox.commands.run("true")
    samples["command"] = [
        1000 * seconds(lambda: sandbox.commands.run("true")) for _ in range(counts["commands"])
    ]

    def upload() -> None:
        # A hole of that size: reading it costs next to nothing.
        with tempfile.TemporaryFile() as hole:
            hole.truncate(megabytes * MEGABYTE)
            files.write("/home/user/large", hole, use_octet_stream=True, request_timeout=600)

    def download() -> None:
        got = sum(map(len, files.read("/home/user/large", format="stream", request_timeout=600)))
        assert got == megabytes * MEGABYTE, got

    samples["upload"] = [megabytes / seconds(upload) for _ in range(counts["transfers"])]
    samples["download"] = [megabytes / seconds(download) for _ in range(counts["transfers"])]
    files.remove("/home/user/large")

    sandbox.commands.run("mkdir many; cd many; seq 10000 | xargs touch")
    samples["list"] = [
        1000 * seconds(lambda: len(files.list("many")) == 10_000 or sys.exit("not all were listed"))
        for _ in range(counts["lists"])
    ]
    samples["watch"] = [1000 * delay for delay in watched(sandbox, counts["events"])]

    files.write("source.py", SOURCE)
    sandbox.commands.run("python3 source.py", background=True, timeout=0)
    with forwarded(server, sandbox) as address:
        size = megabytes * MEGABYTE
        samples["port"] = [
            megabytes / seconds(lambda: read_all(address, size)) for _ in range(counts["transfers"])
        ]
    sandbox.kill()
    return samples


def watched(sandbox: Sandbox, events: int) -> list[float]:
    """From before a write to the event in hand, as the synchronous client asks for it."""
    sandbox.files.make_dir("watched")
    handle = sandbox.files.watch_dir("watched")

    def once() -> None:
        sandbox.files.write("watched/file", "x")
        assert handle.get_new_events()

    delays = [seconds(once) for _ in range(events)]
    handle.stop()
    return delays


def on_host(counts: dict[str, int]) -> Samples:
    """The same without a sandbox: a process, a file, a directory, inotify, a socket."""
    samples: Samples = {}
    shell = ["/bin/bash", "-l", "-c", "true"]
    with tempfile.TemporaryDirectory() as place:
        # What this machine's people run at login is not what is compared here.
        nobody = {"HOME": place, "PATH": os.environ["PATH"]}
        samples["command"] = [
            1000 * seconds(lambda: subprocess.run(shell, check=True, env=nobody))
            for _ in range(counts["commands"])
        ]
        large, many = Path(place, "large"), Path(place, "many")

        def write() -> None:
            with large.open("wb") as file:
                for piece in pieces(counts["megabytes"]):
                    file.write(piece)

        def read() -> None:
            with large.open("rb") as file:
                while file.read(MEGABYTE):
                    pass

        samples["upload"] = [counts["megabytes"] / seconds(write) for _ in range(counts["transfers"])]
        samples["download"] = [counts["megabytes"] / seconds(read) for _ in range(counts["transfers"])]
        many.mkdir()
        for number in range(10_000):
            (many / str(number)).touch()
        samples["list"] = [
            1000 * seconds(lambda: [entry.stat() for entry in sorted(os.scandir(many), key=lambda e: e.name)])
            for _ in range(counts["lists"])
        ]
        samples["watch"] = [1000 * delay for delay in host_events(Path(place), counts["events"])]
    source = subprocess.Popen([sys.executable, "-c", SOURCE])
    try:
        address = ("127.0.0.1", PORT)
        eventually(lambda: read_all(address, 1) or True, 60)
        size = counts["megabytes"] * MEGABYTE
        samples["port"] = [
            counts["megabytes"] / seconds(lambda: read_all(address, size)) for _ in range(counts["transfers"])
        ]
    finally:
        source.terminate()
        source.wait(20)
    return samples


def host_events(place: Path, events: int) -> list[float]:
    """From before a write to the event in hand, with inotify itself."""
    import ctypes

    library, file = ctypes.CDLL(None, use_errno=True), place / "file"
    descriptor = library.inotify_init1(0)
    modify = 0x2
    assert library.inotify_add_watch(descriptor, os.fsencode(place), modify) >= 0

    def once() -> None:
        file.write_bytes(b"x")
        assert os.read(descriptor, 4096)

    delays = [seconds(once) for _ in range(events)]
    os.close(descriptor)
    return delays


def table(ours: Samples, host: Samples) -> str:
    lines = [f"{'':30} {'n':>4} {'median':>15} {'p99':>15} {'without':>15} {'ratio':>8}"]
    for row, (title, unit) in ROWS.items():
        # Of a rate the slow end is the low one.
        ordered = sorted(ours[row], reverse=unit == "MB/s")
        slowest = ordered[min(len(ordered) - 1, int(len(ordered) * 0.99))]
        median, beside = statistics.median(ordered), statistics.median(host[row])
        shown = "".join(f" {number:10.2f} {unit:>4}" for number in (median, slowest, beside))
        lines.append(f"{title:30} {len(ordered):>4}{shown} {median / beside:7.2f}x")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isolation", default=os.environ.get("SOULBOX_ISOLATION", "gvisor"))
    parser.add_argument("--json", type=Path, help="where raw samples are written as well")
    parser.add_argument("--quick", action="store_true", help="few samples, to see that it works")
    options = parser.parse_args()
    counts = {"commands": 200, "megabytes": 1024, "transfers": 3, "lists": 5, "events": 100}
    if options.quick:
        counts = {"commands": 5, "megabytes": 16, "transfers": 1, "lists": 1, "events": 3}

    print("without a sandbox", flush=True)
    host = on_host(counts)
    print(options.isolation, flush=True)
    server = Server(
        isolation=options.isolation, options=("--pool", "base=1", "--pool", "code-interpreter-v1=0")
    )
    try:
        server.start()
        os.environ.update(server.settings())
        ours = in_sandbox(server, counts)
        server.stop()
    finally:
        server.destroy()

    report = {"machine": machine.described(), "isolation": options.isolation, "soulbox": ours, "host": host}
    machine.tell(report, table(ours, host), options.json)


if __name__ == "__main__":
    main()
