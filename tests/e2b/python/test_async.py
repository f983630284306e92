"""The asynchronous client, and many calls at once on it (row 41 of section 8)."""

from __future__ import annotations

import asyncio
import time

import pytest
from e2b_code_interpreter import (
    AsyncSandbox,
    CommandExitException,
    NotFoundException,
    SandboxQuery,
    TimeoutException,
)

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("server")]

LIFETIME_SECONDS = 300


async def test_a_whole_life(mark):
    sandbox = await AsyncSandbox.create(timeout=LIFETIME_SECONDS, metadata=mark)
    try:
        assert await sandbox.is_running()
        pages = AsyncSandbox.list(query=SandboxQuery(metadata=mark))
        assert [item.sandbox_id for item in await pages.next_items()] == [sandbox.sandbox_id]
        info = await sandbox.get_info()
        assert info.metadata == mark
        execution = await sandbox.run_code("print('hi')\n6 * 7")
        assert (execution.text, execution.logs.stdout) == ("42", ["hi\n"])
        await sandbox.files.write("a.txt", "text")
        assert await sandbox.files.read("a.txt") == "text"
        assert (await sandbox.commands.run("cat a.txt")).stdout == "text"
        await sandbox.set_timeout(120)
        again = await AsyncSandbox.connect(sandbox.sandbox_id)
        assert (await again.run_code("6")).text == "6"
    finally:
        assert await sandbox.kill() is True
    assert await sandbox.is_running() is False
    assert await sandbox.kill() is False


async def test_errors_have_their_types():
    sandbox = await AsyncSandbox.create(timeout=LIFETIME_SECONDS)
    try:
        with pytest.raises(CommandExitException):
            await sandbox.commands.run("exit 3")
        with pytest.raises(NotFoundException):
            await sandbox.files.read("missing.txt")
        with pytest.raises(TimeoutException):
            await sandbox.run_code("import time; time.sleep(60)", timeout=1)
        error = (await sandbox.run_code("1 / 0")).error
        assert error is not None and error.name == "ZeroDivisionError"
    finally:
        await sandbox.kill()


async def test_many_calls_at_once_do_not_block_each_other():
    sandbox = await AsyncSandbox.create(timeout=LIFETIME_SECONDS)
    try:
        begun = time.monotonic()
        cell = asyncio.create_task(sandbox.run_code("import time; time.sleep(5); 'cell'"))
        sleeper = asyncio.create_task(sandbox.commands.run("sleep 5; echo slept"))
        quick = await asyncio.gather(
            *(sandbox.commands.run(f"echo {n}") for n in range(5)),
            *(sandbox.files.write(f"{n}.txt", str(n)) for n in range(5)),
        )
        assert [done.stdout for done in quick[:5]] == [f"{n}\n" for n in range(5)]
        assert not cell.done() and not sleeper.done(), "quick calls waited for the slow ones"
        assert (await cell).text == "cell"
        assert (await sleeper).stdout == "slept\n"
        assert time.monotonic() - begun < 15
    finally:
        await sandbox.kill()


async def test_several_sandboxes_at_once():
    made = await asyncio.gather(*(AsyncSandbox.create(timeout=LIFETIME_SECONDS) for _ in range(3)))
    try:
        texts = await asyncio.gather(*(s.run_code(f"{n} + 1") for n, s in enumerate(made)))
        assert [execution.text for execution in texts] == ["1", "2", "3"]
    finally:
        await asyncio.gather(*(sandbox.kill() for sandbox in made))


async def test_callbacks_may_be_asynchronous():
    sandbox = await AsyncSandbox.create(timeout=LIFETIME_SECONDS)
    lines: list[str] = []

    async def keep(message) -> None:
        await asyncio.sleep(0)
        lines.append(message.line)

    try:
        await sandbox.run_code("print('a'); print('b')", on_stdout=keep)
        assert "".join(lines) == "a\nb\n"
    finally:
        await sandbox.kill()
