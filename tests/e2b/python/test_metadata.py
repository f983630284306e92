"""What a client says of a file is kept with it.

Contract: sections 4.5 and 4.7, row 20 of section 8.
"""

from __future__ import annotations

import pytest
from e2b_code_interpreter import InvalidArgumentException
from harness.server import ISOLATION

TAGS = {"author": "me", "kind": "two words"}


def of(sandbox, path: str) -> dict[str, str]:
    return sandbox.files.get_info(path).metadata or {}


def test_it_is_shown_kept_by_renames_and_cleared_by_a_plain_write(sandbox):
    written = sandbox.files.write("tagged/a", "x", metadata={"Author": "me", "kind": "two words"})
    assert written.metadata == TAGS
    assert of(sandbox, "tagged/a") == TAGS
    sandbox.files.rename("tagged/a", "tagged/b")
    sandbox.commands.run("mv tagged/b tagged/c; echo more >> tagged/c; : > tagged/plain")
    shown = {entry.name: entry.metadata or {} for entry in sandbox.files.list("tagged")}
    assert shown == {"c": TAGS, "plain": {}}
    # Where that is another file system, it is a copy.
    assert sandbox.files.rename("tagged/c", "/tmp/tagged").metadata == TAGS
    sandbox.files.rename("/tmp/tagged", "tagged/c")
    assert of(sandbox, "tagged/c") == TAGS
    sandbox.files.write("tagged/c", "y")
    assert of(sandbox, "tagged/c") == {}


def test_a_new_set_replaces_the_old_one_on_all_files(sandbox):
    files = [{"path": f"set/{n}", "data": "x"} for n in range(3)]
    sandbox.files.write_files(files, metadata={"old": "1"})
    sandbox.files.write_files(files, metadata={"new": "2"})
    assert [of(sandbox, f"set/{n}") for n in range(3)] == [{"new": "2"}] * 3


def test_a_removed_file_leaves_nothing_to_the_next_one(sandbox):
    sandbox.files.write("again", "x", metadata={"key": "value"})
    sandbox.commands.run("rm again; for n in $(seq 20); do : > again-$n; done; : > again")
    assert of(sandbox, "again") == {}
    assert not any(e.metadata for e in sandbox.files.list(".") if e.name.startswith("again"))


def test_what_cannot_be_kept_is_refused(sandbox):
    with pytest.raises(InvalidArgumentException, match="invalid metadata"):
        sandbox.files.write("refused", "x", metadata={"long": "v" * 5000})
    assert sandbox.files.exists("refused") is False


def test_programs_see_and_set_it_where_their_file_system_can(sandbox):
    """gVisor gives programs no attributes, so there it is between clients only."""
    sandbox.files.write("shared", "x", metadata={"by": "client"})
    program = "import os; print(os.getxattr('shared', 'user.e2b.by'));"
    program += "os.setxattr('shared', 'user.e2b.from', b'program')"
    command = f'python3 -c "{program}" 2>&1 || true'
    said = sandbox.commands.run(command).stdout
    if ISOLATION == "gvisor":
        assert "Error" in said and of(sandbox, "shared") == {"by": "client"}
    else:
        assert said == "b'client'\n"
        assert of(sandbox, "shared") == {"by": "client", "from": "program"}
