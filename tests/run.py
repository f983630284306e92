#!/usr/bin/env python3
"""Runs every check of the project in order, shows progress, and closes with one line of counts.

    tests/run.py                 everything: what `make test` does
    tests/run.py lint rust       only these parts
    tests/run.py stories         only the stories, on both tiers

Cheap checks come first. The stories of the tiers are told side by side, since they mostly wait for
one another's processes; each line then names its tier. A part that fails does not stop the ones
after it. The exit status is 0 only when nothing failed and every part ran.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

ROOT = Path(__file__).resolve().parents[1]
CACHE = Path(os.environ.get("SOULBOX_CACHE", Path.home() / ".cache/soulbox"))
TOOLS = CACHE / "venvs/tools/bin"
TIERS = os.environ.get("SOULBOX_ISOLATION", "gvisor namespace").split()
# One step of a tier's stories, on two busy cores. Beyond it something hangs.
STORIES_SECONDS = 1500
# Sandboxes need root; the compilers do not, and their output stays the user's own.
KEPT = "PATH,HOME,SOULBOX_CACHE,SOULBOX_IMAGES,SOULBOX_BIN,SOULBOX_ISOLATION,PYTHONDONTWRITEBYTECODE"
AS_ROOT = [] if os.geteuid() == 0 else ["sudo", f"--preserve-env={KEPT}"]
# Two compilers at once is what a machine with two cores and 4 GB of memory bears.
JOBS = "-j2"


@dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0

    def add(self, other: Tally) -> None:
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped


def environment(**more: str) -> dict[str, str]:
    # Whatever runs as root must not leave compiled files in somebody's clone.
    return {**os.environ, "PYTHONDONTWRITEBYTECODE": "1", **more}


def read(command: list[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Runs a command in the clone whose output is to be read."""
    return subprocess.run(
        command,
        cwd=ROOT,
        env=environment(**more),
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )


