"""What root in a sandbox does to the agent, the first process there: it dies and is told to be
dead, or it goes on. Nobody outside gets an answer that the agent did not give.

Whoever is root in a sandbox owns its agent on gVisor, where root may trace; the agent is trusted
with nothing but its sandbox, so what counts is what the owner of the sandbox is told.
"""

from __future__ import annotations

import time
from collections.abc import Iterator

import pytest
from e2b_code_interpreter import Sandbox, SandboxException
from harness.patience import eventually
from harness.server import ISOLATION
from harness.wire import ENVD_PORT, Wire

# A lost agent is noticed by the end of its channel, at once; this is for a busy machine.
NOTICED_SECONDS = 20


@pytest.fixture
def victim(create) -> Sandbox:
    return create("base")


@pytest.fixture(scope="module")
def tough(server) -> Iterator[Sandbox]:
    """For attacks that are expected to change nothing."""
    made = Sandbox.create("base", timeout=600)
    yield made
    made.kill()


def answers(wire: Wire, sandbox: Sandbox) -> bool:
    return wire.data(sandbox.sandbox_id, ENVD_PORT, "GET", "/health").status == 204


def attack(sandbox: Sandbox, command: str) -> str:
    """Runs a command as root. The agent may die under it."""
    try:
        return sandbox.commands.run(f"{command} 2>&1; true", user="root", timeout=30).stdout
    except SandboxException:
        return ""


def python(sandbox: Sandbox, program: str) -> str:
    sandbox.files.write("/tmp/attack.py", program)
    return attack(sandbox, "timeout 20 python3 /tmp/attack.py")


@pytest.mark.parametrize("signal", ["KILL", "ABRT"])
def test_a_killed_agent_goes_on_or_is_told_to_be_lost(wire, victim, signal):
    begun = time.monotonic()
    attack(victim, f"kill -{signal} 1")
    if ISOLATION == "namespace":
        assert victim.commands.run("echo alive").stdout == "alive\n"
        return
    told = eventually(lambda: wire.death_of(victim.sandbox_id).get("death"), NOTICED_SECONDS)
    assert told["reason"] == "agent-lost", told
    assert wire.data(victim.sandbox_id, ENVD_PORT, "GET", "/health").status == 502
    assert victim.is_running() is False
    assert time.monotonic() - begun < NOTICED_SECONDS


def test_signals_that_can_be_ignored_are(tough):
    names = (
        "HUP INT QUIT PIPE ALRM TERM USR1 USR2 VTALRM PROF TSTP TTIN TTOU XCPU XFSZ IO PWR STKFLT WINCH CHLD"
    )
    attack(tough, f"for s in {names} $(seq 34 64); do kill -$s 1; done")
    assert tough.commands.run("echo alive").stdout == "alive\n"


def test_the_channel_cannot_be_opened_from_inside(wire, tough):
    """Its socket is no file that a name leads to, so no bytes get into it."""
    program = """
import os
for name in os.listdir('/proc/1/fd'):
    path = f'/proc/1/fd/{name}'
    try: target = os.readlink(path)
    except OSError: target = 'hidden'
    try: descriptor = os.open(path, os.O_RDWR | os.O_NONBLOCK)
    except OSError: continue
    if any(name in target for name in ('pipe', 'null', 'console', 'random')): continue
    try: os.write(descriptor, b'HTTP/1.1 200 forged' * 100); print('wrote to', target)
    except OSError: pass
"""
    said = python(tough, program)
    # The console is a file of the host that is only ever shown, within a bound.
    assert all("host:" in line for line in said.splitlines() if line.startswith("wrote")), said
    assert answers(wire, tough)
    assert tough.commands.run("echo alive").stdout == "alive\n"


