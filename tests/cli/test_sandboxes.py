"""`soulbox ps`, `kill` and `cp`: what there is, its end, and files in and out."""

from __future__ import annotations

import os


def test_ps_lists_sandboxes_and_kill_ends_them(soulbox, wire):
    sandbox = wire.create("base", timeout=60)["sandboxID"]
    listed = soulbox("ps")
    row = next(line for line in listed.stdout.decode().splitlines() if sandbox in line)
    assert row.split()[1:3] == ["base", "running"]
    killed = soulbox("kill", sandbox)
    assert (killed.returncode, killed.stdout.decode()) == (0, f"{sandbox}\n")
    assert sandbox.encode() not in soulbox("ps").stdout
    again = soulbox("kill", sandbox)
    assert again.returncode == 1
    assert b"doesn't exist" in again.stderr


def test_ps_of_a_sandbox_lists_its_processes(soulbox, sandbox):
    done = soulbox("exec", sandbox, "--", "sh", "-c", "exit 0")
    assert done.returncode == 0
    listed = soulbox("ps", sandbox)
    assert listed.returncode == 0
    assert listed.stdout.decode().splitlines()[0].split() == ["PID", "TAG", "COMMAND"]


def test_files_go_in_and_come_out_as_they_are(soulbox, sandbox, tmp_path):
    payload = os.urandom(5_000_000)
    here, back = tmp_path / "a file", tmp_path / "back"
    here.write_bytes(payload)
    back.mkdir()
    assert soulbox("cp", str(here), f"{sandbox}:/home/user/in/").returncode == 0
    assert soulbox("cp", f"{sandbox}:in/a file", str(back)).returncode == 0
    assert (back / "a file").read_bytes() == payload
    assert [path.name for path in back.iterdir()] == ["a file"]


def test_a_copy_that_fails_says_why_and_leaves_nothing(soulbox, sandbox, tmp_path):
    done = soulbox("cp", f"{sandbox}:/no/such/file", str(tmp_path / "x"))
    assert done.returncode == 1
    assert b"does not exist" in done.stderr
    assert list(tmp_path.iterdir()) == []
    assert soulbox("cp", "a", "b").returncode == 1