def show(command: list[str], lane: str, seconds: float, **more: str) -> int:
    """Runs a command in the clone, its lines shown as they come with the lane's name before them."""
    running = subprocess.Popen(
        command,
        cwd=ROOT,
        env=environment(**more),
        text=True,
        errors="replace",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    late = threading.Timer(seconds, running.kill)
    late.start()
    with running:
        for line in running.stdout or ():
            print(f"{lane:>9} | {line.rstrip()}", flush=True)
    if not late.is_alive():
        print(f"{lane:>9} | the stories did not end within {seconds} s", flush=True)
    late.cancel()
    return running.returncode


def check(*command: str) -> Tally:
    """A check that is one pass or one failure."""
    done = read(list(command))
    if done.returncode:
        print(done.stdout)
    return Tally(passed=int(done.returncode == 0), failed=int(done.returncode != 0))


def cargo_deny() -> Tally:
    if not shutil.which("cargo-deny"):
        print("    cargo-deny is not installed here, so licences and advisories were not checked")
        return Tally(skipped=1)
    return check("cargo", "deny", "check", "licenses", "bans", "sources")


def ruff() -> Tally:
    total = Tally()
    ours = ["tests", "sdk-python", "kernels/host"]
    rules = ["--config", "tests/ruff.toml"]
    total.add(check(str(TOOLS / "ruff"), "check", *rules, *ours))
    total.add(check(str(TOOLS / "ruff"), "format", "--check", *rules, *ours))
    total.add(check(str(TOOLS / "ruff"), "check", "kernels/python"))
    return total


def rust() -> Tally:
    """Unit tests of all crates, the tidy test among them."""
    nextest = shutil.which("cargo-nextest") is not None
    command = ["cargo", "nextest", "run"] if nextest else ["cargo", "test", "--no-fail-fast"]
    # The agent's stories start real kernels, of this Python.
    kernels = str(CACHE / "venvs/kernel/bin/python")
    done = read([*command, "--workspace", JOBS], SOULBOX_TEST_PYTHON=kernels)
    total = Tally()
    if nextest:
        if found := re.search(r"(\d+) passed", done.stdout):
            total.passed = int(found.group(1))
        if found := re.search(r"(\d+) (?:failed|timed out)", done.stdout):
            total.failed = int(found.group(1))
    else:
        for passed, failed in re.findall(r"test result: \w+\. (\d+) passed; (\d+) failed", done.stdout):
            total.add(Tally(int(passed), int(failed)))
    if done.returncode:
        print(done.stdout)
        total.failed = max(total.failed, 1)
    return total


def kernel_units() -> Tally:
    """The kernel's unit tests, with the very Python and packages that the image has."""
    command = [
        *AS_ROOT,
        sys.executable,
        "tests/bare_image.py",
        "code-interpreter-v1",
        "--bind",
        "kernels/python",
    ]
    command += ["--", "python3", "-m", "pytest", "-q", "-p", "no:cacheprovider", "--color=no"]
    done = read(command)
    passed, failed = (
        re.search(r"(\d+) passed", done.stdout),
        re.search(r"(\d+) (?:failed|error)", done.stdout),
    )
    total = Tally(int(passed.group(1)) if passed else 0, int(failed.group(1)) if failed else 0)
    if done.returncode:
        print(done.stdout)
        total.failed = max(total.failed, 1)
    return total


def pytest(generation: str, tier: str, *paths: str) -> Tally:
    """Stories under the packages of one generation, counted from pytest's own report."""
    with tempfile.TemporaryDirectory() as directory:
        report = Path(directory) / "report.xml"
        python = str(CACHE / f"venvs/{generation}/bin/python")
        command = [*AS_ROOT, python, "-m", "pytest", "-c", "tests/pytest.ini"]
        command += [f"--junitxml={report}", "-p", "no:cacheprovider", *paths]
        code = show(command, tier, STORIES_SECONDS, SOULBOX_ISOLATION=tier)
        if not report.exists():
            return Tally(failed=1)
        suite = ElementTree.parse(report).getroot().find("testsuite")
        assert suite is not None
        counts = {name: int(suite.get(name, "0")) for name in ("tests", "failures", "errors", "skipped")}
    failed = counts["failures"] + counts["errors"]
    total = Tally(counts["tests"] - failed - counts["skipped"], failed, counts["skipped"])
    if code not in (0, 1) or (code and not failed):
        total.failed += 1
    return total


def stories(tier: str) -> dict[str, Callable[[], Tally]]:
    rest = [
        "tests/e2b/javascript",
        "tests/e2b/cli",
        "tests/languages",
        "tests/http",
        "tests/executions",
        "tests/ports",
        "tests/cli",
        "tests/tls",
        "tests/attacks",
        "tests/faults",
        "tests/egress",
    ]
    # What a browser shows does not depend on the tier.
    only_once = [] if tier == TIERS[0] else ["--ignore=tests/jupyter/test_lab.py"]
    return {
        f"{tier}: stories with the classic Python client": lambda: pytest(
            "classic", tier, "tests/e2b/python"
        ),
        f"{tier}: stories with the current Python client": lambda: pytest(
            "current", tier, "tests/e2b/python"
        ),
        f"{tier}: stories with Jupyter clients": lambda: pytest("jupyter", tier, "tests/jupyter", *only_once),
        f"{tier}: all other stories": lambda: pytest("current", tier, *rest),
    }


PARTS: dict[str, dict[str, Callable[[], Tally]]] = {
    "lint": {
        "cargo fmt": lambda: check("cargo", "fmt", "--all", "--check"),
        "ruff": ruff,
        "clippy": lambda: check(
            *("cargo", "clippy", "--workspace", "--all-targets", JOBS, "--", "-D", "warnings")
        ),
        "cargo deny": cargo_deny,
    },
    "rust": {"unit tests and tidy": rust},
    "kernels": {"unit tests of the Python kernel": kernel_units},
    "stories": {name: part for tier in TIERS for name, part in stories(tier).items()},
}
# The part whose steps run side by side, one lane for each tier.
SIDE_BY_SIDE = "stories"


def main(wanted: list[str]) -> int:
    unknown = [name for name in wanted if name not in PARTS]
    if unknown:
        print(f"unknown part: {', '.join(unknown)} (there are: {', '.join(PARTS)})", file=sys.stderr)
        return 2
    parts = wanted or list(PARTS)
    count, number = sum(len(PARTS[part]) for part in parts), iter(range(1, 1000))
    total, failures, counting = Tally(), [], threading.Lock()

    def walk(steps: list[tuple[str, Callable[[], Tally]]]) -> None:
        for name, step in steps:
            at = f"[{next(number)}/{count}] {name}"
            print(at, flush=True)
            begun = time.monotonic()
            tally = step()
            with counting:
                total.add(tally)
                if tally.failed:
                    failures.append(name)
            took = time.monotonic() - begun
            print(f"{at}: {tally.passed} passed, {tally.failed} failed, {took:.0f} s", flush=True)

    for part in parts:
        steps = list(PARTS[part].items())
        if part != SIDE_BY_SIDE:
            walk(steps)
            continue
        lanes = [[step for step in steps if step[0].startswith(f"{tier}:")] for tier in TIERS]
        with ThreadPoolExecutor(len(lanes)) as pool:
            # A lane that breaks down must be heard.
            list(pool.map(walk, lanes))
    for name in failures:
        print(f"failed: {name}")
    if total.skipped:
        print(f"{total.skipped} skipped")
    print(f"{total.passed} passed, {total.failed} failed")
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