def test_the_agent_cannot_be_traced_where_root_has_no_capabilities(wire, victim):
    program = """
import ctypes, os
library = ctypes.CDLL(None, use_errno=True)
SEIZE, PIDFD_GETFD = 0x4206, 438
print('traced', library.ptrace(SEIZE, 1, 0, 0) == 0)
print('taken', library.syscall(PIDFD_GETFD, os.pidfd_open(1), 3, 0) >= 0)
try: print('opened', os.open('/proc/1/mem', os.O_RDWR) >= 0)
except OSError: print('opened False')
"""
    said = python(victim, program)
    if ISOLATION == "namespace":
        assert said == "traced False\ntaken False\nopened False\n"
    assert "taken True" not in said
    eventually(lambda: answers(wire, victim), NOTICED_SECONDS)


def test_a_preloaded_library_does_not_reach_the_agent(wire, tough):
    attack(tough, "echo /tmp/none.so > /etc/ld.so.preload")
    assert tough.commands.run("sudo whoami").stdout == "root\n"
    attack(tough, "rm /etc/ld.so.preload")
    assert answers(wire, tough)


def test_its_files_cannot_be_exchanged(tough):
    said = attack(
        tough,
        "mv /opt/soulbox /opt/other; umount /opt/soulbox; mount --bind /tmp /opt/soulbox;"
        "echo x > /opt/soulbox/bin/soulbox-agent; ls /opt/soulbox/bin",
    )
    assert said.endswith("soulbox-agent\n")
    assert tough.commands.run("sudo whoami").stdout == "root\n"


def test_files_of_the_agent_itself_are_no_way_into_it(wire, tough):
    """The agent opens paths as root, so its own /proc is tried as a target."""
    for path in ("/proc/self/mem", "/proc/1/mem", "/proc/self/fd/3", "/proc/self/fd/5", "/dev/ptmx"):
        with pytest.raises(SandboxException):
            tough.files.write(path, "forged" * 100)
            raise SandboxException("a device swallows what is written to it, which is fine too")
    for path in ("/dev/zero", "/proc/self/fd/3", "/proc/self/fd/0"):
        with pytest.raises(SandboxException):
            tough.files.read(path)
    assert answers(wire, tough)


def test_links_and_pipes_that_change_under_it_stall_nothing(wire, tough):
    """A file that is exchanged for a pipe, a link or a directory, all the time, while it is read."""
    attack(tough, "mkdir -p /tmp/swap")
    program = """
import os
os.chdir('/tmp/swap')
make = [
    lambda: open('new', 'w').write('x' * 1000),
    lambda: os.mkfifo('new'),
    lambda: os.symlink('/proc/self/mem', 'new'),
]
while not os.path.exists('stop'):
    for one in make:
        one()
        os.rename('new', 'target')
"""
    tough.files.write("/tmp/swapper.py", program)
    swapper = tough.commands.run("python3 /tmp/swapper.py", background=True, user="root")
    for _ in range(30):
        for call in (tough.files.read, lambda path: tough.files.write(path, "y")):
            try:
                call("/tmp/swap/target")
            except SandboxException:
                pass  # It is refused or missing; what counts is that there is an answer.
    tough.files.write("/tmp/swap/stop", "")
    swapper.wait()
    assert answers(wire, tough)


def test_watches_that_root_has_taken_are_an_error_of_the_call(wire, tough):
    program = """
import ctypes, os, sys, time
library = ctypes.CDLL(None)
while library.inotify_init1(0) >= 0: pass
print('taken', flush=True)
time.sleep(600)
"""
    tough.files.write("/tmp/taker.py", program)
    taker = tough.commands.run("python3 /tmp/taker.py", background=True, user="root")
    next(iter(taker))
    try:
        tough.files.watch_dir("/tmp").stop()
    except SandboxException:
        pass
    assert answers(wire, tough)
    taker.kill()
    tough.files.watch_dir("/tmp").stop()


def test_limits_taken_from_the_agent_hurt_its_own_sandbox_only(wire, victim):
    """With no descriptors left the agent answers with errors, and the sandbox can be killed."""
    python(victim, "import resource; resource.prlimit(1, resource.RLIMIT_NOFILE, (3, 3))")
    try:
        victim.files.read("/etc/hostname")
    except SandboxException:
        pass
    assert wire.send("GET", "/health").status in (200, 204)
    assert victim.kill() is True
