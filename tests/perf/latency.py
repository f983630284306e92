"""What a sandbox costs: first result (cold and from the pool), next cell, new context, 100 MB of output.

The same cells run on the same kernel without a sandbox, in the same run, so that the ratio is
worth more than either number. Everything is measured from the outside, through the stock client.

    tests/perf/latency.py [--isolation gvisor] [--json samples.json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import machine

sys.path.insert(0, str(machine.ROOT / "tests"))

from e2b_code_interpreter import Sandbox
from harness.patience import eventually
from harness.server import Server

TEMPLATE = "code-interpreter-v1"
CELL = "1 + 1"
OUTPUT_BYTES = 100 << 20
OUTPUT = "import sys\nline = 'x' * 1023 + '\\n'\nfor _ in range(100 * 1024): sys.stdout.write(line)"
# Warming one sandbox takes seconds; a pool that is not full after this is broken.
POOL_SECONDS = 120

ROWS = {
    "cold": ("first result, cold", "first"),
    "pool": ("first result, from the pool", "first"),
    "next": ("next cell", "next"),
    "context": ("new context and its first result", "first"),
    "output": ("100 MB of stdout", "output"),
}


def timed(what: Callable[[], Any]) -> float:
    begun = time.perf_counter()
    what()
    return time.perf_counter() - begun


def without_sandbox(counts: dict[str, int]) -> dict[str, list[float]]:
    wanted = {**counts, "cell": CELL, "output": OUTPUT, "output_bytes": OUTPUT_BYTES}
    command = [sys.executable, str(machine.ROOT / "tests/bare_image.py"), TEMPLATE, "--bind", "."]
    command += ["--", "python3", "tests/perf/bare_kernel.py", json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def first_result(server: Server, from_pool: bool) -> float:
    """Creates a sandbox, runs a cell, and makes sure that it came from where it should."""
    made: list[Sandbox] = []

    def create_and_run() -> None:
        made.append(Sandbox.create(timeout=300))
        assert made[0].run_code(CELL).text == "2"

    seconds = timed(create_and_run)
    told = server.wire.api("GET", f"/soulbox/v1/sandboxes/{made[0].sandbox_id}").json()
    made[0].kill()
    assert told["fromPool"] is from_pool, f"the sandbox came from elsewhere: {told}"
    return seconds


def new_context(sandbox: Sandbox) -> float:
    """Makes a second kernel in a live sandbox and runs a cell in it."""
    made: list[Any] = []

    def create_and_run() -> None:
        made.append(sandbox.create_code_context())
        assert sandbox.run_code(CELL, context=made[0]).text == "2"

    seconds = timed(create_and_run)
    sandbox.remove_code_context(made[0])
    return seconds


def pool_is_full(server: Server) -> bool:
    status = server.wire.api("GET", "/soulbox/v1/node").json()
    return all(one["warm"] >= one["warm_wanted"] for one in status["templates"])


def with_server(isolation: str, pool: int, measure: Callable[[Server], Any]) -> Any:
    server = Server(isolation=isolation, options=("--pool", f"{TEMPLATE}={pool}", "--pool", "base=0"))
    try:
        server.start()
        os.environ.update(server.settings())
        measured = measure(server)
        server.stop()
        return measured
    finally:
        server.destroy()


def cold(server: Server, counts: dict[str, int]) -> list[float]:
    return [first_result(server, from_pool=False) for _ in range(counts["starts"])]


def warm(server: Server, counts: dict[str, int]) -> dict[str, list[float]]:
    samples: dict[str, list[float]] = {"pool": []}
    for _ in range(counts["starts"]):
        eventually(lambda: pool_is_full(server), POOL_SECONDS)
        samples["pool"].append(first_result(server, from_pool=True))
    eventually(lambda: pool_is_full(server), POOL_SECONDS)
    sandbox = Sandbox.create(timeout=900)
    sandbox.run_code(CELL)
    eventually(lambda: pool_is_full(server), POOL_SECONDS)
    samples["next"] = [timed(lambda: sandbox.run_code(CELL)) for _ in range(counts["cells"])]

    samples["context"] = [new_context(sandbox) for _ in range(counts["starts"])]

    def print_much() -> None:
        printed = sum(map(len, sandbox.run_code(OUTPUT).logs.stdout))
        assert printed == OUTPUT_BYTES, printed

    samples["output"] = [timed(print_much) for _ in range(counts["outputs"])]
    sandbox.kill()
    return samples


def table(ours: dict[str, list[float]], bare: dict[str, list[float]]) -> str:
    lines = [f"{'':28} {'n':>3} {'median':>10} {'slowest':>10} {'bare':>10} {'ratio':>7}"]
    for row, (title, beside) in ROWS.items():
        median, yardstick = statistics.median(ours[row]), statistics.median(bare[beside])
        numbers = f"{median * 1000:8.1f} ms {max(ours[row]) * 1000:7.1f} ms {yardstick * 1000:7.1f} ms"
        lines.append(f"{title:28} {len(ours[row]):>3} {numbers} {median / yardstick:6.2f}x")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isolation", default=os.environ.get("SOULBOX_ISOLATION", "gvisor"))
    parser.add_argument("--json", type=Path, help="where raw samples are written as well")
    parser.add_argument("--quick", action="store_true", help="few samples, to see that it works")
    options = parser.parse_args()
    counts = {"starts": 10, "cells": 100, "outputs": 3}
    if options.quick:
        counts = {"starts": 2, "cells": 5, "outputs": 1}

    print("without a sandbox: jupyter_client on the same kernel, in the same files", flush=True)
    bare = without_sandbox(counts)
    print(f"{options.isolation}, cold: no pool", flush=True)
    ours = {"cold": with_server(options.isolation, 0, lambda server: cold(server, counts))}
    print(f"{options.isolation}, from the pool", flush=True)
    ours |= with_server(options.isolation, 2, lambda server: warm(server, counts))

    report = {"machine": machine.described(), "isolation": options.isolation, "soulbox": ours, "bare": bare}
    machine.tell(report, table(ours, bare), options.json)


if __name__ == "__main__":
    main()
