#!/usr/bin/env python3
"""Runs one command in a template's files, with no sandbox around it: the yardstick.

    tests/bare_image.py code-interpreter-v1 [--bind kernels/python] -- python3 -c 'print(1)'

The layers are put together with overlayfs in a mount namespace of its own, so everything is gone
when the command ends, even after SIGKILL. It is a plain chroot and keeps nobody in: it exists to
measure what isolation costs, and to run unit tests with the very packages of the image.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
IMAGES = Path(os.environ.get("SOULBOX_IMAGES", "/var/lib/soulbox/images"))
# Where a directory of the clone is seen inside.
BOUND = "/mnt/bound"
# Covered by a file system of our own while the command runs. Neither a clone nor images lie here.
SCRATCH = "/mnt"

CLONE_NEWNS = 0x00020000
MS_BIND, MS_REC, MS_PRIVATE = 0x1000, 0x4000, 0x40000

libc = ctypes.CDLL(None, use_errno=True)


def called(result: int, what: str) -> None:
    if result:
        number = ctypes.get_errno()
        sys.exit(f"bare_image: {what}: {os.strerror(number)} (this needs root)")


def mount(source: str, target: Path | str, kind: str = "", flags: int = 0, options: str = "") -> None:
    words = [word.encode() or None for word in (source, str(target), kind)]
    called(libc.mount(*words, flags, options.encode() or None), f"mount {kind or source} on {target}")


def layers(template: str) -> list[Path]:
    """Directories of the current build, the lowest first."""
    current = IMAGES / f"{template}.current"
    if not current.exists():
        sys.exit(f"bare_image: {template} is not built: run `soulbox template build {template}`")
    build = json.loads((IMAGES / current.read_text().strip() / "image.json").read_text())
    return [IMAGES / layer / "layer" for layer in build["layers"]]


def enter(template: str, bind: Path | None) -> None:
    """Makes the template's files this process's root. Never returns to the old one."""
    called(libc.unshare(CLONE_NEWNS), "unshare")
    mount("none", "/", flags=MS_REC | MS_PRIVATE)
    scratch = Path(SCRATCH)
    mount("tmpfs", scratch, "tmpfs", options="size=1g")
    for name in ("root", "upper", "work"):
        (scratch / name).mkdir()
    lower = ":".join(str(layer) for layer in reversed(layers(template)))
    root = scratch / "root"
    options = f"lowerdir={lower},upperdir={scratch}/upper,workdir={scratch}/work"
    mount("overlay", root, "overlay", options=options)
    mount("proc", root / "proc", "proc")
    mount("/dev", root / "dev", flags=MS_BIND | MS_REC)
    if bind:
        (root / BOUND[1:]).mkdir(parents=True, exist_ok=True)
        mount(str(bind), root / BOUND[1:], flags=MS_BIND)
    os.chroot(root)
    os.chdir(BOUND if bind else "/home/user")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("template")
    parser.add_argument(
        "--bind", help="a directory of the clone, shown inside and made the working directory"
    )
    parser.add_argument("command", nargs="+")
    wanted = parser.parse_args()
    enter(wanted.template, ROOT / wanted.bind if wanted.bind else None)
    clean = {"PATH": "/usr/local/bin:/usr/bin:/bin:/usr/sbin:/sbin", "HOME": "/root", "LANG": "C.UTF-8"}
    # Unit tests must not leave caches in the clone that is bound.
    clean["PYTHONDONTWRITEBYTECODE"] = "1"
    os.execvpe(wanted.command[0], wanted.command, clean)


if __name__ == "__main__":
    main()
