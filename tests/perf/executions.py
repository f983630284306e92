"""What executions cost: next cell, new context, 100 MB of output, memory of those that have ended.

Beside jupyter_client on the bare kernel in the same run. Cells go over one kept connection by
plain HTTP, so that no client's own time is measured.

    tests/perf/executions.py [--isolation gvisor] [--json samples.json] [--quick]
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import statistics
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine
from latency import CELL, OUTPUT, OUTPUT_BYTES, TEMPLATE, timed, with_server, without_sandbox

sys.path.insert(0, str(machine.ROOT / "tests"))

from harness.server import Server
from harness.wire import INTERPRETER_PORT, routing

# Each row: what it is, and which number of the bare kernel stands beside it.
ROWS = {
    "execute": ("next cell, POST /execute", "next"),
    "attached": ("next cell, POST /executions attached", "next"),
    "context": ("new context", "first"),
    "output": ("100 MB of stdout, POST /execute", "output"),
    "detached": ("100 MB of stdout, nobody listens", "output"),
}
# The server keeps so many; fewer would not show what one costs.
ENDED = 1000
TIMEOUT_SECONDS = 300


class Kernel:
    """A sandbox's interpreter on one connection."""

    def __init__(self, server: Server, sandbox: str):
        self.connection = http.client.HTTPConnection(
            server.wire.host, server.wire.port, timeout=TIMEOUT_SECONDS
        )
        self.headers = {**routing(sandbox, INTERPRETER_PORT), "Content-Type": "application/json"}

    def ask(self, method: str, path: str, body: Any = None) -> bytes:
        payload = None if body is None else json.dumps(body)
        self.connection.request(method, path, payload, self.headers)
        response = self.connection.getresponse()
        answer = response.read()
        assert response.status in (200, 201), (response.status, answer[:500])
        return answer

    def value(self, code: str) -> str:
        lines = map(json.loads, self.ask("POST", "/execute", {"code": code}).splitlines())
        return next(line["text"] for line in lines if line["type"] == "result")

    def attached(self, code: str) -> None:
        answer = self.ask("POST", "/executions", {"code": code, "attach": True})
        assert json.loads(answer.splitlines()[-1])["end"] == "ok"

    def printed(self, code: str) -> None:
        items = map(json.loads, self.ask("POST", "/execute", {"code": code}).splitlines())
        printed = sum(len(item["text"]) for item in items if item["type"] == "stdout")
        assert printed == OUTPUT_BYTES, printed

    def detached(self, code: str) -> None:
        started = json.loads(self.ask("POST", "/executions", {"code": code}))
        # The next execution of a context begins when this one has ended.
        self.value("1")
        shown = json.loads(self.ask("GET", f"/executions/{started['id']}"))
        assert shown["end"] == "ok" and "gone" not in shown["output"], shown

    def agent_bytes(self) -> int:
        """Resident memory of the agent: it is the first process of every sandbox."""
        return int(self.value("int(open('/proc/1/status').read().split('VmRSS:')[1].split()[0])")) << 10


def measure(server: Server, counts: dict[str, int]) -> dict[str, Any]:
    sandbox = server.wire.create(TEMPLATE, timeout=3600)["sandboxID"]
    kernel = Kernel(server, sandbox)
    kernel.value(CELL)
    before = kernel.agent_bytes()
    ended = counts["ended"]
    for _ in range(ended):
        kernel.ask("POST", "/execute", {"code": CELL})
    grown = (kernel.agent_bytes() - before) * ENDED / ended

    def repeated(what: Callable[[], Any], count: str) -> list[float]:
        return [timed(what) for _ in range(counts[count])]

    samples: dict[str, Any] = {
        "execute": repeated(lambda: kernel.value(CELL), "cells"),
        "attached": repeated(lambda: kernel.attached(CELL), "cells"),
        "context": repeated(lambda: kernel.ask("POST", "/contexts", {}), "starts"),
        "output": repeated(lambda: kernel.printed(OUTPUT), "outputs"),
        "detached": repeated(lambda: kernel.detached(OUTPUT), "outputs"),
        "bytes_of_1000_ended": grown,
    }
    server.wire.kill(sandbox)
    return samples


def table(ours: dict[str, Any], bare: dict[str, list[float]]) -> str:
    lines = [f"{'':38} {'n':>4} {'median':>10} {'slowest':>10} {'bare':>10} {'ratio':>7}"]
    for row, (title, beside) in ROWS.items():
        median, yardstick = statistics.median(ours[row]), statistics.median(bare[beside])
        numbers = f"{median * 1000:8.1f} ms {max(ours[row]) * 1000:7.1f} ms {yardstick * 1000:7.1f} ms"
        lines.append(f"{title:38} {len(ours[row]):>4} {numbers} {median / yardstick:6.2f}x")
    rate = OUTPUT_BYTES / statistics.median(ours["output"]) / 1e6
    lines.append(f"{'stdout, POST /execute':38} {rate:.0f} MB/s")
    lines.append(f"{'1,000 ended executions':38} {ours['bytes_of_1000_ended'] / 1e6:.2f} MB of the agent")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isolation", default=os.environ.get("SOULBOX_ISOLATION", "gvisor"))
    parser.add_argument("--json", type=Path, help="where raw samples are written as well")
    parser.add_argument("--quick", action="store_true", help="few samples, to see that it works")
    options = parser.parse_args()
    counts = {"starts": 5, "cells": 200, "outputs": 3, "ended": ENDED}
    if options.quick:
        counts = {"starts": 1, "cells": 5, "outputs": 1, "ended": 100}

    print("without a sandbox: jupyter_client on the same kernel, in the same files", flush=True)
    bare = without_sandbox(counts)
    print(options.isolation, flush=True)
    ours = with_server(options.isolation, 1, lambda server: measure(server, counts))
    report = {"machine": machine.described(), "isolation": options.isolation, "soulbox": ours, "bare": bare}
    machine.tell(report, table(ours, bare), options.json)


if __name__ == "__main__":
    main()
