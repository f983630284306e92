"""Many clients on one kernel through the whole server: a thousand of them, one that does not read,
and displays that are larger than any other gateway lets through."""

from __future__ import annotations

from contextlib import ExitStack

from harness.jupyter import Message, kinds, printed

CLIENTS = 1000
# A broadcast to a thousand clients on a machine whose processors have other work.
LONG_SECONDS = 300
# More than what waits for a client that does not read.
LINES = 160
LINE_BYTES = 1 << 20


def is_idle(parent: str):
    def ended(message: Message) -> bool:
        idle = message["content"].get("execution_state") == "idle"
        return idle and message["parent_header"].get("msg_id") == parent

    return ended


def test_a_thousand_sockets_stay_live_and_answer(start):
    kernel = start()
    with ExitStack() as stack:
        crowd = [stack.enter_context(kernel.connect(v1=bool(number % 2))) for number in range(CLIENTS)]
        assert kernel.now()["connections"] == CLIENTS
        parent = crowd[0].execute("print('everybody')")
        for one in crowd:
            assert printed(one.until(is_idle(parent), LONG_SECONDS)) == "everybody\n"
        for one in crowd[::50]:
            assert one.text("print('one')") == "one\n"
            # What the others hear of it is not read here, which must not matter.


def test_one_that_does_not_read_holds_nobody_up_and_is_told(start):
    kernel = start()
    with kernel.connect() as fast, kernel.connect() as slow:
        parent = fast.execute(f"for _ in range({LINES}): print('x' * {LINE_BYTES - 1}, flush=True)")
        heard = fast.finish(parent, LONG_SECONDS)
        assert len(printed(heard)) == LINES * LINE_BYTES, "whole for who reads"
        late = slow.until(is_idle(parent), LONG_SECONDS)
        assert len(printed(late)) < LINES * LINE_BYTES
        assert "were left out" in printed(late, "stderr")
        assert slow.text("print('goes on')") == "goes on\n"


def test_a_display_of_fifty_megabytes(kernel):
    size = 50_000_000
    code = f"display({{'text/plain': 'large', 'text/html': 'h' * {size}}}, raw=True)"
    with kernel.connect() as asker, kernel.connect(v1=False) as other:
        other.finish(other.send("kernel_info_request", {}))
        parent = asker.execute(code)
        for messages in (asker.finish(parent, LONG_SECONDS), other.until(is_idle(parent), LONG_SECONDS)):
            shown = next(m for m in messages if m["header"]["msg_type"] == "display_data")
            assert len(shown["content"]["data"]["text/html"]) == size
        assert "error" not in kinds(asker.run("1"))
