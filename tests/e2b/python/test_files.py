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


def test_a_small_file_is_never_seen_empty_while_it_is_replaced(sandbox):
    sandbox.files.write("replaced", "a" * 1000)
    look = (
        "n = 0\nimport os\nwhile not os.path.exists('stop'):\n"
        " assert len(open('replaced').read()) == 1000\n n += 1\nprint(n > 0)"
    )
    sandbox.files.write("look.py", look)
    handle = sandbox.commands.run("python3 look.py", background=True)
    for number in range(100):
        sandbox.files.write("replaced", "ab"[number % 2] * 1000)
    sandbox.files.write("stop", "")
    assert handle.wait().stdout == "True\n"


def test_a_part_of_a_file_can_be_asked_for(sandbox, wire):
    data = bytes(range(256)) * 2000
    sandbox.files.write("/tmp/parts", data)
    url = sandbox.download_url("/tmp/parts", use_signature_expiration=60)
    path = url.removeprefix(f"http://{wire.host}:{wire.port}")

    def part(value: str) -> tuple[int, str | None, bytes]:
        answer = wire.send("GET", path, headers={"Range": value})
        return answer.status, answer.headers.get("content-range"), answer.body

    assert part("bytes=2-4") == (206, "bytes 2-4/512000", data[2:5])
    assert part("bytes=-5") == (206, "bytes 511995-511999/512000", data[-5:])
    assert part("bytes=300000-400000") == (206, "bytes 300000-400000/512000", data[300000:400001])
    assert part("bytes=512000-")[:2] == (416, "bytes */512000")


def test_links_are_shown_and_followed_as_the_contract_says(sandbox):
    sandbox.commands.run("mkdir -p l/dir; echo hi > l/real; cd l; ln -s real a; ln -s dir d; ln -s gone g")
    entries = {entry.name: entry for entry in sandbox.files.list("l")}
    assert "g" not in entries, "what a link leads nowhere to has no type, so clients drop it"
    assert (entries["a"].symlink_target, entries["a"].permissions) == ("/home/user/l/real", "Lrwxrwxrwx")
    # The newest client says what it is, the older one where it leads.
    assert entries["d"].type.value in ("dir", "symlink")
    assert sandbox.files.read("l/a") == "hi\n"
    sandbox.files.write("l/d/new", "through")
    assert sandbox.files.read("l/dir/new") == "through"
    assert [entry.path for entry in sandbox.files.list("l/d")] == ["/home/user/l/d/new"]
    sandbox.files.remove("l/d")
    assert sandbox.files.read("l/dir/new") == "through", "a link is removed, not where it leads"
