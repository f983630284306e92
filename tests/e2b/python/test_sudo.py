"""Root's rights for `user`, who needs no password. Set-uid programs gain nothing in a sandbox.

Contract: section 4.3.
"""

from __future__ import annotations

import pytest
from e2b import CommandExitException

# A package that is made in the sandbox, installed by apt, run, and removed.
PACKAGE = r"""
set -e
mkdir -p package/DEBIAN package/usr/local/bin
printf '#!/bin/sh\necho from the package\n' > package/usr/local/bin/packaged
chmod 755 package/usr/local/bin/packaged
printf 'Package: packaged\nVersion: 1\nArchitecture: all\nMaintainer: M <m@example.org>\nDescription: d\n' \
  > package/DEBIAN/control
dpkg-deb --build --root-owner-group package packaged.deb > built
sudo apt-get install -y ./packaged.deb > installed 2>&1 || { cat installed; exit 1; }
packaged
sudo apt-get remove -y packaged > removed 2>&1
"""


def test_sudo_gives_root_and_passes_the_exit_code_on(sandbox):
    assert sandbox.commands.run("sudo whoami").stdout == "root\n"
    assert sandbox.commands.run("echo typed | sudo sh -c 'cat; id -u'").stdout == "typed\n0\n"
    with pytest.raises(CommandExitException) as raised:
        sandbox.commands.run("sudo sh -c 'exit 7'")
    assert raised.value.exit_code == 7


def test_other_users_logins_and_variables(sandbox):
    def run(command: str) -> str:
        return sandbox.commands.run(command, envs={"MINE": "yes"}).stdout

    assert run("sudo -u nobody whoami; sudo -u '#1000' whoami") == "nobody\nuser\n"
    assert run("sudo -i sh -c 'echo $HOME $PWD'") == "/root /root\n"
    assert run("sudo -iu user pwd") == "/home/user\n"
    assert run("sudo -E sh -c 'echo $MINE'; sudo OTHER=set sh -c 'echo $OTHER'") == "yes\nset\n"
    assert run("cd /tmp && sudo pwd") == "/tmp\n"
    assert run("sudo -u nobody sudo -n whoami 2>&1 || echo refused").endswith("refused\n")


def test_a_signal_reaches_the_command_and_its_death_is_seen(sandbox):
    with pytest.raises(CommandExitException) as raised:
        sandbox.commands.run("exec sudo sh -c 'kill -9 $$'")
    assert raised.value.error == "signal: killed"
    told = "trap 'echo told; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    handle = sandbox.commands.run(f'exec sudo bash -c "{told}"', background=True)
    for stdout, _, _ in handle:
        if "ready" in (stdout or ""):
            sandbox.commands.run(f"kill {handle.pid}")
    with pytest.raises(CommandExitException) as raised:
        handle.wait()
    assert (raised.value.exit_code, raised.value.stdout) == (5, "ready\ntold\n")


def test_a_killed_sudo_takes_its_command_along(sandbox):
    handle = sandbox.commands.run("sudo sh -c 'echo up; exec sleep 4444'", background=True)
    next(iter(handle))
    handle.kill()
    sandbox.commands.run('while pgrep -f "[s]leep 4444"; do sleep 0.1; done')


def test_apt_installs_a_local_package(sandbox):
    assert sandbox.commands.run(PACKAGE, timeout=180).stdout == "from the package\n"
