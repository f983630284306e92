"""Processes of one server, found by its data directory and held by pidfd.

Every process that the harness may signal is first opened as a pidfd and then checked
again, so a recycled number can never be hit. Nothing here signals by name, and no signal
ever goes to a number that is not greater than 1.
"""

from __future__ import annotations

import os
import select
import signal
from dataclasses import dataclass
from pathlib import Path

PROC = Path("/proc")


@dataclass(frozen=True)
class Seen:
    """A process as /proc shows it at one moment."""

    pid: int
    arguments: tuple[str, ...]

    def does(self, verb: str) -> bool:
        """True when the process is `soulbox <verb> ...`."""
        return len(self.arguments) > 1 and self.arguments[1] == verb


class Held:
    """A process that can be signalled and waited for without a race."""

    def __init__(self, pid: int):
        if pid <= 1:
            raise ValueError(f"process number {pid} must never be signalled")
        self.pid = pid
        self._fd = os.pidfd_open(pid)

    def signal(self, number: signal.Signals) -> None:
        try:
            signal.pidfd_send_signal(self._fd, number)
        except ProcessLookupError:
            pass  # It is gone already, which is what the caller wants to reach.

    def ended_within(self, seconds: float) -> bool:
        """A pidfd becomes readable when the process has ended."""
        poll = select.poll()
        poll.register(self._fd, select.POLLIN)
        return bool(poll.poll(seconds * 1000))

    def close(self) -> None:
        os.close(self._fd)


def seen(pid: int) -> Seen | None:
    try:
        raw = (PROC / str(pid) / "cmdline").read_bytes()
        state = (PROC / str(pid) / "stat").read_text().rsplit(")", 1)[1].split()[0]
    except (FileNotFoundError, ProcessLookupError, IndexError):
        return None
    if state == "Z" or not raw:
        return None
    return Seen(pid, tuple(raw.decode(errors="replace").rstrip("\0").split("\0")))


def everyone() -> list[Seen]:
    numbers = [int(entry.name) for entry in PROC.iterdir() if entry.name.isdigit()]
    return [process for pid in numbers if (process := seen(pid))]


def of_directory(directory: Path) -> list[Seen]:
    """Every process that names the data directory in its arguments, but for this one."""
    mark = str(directory)
    return [
        process
        for process in everyone()
        if process.pid != os.getpid() and any(mark in word for word in process.arguments)
    ]


def leads_group(pid: int) -> bool:
    try:
        return os.getpgid(pid) == pid
    except ProcessLookupError:
        return False


def descendants(pid: int) -> list[Seen]:
    """Children, their children, and so on."""
    children: dict[int, list[int]] = {}
    for process in everyone():
        try:
            text = (PROC / str(process.pid) / "stat").read_text()
        except (FileNotFoundError, ProcessLookupError):
            continue
        parent = int(text.rsplit(")", 1)[1].split()[1])
        children.setdefault(parent, []).append(process.pid)
    found: list[Seen] = []
    queue = list(children.get(pid, []))
    while queue:
        number = queue.pop()
        queue.extend(children.get(number, []))
        if process := seen(number):
            found.append(process)
    return found


def end(process: Seen, number: signal.Signals, seconds: float) -> bool:
    """Signals one process and waits for it. False when it is still there after `seconds`."""
    try:
        held = Held(process.pid)
    except ProcessLookupError:
        return True
    try:
        if seen(process.pid) != process:
            return True  # The number belongs to somebody else by now.
        held.signal(number)
        return held.ended_within(seconds)
    finally:
        held.close()


def resident_bytes(pid: int) -> int:
    """Memory of a process that is in RAM, or 0 when it has ended."""
    try:
        for line in (PROC / str(pid) / "status").read_text().splitlines():
            if line.startswith("VmRSS:"):
                return int(line.split()[1]) * 1024
    except (FileNotFoundError, ProcessLookupError):
        pass
    return 0
