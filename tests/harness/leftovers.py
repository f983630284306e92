"""What a server may leave on a machine: processes, mounts, loop devices, cgroups, directories.

Each kind is looked up in the kernel's own tables, never in what the server says of itself.
"""

from __future__ import annotations

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

    def of_sandboxes(self, sandboxes: list[str]) -> list[str]:
        """Only what names one of these sandboxes."""
        items = [item for kind in vars(self).values() for item in kind]
        return [item for item in items if any(sandbox in item for sandbox in sandboxes)]

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
    """Control groups, of version 1 or 2, whose path holds one of the names."""
    found = []
    for group in CGROUPS.rglob("*"):
        try:
            if group.is_dir() and any(name in str(group) for name in names):
                found.append(str(group))
        except OSError:
            continue
    return found


def node_names(directory: Path) -> list[str]:
    """Nodes keep their things under run/<node>; the name is in their cgroups as well."""
    run = directory / "run"
    return [entry.name for entry in run.iterdir() if entry.is_dir()] if run.is_dir() else []


def of(directory: Path, sandboxes: list[str], nodes: list[str] | None = None) -> Leftovers:
    """Everything on the machine that belongs to this data directory or to these sandboxes."""
    names = sandboxes + (node_names(directory) if nodes is None else nodes)
    directories = []
    for run in (directory / "run").glob("*/*"):
        directories += [str(run / entry.name) for entry in run.iterdir()] if run.is_dir() else []
    return Leftovers(
        processes=[f"{p.pid} {' '.join(p.arguments)[:160]}" for p in belonging(directory, names)],
        mounts=mounts(directory),
        loops=loops(directory),
        cgroups=cgroups(names) if names else [],
        directories=[path for path in directories if any(s in path for s in sandboxes)],
    )


def belonging(directory: Path, names: list[str]) -> list[processes.Seen]:
    """Processes that name the directory or one of the sandboxes in their arguments."""
    marks = [str(directory), *names]
    return [
        process
        for process in processes.everyone()
        if any(mark in word for mark in marks for word in process.arguments)
        and not process.arguments[0].endswith(("pytest", "python", "python3", "node"))
    ]
