"""What a number was measured on, so that nobody compares it with another machine's."""

from __future__ import annotations

import json
import os
import platform
import subprocess
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]


def said(*command: str) -> str:
    try:
        done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=20)
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.strip()


def field(path: str, name: str) -> str:
    for line in Path(path).read_text().splitlines():
        if line.startswith(name):
            return line.split(":", 1)[1].strip()
    return "unknown"


def described() -> dict[str, Any]:
    changed = bool(said("git", "status", "--porcelain", "--untracked-files=no"))
    commit = said("git", "rev-parse", "--short=12", "HEAD") or "unknown"
    return {
        "commit": commit + (" and changes" if changed else ""),
        "processor": field("/proc/cpuinfo", "model name"),
        "cores": os.cpu_count(),
        "memory": field("/proc/meminfo", "MemTotal"),
        "kernel": platform.release(),
        "runsc": said("runsc", "--version").split("\n")[0],
        "load": [round(load, 2) for load in os.getloadavg()],
    }


def tell(report: dict[str, Any], table: str, file: Path | None) -> None:
    """Prints raw samples, the machine and the table, and keeps the samples where that is wanted."""
    print(json.dumps(report))
    print()
    for name, value in report["machine"].items():
        print(f"{name:10} {value}")
    print()
    print(table)
    if file:
        file.write_text(json.dumps(report) + "\n")
