"""A sandbox is made, found, kept, and ended through the stock client.

Contract: sections 3.1, 3.3 to 3.6, and rows 2, 3, 10 and 27 of section 8.
"""

from __future__ import annotations

import re
import time
from datetime import datetime, timedelta, timezone

import pytest
from e2b_code_interpreter import AuthenticationException, NotFoundException, Sandbox, SandboxException


def test_a_sandbox_runs_until_it_is_killed(create):
    sandbox = create()
    assert re.fullmatch(r"i[a-z0-9]{20}", sandbox.sandbox_id)
    assert sandbox.is_running()
    assert sandbox.kill() is True
    assert sandbox.is_running() is False


def test_killing_twice_or_an_unknown_one_says_false(create):
    sandbox = create("base")
    assert sandbox.kill() is True
    assert sandbox.kill() is False
    assert Sandbox.kill("nonexistingsandbox") is False


def test_info_tells_what_was_asked_for(create):
    sandbox = create("base", timeout=120, metadata={"owner": "story"})
    info = sandbox.get_info()
    assert info.sandbox_id == sandbox.sandbox_id
    assert info.name == "base"
    assert info.metadata == {"owner": "story"}
    assert info.state.value == "running"
    assert info.cpu_count >= 1 and info.memory_mb >= 128
    assert abs((info.end_at - info.started_at) - timedelta(seconds=120)) < timedelta(seconds=5)
    assert abs(info.started_at - datetime.now(timezone.utc)) < timedelta(minutes=2)


def test_info_of_a_killed_sandbox_is_not_found(create):
    sandbox = create("base")
    sandbox.kill()
    with pytest.raises(NotFoundException):
        Sandbox.get_info(sandbox.sandbox_id)


def test_connect_never_shortens_and_may_extend(create):
    sandbox = create("base", timeout=300)
    end = sandbox.get_info().end_at
    Sandbox.connect(sandbox.sandbox_id, timeout=30)
    assert sandbox.get_info().end_at == end
    Sandbox.connect(sandbox.sandbox_id, timeout=600)
    assert sandbox.get_info().end_at > end + timedelta(seconds=250)


def test_a_connected_client_works_on_the_same_sandbox(create):
    first = create()
    first.run_code("kept = 41")
    second = Sandbox.connect(first.sandbox_id)
    assert second.sandbox_id == first.sandbox_id
    assert second.run_code("kept + 1").text == "42"
    first.files.write("note.txt", "from the first")
    assert second.files.read("note.txt") == "from the first"


def test_connect_to_an_unknown_sandbox_is_not_found(server):
    with pytest.raises(NotFoundException):
        Sandbox.connect("nonexistingsandbox")


def test_set_timeout_may_shorten(create):
    sandbox = create("base", timeout=600)
    sandbox.set_timeout(60)
    left = sandbox.get_info().end_at - datetime.now(timezone.utc)
    assert timedelta(seconds=45) < left <= timedelta(seconds=61)


def test_set_timeout_of_nothing_ends_the_sandbox_now(create):
    sandbox = create("base")
    sandbox.set_timeout(0)
    assert gone_within(sandbox, 10)
    with pytest.raises(NotFoundException):
        Sandbox.get_info(sandbox.sandbox_id)


def test_a_sandbox_ends_by_itself_at_its_timeout(create):
    sandbox = create("base", timeout=3)
    assert sandbox.is_running()
    assert gone_within(sandbox, 15)
    assert sandbox.kill() is False


def test_a_timeout_beyond_the_limit_is_refused(server):
    with pytest.raises(SandboxException, match=r"Timeout cannot be greater than \d+ hours"):
        Sandbox.create("base", timeout=10_000_000)


def test_an_unknown_template_is_named_in_the_error(server):
    with pytest.raises(SandboxException, match=r"404.*no-such-template"):
        Sandbox.create("no-such-template")


def test_a_wrong_key_is_refused(server):
    with pytest.raises(AuthenticationException):
        Sandbox.create("base", api_key="e2b_" + "0" * 40)


def gone_within(sandbox: Sandbox, seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if not sandbox.is_running():
            return True
        time.sleep(0.2)
    return False
