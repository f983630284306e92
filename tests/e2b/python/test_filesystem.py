"""Directories, names and what is known of a file, through the filesystem service.

Contract: section 4.5 without watching, rows 17 and 18 of section 8.
"""

from __future__ import annotations

import pytest
from e2b_code_interpreter import NotFoundException


def test_directories_are_made_once(sandbox):
    assert sandbox.files.make_dir("made/deep/down") is True
    assert sandbox.files.make_dir("made/deep/down") is False
    assert sandbox.files.exists("made/deep") is True
    assert sandbox.files.exists("made/nowhere") is False


def test_a_listing_goes_depth_first_in_order(sandbox):
    for path in ("tree/b.txt", "tree/a/inner.txt", "tree/c/deep/x.txt"):
        sandbox.files.write(path, "x")
    home = "/home/user/tree"
    assert [e.path for e in sandbox.files.list("tree")] == [f"{home}/a", f"{home}/b.txt", f"{home}/c"]
    paths = [entry.path for entry in sandbox.files.list("tree", depth=2)]
    assert paths == [
        *(f"{home}/a", f"{home}/a/inner.txt"),
        *(f"{home}/b.txt", f"{home}/c", f"{home}/c/deep"),
    ]


def test_an_entry_tells_size_mode_and_owner(sandbox):
    sandbox.files.write("entry/file.txt", "12345")
    file = sandbox.files.get_info("entry/file.txt")
    assert (file.name, file.size, file.mode, file.permissions) == ("file.txt", 5, 0o644, "-rw-r--r--")
    assert (file.owner, file.group) == ("user", "user")
    directory = sandbox.files.get_info("entry")
    assert (directory.type.value, directory.permissions) == ("dir", "drwxr-xr-x")


def test_a_symlink_shows_its_resolved_target(sandbox):
    sandbox.commands.run("mkdir -p links && cd links && echo x > real && ln -s real alias")
    link = sandbox.files.get_info("links/alias")
    assert link.symlink_target == "/home/user/links/real"


def test_renaming_moves_a_file(sandbox):
    sandbox.files.write("before.txt", "moved")
    assert sandbox.files.rename("before.txt", "other/after.txt").path == "/home/user/other/after.txt"
    assert sandbox.files.read("other/after.txt") == "moved"
    assert sandbox.files.exists("before.txt") is False


def test_removing_what_is_missing_is_fine(sandbox):
    sandbox.files.write("gone/a/b.txt", "x")
    sandbox.files.remove("gone")
    assert sandbox.files.exists("gone") is False
    sandbox.files.remove("gone")


def test_missing_paths_are_not_found(sandbox):
    for call in (
        lambda: sandbox.files.list("no/where"),
        lambda: sandbox.files.get_info("no/where"),
        lambda: sandbox.files.rename("no/where", "elsewhere"),
    ):
        with pytest.raises(NotFoundException):
            call()
