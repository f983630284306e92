#!/usr/bin/env python3
"""Makes a lock file: every package that a list asks for, and all that those need in turn.

    python3 lock.py recipes/code-interpreter-v1.in > recipes/code-interpreter-v1.lock

Run it with the Python of the image (3.13, x86-64), for instance in a sandbox of `base` with
network or in a chroot: pip chooses the wheels of the interpreter that it runs in.
"""

import json
import subprocess
import sys
from pathlib import Path

IMAGE_PYTHON = (3, 13)

HEADER = """\
# Made by sandbox-runtime/image/lock.py from {source}, for CPython {python} on x86-64 Linux.
# pip refuses a file whose hash is not the one here.
"""


def resolved(source: Path) -> list[dict]:
    """What pip would install into an empty environment."""
    command = [
        sys.executable, "-m", "pip", "install", "--quiet", "--dry-run", "--ignore-installed",
        "--only-binary", ":all:", "--report", "-", "--requirement", str(source),
    ]
    report = subprocess.run(command, check=True, stdout=subprocess.PIPE).stdout
    return json.loads(report)["install"]


def requirement(package: dict) -> tuple[str, str]:
    """The normal name of a package, and its lines in the lock file."""
    name = package["metadata"]["name"].lower().replace("_", "-").replace(".", "-")
    version = package["metadata"]["version"]
    digest = package["download_info"]["archive_info"]["hashes"]["sha256"]
    return name, f"{name}=={version} \\\n    --hash=sha256:{digest}\n"


def main() -> None:
    if sys.version_info[:2] != IMAGE_PYTHON:
        sys.exit(f"this is Python {sys.version_info[0]}.{sys.version_info[1]}; the image has {IMAGE_PYTHON[0]}.{IMAGE_PYTHON[1]}")
    source = Path(sys.argv[1])
    lines = sorted(requirement(package) for package in resolved(source))
    python = ".".join(map(str, IMAGE_PYTHON))
    sys.stdout.write(HEADER.format(source=source.name, python=python) + "".join(text for _, text in lines))


if __name__ == "__main__":
    main()
