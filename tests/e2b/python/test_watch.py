"""Watching directories: exact events, once the call that caused them has returned.

Contract: section 4.5, rows 22 and 23 of section 8.
"""

from __future__ import annotations

import pytest
from e2b import FilesystemEventType
from e2b_code_interpreter import NotFoundException, Sandbox, SandboxException

CREATE, WRITE, REMOVE, RENAME, CHMOD = (
    FilesystemEventType.CREATE,
    FilesystemEventType.WRITE,
    FilesystemEventType.REMOVE,
    FilesystemEventType.RENAME,
    FilesystemEventType.CHMOD,
)


def names(handle) -> list[tuple[str, FilesystemEventType]]:
    return [(event.name, event.type) for event in handle.get_new_events()]


def written(name: str) -> list[tuple[str, FilesystemEventType]]:
    return [(name, kind) for kind in (CREATE, CHMOD, WRITE)]


def test_a_new_small_file_is_three_events(sandbox):
    sandbox.files.make_dir("watched")
    handle = sandbox.files.watch_dir("watched")
    sandbox.files.write("watched/note.txt", "hello")
    assert names(handle) == written("note.txt")
    sandbox.files.write("watched/note.txt", "again")
    assert names(handle) == [("note.txt", CHMOD), ("note.txt", WRITE)]
    handle.stop()
    with pytest.raises(SandboxException):
        handle.get_new_events()


def test_every_change_has_its_event(sandbox):
    sandbox.files.write("changes/a", "x")
    handle = sandbox.files.watch_dir("changes")
    sandbox.files.rename("changes/a", "changes/b")
    assert names(handle) == [("a", RENAME), ("b", CREATE)]
    sandbox.commands.run("chmod 600 changes/b; echo more >> changes/b; ln -s b changes/link")
    assert names(handle) == [("b", CHMOD), ("b", WRITE), ("link", CREATE)]
    sandbox.files.make_dir("changes/below")
    sandbox.files.write("changes/below/unseen", "x")
    assert names(handle) == [("below", CREATE), ("below", CHMOD)]
    sandbox.files.remove("changes/b")
    assert names(handle) == [("b", REMOVE)]
    handle.stop()


def test_a_recursive_watch_covers_directories_made_later(sandbox):
    sandbox.files.make_dir("tree")
    handle = sandbox.files.watch_dir("tree", recursive=True)
    sandbox.files.write("tree/sub/leaf.txt", "green")
    assert names(handle) == [("sub", CREATE), ("sub", CHMOD), *written("sub/leaf.txt")]
    sandbox.files.rename("tree/sub", "tree/other")
    assert names(handle) == [("sub", RENAME), ("other", CREATE)]
    sandbox.files.write("tree/other/leaf.txt", "brown")
    assert names(handle) == [("other/leaf.txt", CHMOD), ("other/leaf.txt", WRITE)]
    sandbox.files.remove("tree/other")
    assert names(handle) == [("other/leaf.txt", REMOVE), ("other", REMOVE)]
    handle.stop()


def test_entries_come_along_when_they_are_asked_for(sandbox):
    sandbox.files.write("described/old", "x")
    handle = sandbox.files.watch_dir("described", include_entry=True)
    sandbox.files.write("described/new", "four")
    sandbox.files.remove("described/old")
    *made, removed = handle.get_new_events()
    assert {(e.entry.path, e.entry.owner) for e in made} == {("/home/user/described/new", "user")}
    assert (removed.type, removed.entry) == (REMOVE, None)
    handle.stop()


def test_thousands_of_files_are_all_told(sandbox):
    sandbox.files.make_dir("crowd")
    handle = sandbox.files.watch_dir("crowd")
    sandbox.commands.run("cd crowd; for n in $(seq 3000); do : > $n; done")
    assert names(handle) == [(str(n), CREATE) for n in range(1, 3001)]
    handle.stop()


def test_events_that_were_lost_are_told_once(sandbox):
    sandbox.files.make_dir("flood")
    handle = sandbox.files.watch_dir("flood")
    # Two files in turn, since equal events that follow each other are one.
    program = "import os\nfiles = [os.open(f'flood/{n}', os.O_CREAT | os.O_WRONLY) for n in (0, 1)]\n"
    program += "for n in range(40_000): os.write(files[n % 2], b'x')"
    sandbox.commands.run(f'python3 -c "{program}"', timeout=120)
    with pytest.raises(SandboxException, match="events were lost"):
        handle.get_new_events()
    names(handle)
    sandbox.files.write("flood/later", "x")
    assert names(handle)[-3:] == written("later")
    handle.stop()


def test_a_watcher_outlives_the_connection_that_made_it(sandbox):
    sandbox.files.make_dir("kept")
    handle = sandbox.files.watch_dir("kept")
    other = Sandbox.connect(sandbox.sandbox_id)
    other.files.write("kept/a", "x")
    assert names(handle) == written("a")
    handle.stop()


def test_only_directories_that_are_there_can_be_watched(sandbox):
    sandbox.files.write("a-file", "x")
    with pytest.raises(SandboxException, match="not a directory"):
        sandbox.files.watch_dir("a-file")
    with pytest.raises(NotFoundException):
        sandbox.files.watch_dir("no/where")
