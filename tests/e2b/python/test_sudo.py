"""Root's rights for `user`, who needs no password. Set-uid programs gain nothing in a sandbox.

Contract: section 4.3.
"""

from __future__ import annotations

import pytest
from e2b import CommandExitException


def test_sudo_gives_root_and_passes_the_exit_code_on(sandbox):
    assert sandbox.commands.run("sudo whoami").stdout == "root\n"
    assert sandbox.commands.run("echo typed | sudo sh -c 'cat; id -u'").stdout == "typed\n0\n"
    with pytest.raises(CommandExitException) as raised:
        sandbox.commands.run("sudo sh -c 'exit 7'")
    assert raised.value.exit_code == 7
