"""What a server may leave on a machine: processes, mounts, loop devices, cgroups, directories.

Each kind is looked up in the kernel's own tables, never in what the server says of itself.
"""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass, field
from pathlib import Path

from . import processes

CGROUPS = Path("/sys/fs/cgroup")
BLOCK_DEVICES = Path("/sys/block")


@dataclass
class Leftovers:
    processes: list[str] = field(default_factory=list)
    mounts: list[str] = field(default_factory=list)
    loops: list[str] = field(default_factory=list)
    cgroups: list[str] = field(default_factory=list)
    directories: list[str] = field(default_factory=list)

    def __bool__(self) -> bool:
        return any(vars(self).values())

    def __str__(self) -> str:
        lines = []
        for kind, items in vars(self).items():
            lines += [f"{kind}: {item}" for item in items]
        return "\n".join(lines) or "nothing"


def mounts(directory: Path) -> list[str]:
    """Mount points below the directory, in every mount namespace of the machine.

    A node lives in a mount namespace of its own, so this process's table alone would show
    nothing. The kernel writes a blank in a path as \\040, which our paths never hold.
    """
    found: set[str] = set()
    namespaces: set[str] = set()
    for process in processes.everyone():
        try:
            namespace = (processes.PROC / str(process.pid) / "ns/mnt").readlink()
            if str(namespace) in namespaces:
                continue
            namespaces.add(str(namespace))
            table = (processes.PROC / str(process.pid) / "mountinfo").read_text()
        except OSError:
            continue  # It ended while it was looked at.
        points = (line.split()[4] for line in table.splitlines())
        found |= {point for point in points if point.startswith(str(directory))}
    return sorted(found)


def loops(directory: Path) -> list[str]:
    """Loop devices that are backed by a file below the directory."""
    found = []
    for device in BLOCK_DEVICES.glob("loop*"):
        try:
            backing = (device / "loop" / "backing_file").read_text().strip()
        except OSError:
            continue
        if backing.startswith(str(directory)):
            found.append(f"/dev/{device.name} <- {backing}")
    return found


def cgroups(names: list[str]) -> list[str]:
    """Control groups, of version 1 or 2, whose path holds one of the names.

    Others make and remove groups at the same time, and `os.walk` takes that as it comes.
    """
    return [
        f"{parent}/{name}"
        for parent, children, _ in os.walk(CGROUPS)
        for name in children
        if any(wanted in name for wanted in names)
    ]


def cells(directory: Path) -> list[str]:
    """Names of all cells that have a directory or an entry in the journal of a node.

    A cell becomes a sandbox when it is handed out, but keeps its own name on the machine.
    """
    run = directory / "run"
    found = {path.name for path in run.glob("*/scratch/*")}
    found |= {path.name.split(".")[0] for path in run.glob("*/cells/*")}
    return sorted(found)


def groups(directory: Path) -> list[str]:
    """What the nodes of this directory call themselves where all nodes of a machine meet."""
    runs = (directory / "run").glob("*")
    return [f"-{hashlib.sha256(str(run).encode()).hexdigest()[:8]}" for run in runs if run.is_dir()]


def of_cells(directory: Path, names: list[str]) -> Leftovers:
    """Everything on the machine that belongs to these cells."""
    if not names:
        return Leftovers()
    named = [name for name in cells(directory) if name in names]
    return Leftovers(
        processes=naming(names),
        mounts=[point for point in mounts(directory) if any(name in point for name in names)],
        loops=[loop for loop in loops(directory) if any(name in loop for name in names)],
        cgroups=cgroups(names),
        directories=named,
    )


def of_server(directory: Path, names: list[str], of_nodes: list[str]) -> Leftovers:
    """Everything on the machine that belongs to a server that has ended."""
    left = of_cells(directory, names)
    left.processes += naming([str(directory)])
    left.mounts = mounts(directory)
    left.loops = loops(directory)
    left.cgroups += cgroups(of_nodes) if of_nodes else []
    left.directories = cells(directory)
    return left


def naming(words: list[str]) -> list[str]:
    """Processes with one of the words in their arguments, but for whoever runs the tests."""
    return [
        f"{process.pid} {' '.join(process.arguments)[:160]}"
        for process in processes.everyone()
        if process.pid != os.getpid()
        and any(word in argument for word in words for argument in process.arguments)
    ]
