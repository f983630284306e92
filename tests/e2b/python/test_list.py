"""Sandboxes are found by metadata, start time and template, page by page.

Contract: section 3.2 and rows 4 to 6 of section 8. The layered encoding of metadata is the
client's own; these stories only choose values that every layer would break on.
"""

from __future__ import annotations

from datetime import timedelta

import pytest
from e2b_code_interpreter import Sandbox, SandboxQuery, SandboxState


def found(**options) -> list[str]:
    """All ids over all pages, in the order of the server."""
    pages = Sandbox.list(**options)
    ids: list[str] = []
    while pages.has_next:
        ids += [item.sandbox_id for item in pages.next_items()]
    return ids


def test_a_running_sandbox_is_listed_and_a_killed_one_is_not(create, mark):
    sandbox = create("base", metadata=mark)
    assert found(query=SandboxQuery(metadata=mark)) == [sandbox.sandbox_id]
    sandbox.kill()
    assert found(query=SandboxQuery(metadata=mark)) == []


@pytest.mark.parametrize(
    "awkward",
    [{"a b": "c&d"}, {"k=v": "1=2"}, {"größe": "日本 ✓"}, {"percent": "100%25+x"}],
    ids=["blank-and-ampersand", "equals", "unicode", "percent-and-plus"],
)
def test_metadata_filters_take_any_text(create, mark, awkward):
    sandbox = create("base", metadata={**mark, **awkward})
    create("base", metadata=mark)
    assert found(query=SandboxQuery(metadata={**mark, **awkward})) == [sandbox.sandbox_id]
    assert sandbox.get_info().metadata == {**mark, **awkward}


def test_pages_of_one_go_from_the_newest_to_the_oldest(create, mark):
    ids = [create("base", metadata=mark).sandbox_id for _ in range(3)]
    pages = Sandbox.list(query=SandboxQuery(metadata=mark), limit=1)
    seen = []
    while pages.has_next:
        items = pages.next_items()
        assert len(items) == 1
        seen.append(items[0].sandbox_id)
    assert seen == ids[::-1]
    assert found(query=SandboxQuery(metadata=mark), limit=2, order="asc") == ids


def test_started_after_includes_the_very_moment(create, mark):
    sandbox = create("base", metadata=mark)
    start = sandbox.get_info().started_at
    at = SandboxQuery(metadata=mark, started_after=start)
    later = SandboxQuery(metadata=mark, started_after=start + timedelta(seconds=1))
    assert found(query=at) == [sandbox.sandbox_id]
    assert found(query=later) == []


def test_state_and_template_filter(create, mark):
    base = create("base", metadata=mark).sandbox_id
    create(metadata=mark)
    assert found(query=SandboxQuery(metadata=mark, template="base")) == [base]
    assert found(query=SandboxQuery(metadata=mark, template="no-such-template")) == []
    assert len(found(query=SandboxQuery(metadata=mark, state=[SandboxState.RUNNING]))) == 2
    assert found(query=SandboxQuery(metadata=mark, state=[SandboxState.PAUSED])) == []
