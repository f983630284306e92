"""What code inside a sandbox tries against its walls, on whichever tier is under test.

THREATS.md names each of these stories beside the promise that it shows.
"""

from __future__ import annotations

import pytest
from harness.wire import text_of


@pytest.fixture(scope="module")
def inside(wire):
    """Runs a cell as root inside one sandbox and gives what it printed."""
    sandbox = wire.create(timeout=600)["sandboxID"]

    def run(code: str) -> str:
        items = wire.execute(sandbox, code).items()
        errors = [item for item in items if item["type"] == "error"]
        return text_of(items) + "".join(f"{e['name']}: {e['value']}" for e in errors)

    yield run
    wire.kill(sandbox)


def test_no_process_of_the_host_is_seen(inside):
    names = inside(
        "import os\nprint(*[open(f'/proc/{p}/comm').read() for p in os.listdir('/proc') if p.isdigit()])"
    )
    assert "soulbox-agent" in names
    for name in ("systemd", "runsc", "sshd", "soulbox\n"):
        assert name not in names


def test_no_network_interface_but_loopback(inside):
    assert inside("print(open('/proc/net/dev').read())").count(":") <= 1
    assert "Error" in inside("import socket\nsocket.create_connection(('192.0.2.1', 443), timeout=5)")


@pytest.mark.parametrize("target", ["/dev/kmsg", "/dev/mem", "/dev/loop0", "/dev/loop-control", "/dev/vda"])
def test_no_device_of_the_host_opens(inside, target):
    assert "Error" in inside(f"open({target!r}, 'rb').read(1)")


def test_a_block_device_cannot_be_made(inside):
    made = "import os\nos.mknod('/tmp/disk', 0o60600, os.makedev(254, 0))\n"
    assert "Error" in inside(made + "open('/tmp/disk', 'rb').read(1)\nprint('read')")


def test_nothing_can_be_mounted(inside):
    code = "import subprocess\nprint(subprocess.run(['mount', '-t', 'proc', 'none', '/mnt']).returncode)"
    assert inside(code).strip() != "0" or "PermissionError" in inside(code)


@pytest.mark.parametrize(
    "path",
    [
        "/proc/sys/kernel/core_pattern",
        "/proc/sysrq-trigger",
        "/sys/kernel/uevent_helper",
        "/proc/sys/vm/drop_caches",
    ],
)
def test_no_kernel_setting_can_be_written(inside, path):
    assert "Error" in inside(f"with open({path!r}, 'w') as f: f.write('|/tmp/x'); f.flush()")


def test_no_kernel_module_can_be_loaded(inside):
    finit_module = 313  # On x86-64.
    library = "import ctypes\nlibrary = ctypes.CDLL(None)\n"
    assert inside(library + f"print(library.syscall({finit_module}, -1, b'', 0))") == "-1\n"


def test_the_agent_cannot_be_replaced(inside):
    assert "Error" in inside("open('/opt/soulbox/bin/soulbox-agent', 'ab').write(b'x')")


def test_writes_stay_in_the_sandbox(inside, wire):
    inside("open('/usr/bin/from-a-sandbox', 'w').write('x')")
    other = wire.create(timeout=120)["sandboxID"]
    try:
        items = wire.execute(other, "import os; print(os.path.exists('/usr/bin/from-a-sandbox'))").items()
        assert text_of(items) == "False\n"
    finally:
        wire.kill(other)


def test_random_numbers_of_two_sandboxes_differ(wire):
    """Sandboxes come from one warmed process or image, and must not share its random state."""
    code = "import random, numpy, secrets\nprint(random.random(), numpy.random.rand(), secrets.token_hex(8))"
    made = [wire.create(timeout=120)["sandboxID"] for _ in range(2)]
    try:
        one, two = (text_of(wire.execute(sandbox, code).items()).split() for sandbox in made)
        assert not set(one) & set(two)
    finally:
        for sandbox in made:
            wire.kill(sandbox)


def test_secrets_of_the_host_are_not_in_the_environment(inside):
    text = inside("import os\nprint(*os.environ)")
    assert "E2B_SANDBOX_ID" in text
    for name in ("E2B_API_KEY", "SOULBOX", "SSH_", "SUDO_"):
        assert name not in text


def test_the_log_holds_no_code_and_no_output(inside, server):
    inside("marker = 'tell' + 'tale'\nprint(marker * 3)")
    for path in server.home.rglob("*.log"):
        text = path.read_text(errors="replace")
        assert "telltale" not in text and "marker =" not in text
