"""What a cell costs in each language: a new context with its first result, and every further cell.

Beside jupyter_client on the same kernel without a sandbox, in the same run. Memory is what the
sandbox has more when a context of the language has run its first cell, as its owner sees it.

    tests/perf/languages.py [--isolation gvisor] [--json samples.json] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

import machine
from latency import timed, with_server

sys.path.insert(0, str(machine.ROOT / "tests"))

from e2b_code_interpreter import Sandbox

TEMPLATE = "code-interpreter-full"
# The smallest cell with an answer.
CELLS = {
    "python": "1 + 1",
    "javascript": "1 + 1",
    "typescript": "1 + 1",
    "bash": "echo 2",
    "r": "1 + 1",
    "java": "1 + 1",
}
# A virtual machine on a busy machine.
TIMEOUT_SECONDS = 120
# Sums the proportional sets, so that what forks share counts once.
MEMORY = """
import pathlib
def resident():
    kilobytes = 0
    for process in pathlib.Path('/proc').glob('[0-9]*'):
        try:
            lines = (process / 'smaps_rollup').read_text().splitlines()
        except OSError:
            continue
        kilobytes += sum(int(line.split()[1]) for line in lines if line.startswith('Pss:'))
    return kilobytes
resident()
"""


def bare(language: str, counts: dict[str, int]) -> dict[str, list[float]]:
    wanted = {**counts, "language": language, "cell": CELLS[language], "outputs": 0}
    command = [sys.executable, str(machine.ROOT / "tests/bare_image.py"), TEMPLATE, "--bind", "."]
    command += ["--", "python3", "tests/perf/bare_kernel.py", json.dumps(wanted)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    return json.loads(done.stdout.splitlines()[-1])


def measure(language: str, counts: dict[str, int]) -> dict[str, Any]:
    cell = CELLS[language]
    sandbox = Sandbox.create(TEMPLATE, timeout=900)

    def run(context: Any) -> None:
        execution = sandbox.run_code(cell, context=context, timeout=TIMEOUT_SECONDS)
        assert "2" in (execution.text or "".join(execution.logs.stdout)), execution

    def start() -> None:
        made.append(sandbox.create_code_context(language=language))
        run(made[-1])

    made: list[Any] = []
    before = sandbox.run_code(MEMORY).text
    samples: dict[str, Any] = {"context": [timed(start)]}
    after = sandbox.run_code("resident()").text
    # gVisor has no such files, and the sum is nothing there.
    samples["memory_mb"] = round((int(after) - int(before)) / 1024) if int(before) else None
    for _ in range(counts["starts"] - 1):
        sandbox.remove_code_context(made.pop())
        samples["context"].append(timed(start))
    samples["next"] = [timed(lambda: run(made[-1])) for _ in range(counts["cells"])]
    sandbox.kill()
    return samples


def table(ours: dict[str, Any], yardstick: dict[str, Any]) -> str:
    lines = [f"{'':12} {'next cell':>12} {'bare':>10} {'new context':>14} {'bare':>11} {'memory':>8}"]
    for language in CELLS:
        mine, other = ours[language], yardstick[language]
        cells = [statistics.median(samples) * 1000 for samples in (mine["next"], other["next"])]
        starts = [statistics.median(samples) * 1000 for samples in (mine["context"], other["first"])]
        memory = f"{mine['memory_mb']} MB" if mine["memory_mb"] is not None else "-"
        numbers = f"{cells[0]:9.1f} ms {cells[1]:7.1f} ms {starts[0]:11.0f} ms {starts[1]:8.0f} ms"
        lines.append(f"{language:12} {numbers} {memory:>8}")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--isolation", default=os.environ.get("SOULBOX_ISOLATION", "gvisor"))
    parser.add_argument("--json", type=Path, help="where raw samples are written as well")
    parser.add_argument("--quick", action="store_true", help="few samples, to see that it works")
    options = parser.parse_args()
    counts = {"starts": 2, "cells": 5} if options.quick else {"starts": 5, "cells": 50}

    print("without a sandbox: jupyter_client on the same kernels, in the same files", flush=True)
    yardstick = {language: bare(language, counts) for language in CELLS}
    print(options.isolation, flush=True)
    ours = with_server(
        options.isolation, 0, lambda _server: {language: measure(language, counts) for language in CELLS}
    )
    report = {
        "machine": machine.described(),
        "isolation": options.isolation,
        "soulbox": ours,
        "bare": yardstick,
    }
    machine.tell(report, table(ours, yardstick), options.json)


if __name__ == "__main__":
    main()
