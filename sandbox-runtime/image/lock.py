#!/usr/bin/env python3
"""Makes a lock file: every package that a list asks for, and all that those need in turn.

    python3 lock.py recipes/code-interpreter-v1.in > new.lock
    python3 lock.py recipes/code-interpreter-v1.in --keep recipes/code-interpreter-v1.lock > new.lock

The second form keeps every version that a lock file has, for a list that has merely grown.

Run it with the Python of the image (3.13, x86-64), for instance in a sandbox of `base` with
network or in a chroot: pip chooses the wheels of the interpreter that it runs in.
"""

import argparse
import json
import subprocess
import sys
import tempfile
from pathlib import Path

IMAGE_PYTHON = (3, 13)

HEADER = """\
# Made by sandbox-runtime/image/lock.py from {source}, for CPython {python} on x86-64 Linux.
# pip refuses a file whose hash is not the one here.
"""


def resolved(source: Path, kept: str) -> list[dict]:
    """What pip would install into an empty environment."""
    with tempfile.NamedTemporaryFile("w", suffix=".txt") as constraints:
        constraints.write(kept)
        constraints.flush()
        command = [
            sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
            "--only-binary", ":all:", "--report", "-",
            "--requirement", str(source), "--constraint", constraints.name,
        ]
        report = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(report)["install"]


def versions(lock: Path) -> str:
    """The packages of a lock file without their hashes: with them pip would demand one of each."""
    lines = (line.split()[0] for line in lock.read_text().splitlines() if "==" in line)
    return "".join(f"{line}\n" for line in lines if not line.startswith("#"))


def requirement(package: dict) -> tuple[str, str]:
    """The normal name of a package, and its lines in the lock file."""
    name = package["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
    version = package["metadata"]["version"]
    digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
    return name, f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


def main() -> None:
    if sys.version_info[:2] != IMAGE_PYTHON:
        sys.exit(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}; the image has {IMAGE_PYTHON[0]}.{IMAGE_PYTHON[1]}")
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", type=Path)
    parser.add_argument("--keep", type=Path, metavar="LOCK")
    wanted = parser.parse_args()
    source, kept = wanted.source, versions(wanted.keep) if wanted.keep else ""
    lines = sorted(requirement(package) for package in resolved(source, kept))
    python = ".".join(map(str, IMAGE_PYTHON))
    sys.stdout.write(HEADER.format(source=source.name, python=python) + "".join(text for _, text in lines))


if __name__ == "__main__":
    main()
