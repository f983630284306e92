"""`soulbox cp`: files and whole directories, in and out, and what a hostile sandbox can't do."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest


@pytest.fixture
def tree(tmp_path) -> Path:
    """A directory with everything that a copy may meet."""
    root = tmp_path / "project"
    (root / "src/deep").mkdir(parents=True)
    (root / "empty").mkdir()
    (root / "src/main.py").write_text("print('hello')\n")
    (root / "src/deep/grüße und 'quotes'.bin").write_bytes(os.urandom(300_000))
    (root / "run.sh").write_text("#!/bin/sh\necho ran\n")
    (root / "run.sh").chmod(0o755)
    (root / "src/link").symlink_to("deep/../main.py")
    (root / "up").symlink_to("src/deep")
    return root


def shape(root: Path) -> dict[str, object]:
    """Names, contents, links and who may execute."""
    seen: dict[str, object] = {}
    for path in sorted(root.rglob("*")):
        name = str(path.relative_to(root))
        if path.is_symlink():
            seen[name] = ("link", str(path.resolve().relative_to(root.resolve())))
        elif path.is_dir():
            seen[name] = "directory"
        else:
            seen[name] = (path.read_bytes(), bool(path.stat().st_mode & stat.S_IXUSR))
    return seen


def test_a_directory_goes_in_and_comes_out_the_same(soulbox, sandbox, tree, tmp_path):
    done = soulbox("cp", str(tree), f"{sandbox}:/home/user/there")
    assert (done.returncode, done.stderr) == (0, b"")
    ran = soulbox(
        "exec", sandbox, "--", "sh", "-c", "cd there && ./run.sh && python3 up/../main.py; stat -c %U ."
    )
    assert ran.stdout.decode().split() == ["ran", "hello", "user"]
    back = tmp_path / "back"
    done = soulbox("cp", f"{sandbox}:there", str(back))
    assert (done.returncode, done.stderr) == (0, b"")
    assert shape(back) == shape(tree)
    # Once more, over what is there.
    assert soulbox("cp", f"{sandbox}:there/", str(back)).returncode == 0
    assert shape(back / "there") == shape(tree)


def test_a_directory_goes_into_one_that_is_there(soulbox, sandbox, tree):
    for _ in range(2):
        assert soulbox("cp", str(tree), f"{sandbox}:/tmp/").returncode == 0
    listed = soulbox("exec", sandbox, "--", "ls", "/tmp/project")
    assert listed.stdout.decode().split() == ["empty", "run.sh", "src", "up"]


def test_hundreds_of_small_files_arrive(soulbox, sandbox, tmp_path):
    many = tmp_path / "many"
    many.mkdir()
    for number in range(300):
        (many / f"{number}.txt").write_text(str(number))
    assert soulbox("cp", str(many), f"{sandbox}:").returncode == 0
    back = tmp_path / "back"
    assert soulbox("cp", f"{sandbox}:many", str(back)).returncode == 0
    assert shape(back) == shape(many)


def test_what_can_not_be_copied_is_named(soulbox, sandbox, tmp_path):
    root = tmp_path / "odd"
    root.mkdir()
    (root / "out").symlink_to("../../etc")
    (root / "absolute").symlink_to("/etc/passwd")
    (root / "good").write_text("good")
    os.mkfifo(root / "pipe")
    done = soulbox("cp", str(root), f"{sandbox}:/tmp/odd")
    assert done.returncode == 0
    for name in ("out", "absolute", "pipe"):
        assert f"left out {root}/{name}".encode() in done.stderr
    assert soulbox("exec", sandbox, "--", "ls", "/tmp/odd").stdout == b"good\n"


def test_links_of_a_sandbox_lead_nowhere_else_here(soulbox, sandbox, tmp_path):
    script = (
        "mkdir -p evil/sub && cd evil && ln -s / root && ln -s ../../../../../tmp climb && ln -s nowhere gone"
        " && ln -s sub/in inside && echo in > sub/in && ln -s /etc/passwd sub/secret && mkfifo pipe"
        " && printf x > $(printf 'a\\nb') && ln -s climb/../../x twice"
    )
    assert soulbox("exec", sandbox, "--", "sh", "-c", script).returncode == 0
    target = tmp_path / "target"
    done = soulbox("cp", f"{sandbox}:evil", str(target))
    assert done.returncode == 0, done.stderr
    assert {path.name for path in target.rglob("*")} == {"sub", "in", "inside", "a\nb"}
    assert os.readlink(target / "inside") == "sub/in"
    for name in ("root", "climb", "gone", "twice", "secret", "pipe"):
        assert name.encode() in done.stderr
    assert b"\n" in done.stderr and b"\x1b" not in done.stderr


def test_a_link_that_is_here_already_is_not_followed(soulbox, sandbox, tmp_path):
    assert (
        soulbox("exec", sandbox, "--", "sh", "-c", "mkdir -p trap/sub && echo new > trap/sub/file").returncode
        == 0
    )
    target, elsewhere = tmp_path / "target", tmp_path / "elsewhere"
    target.mkdir(), elsewhere.mkdir()
    (target / "trap").mkdir()
    (target / "trap/sub").symlink_to(elsewhere)
    done = soulbox("cp", f"{sandbox}:trap", str(target))
    assert done.returncode == 1
    assert b"trap/sub" in done.stderr
    assert list(elsewhere.iterdir()) == []


def test_a_set_uid_bit_stays_where_it_is(soulbox, sandbox, tmp_path):
    assert soulbox("exec", sandbox, "--", "sh", "-c", "echo x > tool && chmod 4755 tool").returncode == 0
    assert soulbox("cp", f"{sandbox}:tool", str(tmp_path)).returncode == 0
    assert stat.S_IMODE((tmp_path / "tool").stat().st_mode) & 0o7000 == 0


def test_a_copy_over_something_else_fails_and_says_so(soulbox, sandbox, tree, tmp_path):
    assert soulbox("exec", sandbox, "--", "sh", "-c", "echo x > plain").returncode == 0
    done = soulbox("cp", str(tree), f"{sandbox}:plain")
    assert done.returncode == 1 and b"plain" in done.stderr
    assert soulbox("cp", str(tmp_path / "missing"), f"{sandbox}:x").returncode == 1
    assert soulbox("cp", f"{sandbox}:missing", str(tmp_path)).returncode == 1
