"""Watching directories: exact events, once the call that caused them has returned.

Contract: section 4.5, row 22 of section 8.
"""

from __future__ import annotations

from e2b import FilesystemEventType


def names(handle) -> list[tuple[str, FilesystemEventType]]:
    return [(event.name, event.type) for event in handle.get_new_events()]


def test_a_new_small_file_is_three_events(sandbox):
    sandbox.files.make_dir("watched")
    handle = sandbox.files.watch_dir("watched")
    sandbox.files.write("watched/note.txt", "hello")
    kinds = [FilesystemEventType.CREATE, FilesystemEventType.CHMOD, FilesystemEventType.WRITE]
    assert names(handle) == [("note.txt", kind) for kind in kinds]
    sandbox.files.write("watched/note.txt", "again")
    assert names(handle) == [("note.txt", kind) for kind in kinds[1:]]
    handle.stop()


def test_a_recursive_watch_covers_directories_made_later(sandbox):
    sandbox.files.make_dir("tree")
    handle = sandbox.files.watch_dir("tree", recursive=True)
    sandbox.files.make_dir("tree/sub")
    sandbox.files.write("tree/sub/leaf.txt", "green")
    assert ("sub/leaf.txt", FilesystemEventType.WRITE) in names(handle)
    handle.stop()
