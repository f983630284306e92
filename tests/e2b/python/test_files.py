"""Files go in and come out, in every way that the stock client sends them.

Contract: section 4.7 and rows 18, 19 and 21 of section 8.
"""

from __future__ import annotations

import io
import os

import pytest
from e2b_code_interpreter import (
    AuthenticationException,
    InvalidArgumentException,
    NotFoundException,
)

FIVE_MEGABYTES = 5 << 20


def test_text_comes_back(sandbox):
    written = sandbox.files.write("hello.txt", "Grüße ✓")
    assert (written.name, written.path) == ("hello.txt", "/home/user/hello.txt")
    assert sandbox.files.read("hello.txt") == "Grüße ✓"
    assert sandbox.files.read("/home/user/hello.txt") == "Grüße ✓"
    assert sandbox.files.read("~/hello.txt") == "Grüße ✓"


@pytest.mark.parametrize(
    ("octets", "gzip"),
    [(True, True), (True, False), (False, False)],
    ids=["octet-stream-gzip", "octet-stream", "multipart"],
)
def test_bytes_come_back_in_every_encoding(sandbox, octets, gzip):
    data = os.urandom(FIVE_MEGABYTES)
    sandbox.files.write("/tmp/data.bin", data, gzip=gzip, use_octet_stream=octets)
    assert bytes(sandbox.files.read("/tmp/data.bin", format="bytes")) == data
    assert bytes(sandbox.files.read("/tmp/data.bin", format="bytes", gzip=True)) == data
    chunks = sandbox.files.read("/tmp/data.bin", format="stream")
    assert b"".join(chunks) == data


def test_a_file_object_is_streamed(sandbox):
    data = os.urandom(FIVE_MEGABYTES)
    sandbox.files.write("streamed.bin", io.BytesIO(data))
    assert bytes(sandbox.files.read("streamed.bin", format="bytes")) == data


def test_an_empty_file_is_empty(sandbox):
    sandbox.files.write("empty", "")
    assert sandbox.files.read("empty") == ""
    assert bytes(sandbox.files.read("empty", format="bytes")) == b""


def test_many_files_answer_in_order_and_keep_their_directories(sandbox):
    files = [{"path": f"many/{n}/file-{n}.txt", "data": f"text {n}"} for n in range(5)]
    written = sandbox.files.write_files(files)
    assert [w.path for w in written] == [f"/home/user/many/{n}/file-{n}.txt" for n in range(5)]
    for n in range(5):
        assert sandbox.files.read(f"many/{n}/file-{n}.txt") == f"text {n}"


def test_names_may_hold_anything(sandbox):
    for name in ["mit blank.txt", "größe.txt", "日本.txt", "a+b&c=d%20.txt", "quote'\".txt"]:
        sandbox.files.write(name, name)
        assert sandbox.files.read(name) == name


def test_missing_parents_are_made_for_the_user(sandbox):
    sandbox.files.write("/home/user/a/b/c.txt", "x")
    shown = sandbox.commands.run("stat -c '%U:%G %a' a a/b a/b/c.txt", cwd="/home/user").stdout
    assert shown.split("\n")[:3] == ["user:user 755", "user:user 755", "user:user 644"]


def test_a_shorter_file_replaces_a_longer_one(sandbox):
    sandbox.files.write("shrink.txt", "a long text")
    sandbox.files.write("shrink.txt", "short")
    assert sandbox.files.read("shrink.txt") == "short"


def test_root_has_a_home_of_its_own(sandbox):
    assert sandbox.files.write("mine.txt", "x", user="root").path == "/root/mine.txt"
    assert sandbox.files.read("/root/mine.txt", user="root") == "x"


def test_files_of_the_kernel_are_the_same_files(sandbox):
    sandbox.files.write("input.csv", "a,b\n1,2\n3,4\n")
    code = "import pandas as pd\nf = pd.read_csv('input.csv')\nf.to_json('output.json')\nint(f.b.sum())"
    assert sandbox.run_code(code).text == "6"
    assert sandbox.files.read("output.json") == '{"a":{"0":1,"1":3},"b":{"0":2,"1":4}}'


def test_files_of_proc_are_read_to_their_end(sandbox):
    assert "Linux" in sandbox.files.read("/proc/version")


def test_a_missing_file_is_not_found(sandbox):
    with pytest.raises(NotFoundException, match="'/home/user/nowhere' does not exist"):
        sandbox.files.read("nowhere")


def test_a_directory_is_not_a_file(sandbox):
    with pytest.raises(InvalidArgumentException, match="is a directory"):
        sandbox.files.read("/tmp")
    with pytest.raises(InvalidArgumentException, match="path is a directory: /tmp"):
        sandbox.files.write("/tmp", "x")


def test_an_unknown_user_is_refused(sandbox):
    with pytest.raises(AuthenticationException, match="error looking up user 'nobody-here'"):
        sandbox.files.read("/tmp/x", user="nobody-here")
