"""Processes, terminals and watching through the asynchronous client.

Contract: sections 4.4 and 4.5, rows 13, 16, 22 and 25 of section 8.
"""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator

import pytest
from e2b import FilesystemEvent, FilesystemEventType, PtySize
from e2b_code_interpreter import AsyncSandbox, CommandExitException, NotFoundException

pytestmark = [pytest.mark.anyio, pytest.mark.usefixtures("server")]

# What a busy machine may take for something that takes milliseconds.
PATIENCE_SECONDS = 60


@pytest.fixture(scope="module")
async def sandbox(server, anyio_backend) -> AsyncIterator[AsyncSandbox]:
    made = await AsyncSandbox.create("base", timeout=600)
    yield made
    await made.kill()


class Shown:
    """Text that arrives in pieces, and a wait for a part of it."""

    def __init__(self) -> None:
        self.text = ""
        self.changed = asyncio.Event()

    def __call__(self, piece: bytes | str) -> None:
        self.text += piece.decode(errors="replace") if isinstance(piece, bytes) else piece
        self.changed.set()

    async def shows(self, part: str) -> None:
        async with asyncio.timeout(PATIENCE_SECONDS):
            while part not in self.text:
                await self.changed.wait()
                self.changed.clear()


async def test_several_clients_watch_one_command(sandbox):
    told = Shown()
    first = await sandbox.commands.run("read go; echo one; exit 3", background=True, stdin=True)
    second = await sandbox.commands.connect(first.pid, on_stdout=told)
    await sandbox.commands.send_stdin(first.pid, "go\n")
    for handle in (first, second):
        with pytest.raises(CommandExitException) as raised:
            await handle.wait()
        assert (raised.value.stdout, raised.value.exit_code) == ("one\n", 3)
    assert told.text == "one\n"
    late = await sandbox.commands.connect(first.pid)
    with pytest.raises(CommandExitException) as raised:
        await late.wait()
    assert (raised.value.stdout, raised.value.exit_code) == ("", 3)
    with pytest.raises(NotFoundException):
        await sandbox.commands.connect(999_999)


async def test_standard_input_and_kill(sandbox):
    counter = await sandbox.commands.run("wc -c", background=True, stdin=True)
    await sandbox.commands.send_stdin(counter.pid, "x" * 300_000)
    await sandbox.commands.close_stdin(counter.pid)
    assert (await counter.wait()).stdout.strip() == "300000"
    sleeper = await sandbox.commands.run("exec sleep 100", background=True)
    assert await sleeper.kill() is True
    with pytest.raises(CommandExitException):
        await sandbox.commands.run(f"kill -0 {sleeper.pid}", user="root")
    assert await sandbox.commands.kill(sleeper.pid) is False


async def test_a_terminal_with_a_full_screen_program(sandbox):
    screen = Shown()
    handle = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=screen, timeout=0)

    async def type(text: str) -> None:
        await sandbox.pty.send_stdin(handle.pid, text.encode())

    await type("vi page.txt\n")
    await screen.shows('page.txt" [New')
    await sandbox.pty.resize(handle.pid, PtySize(rows=30, cols=90))
    await type("iwritten in vi\x1b:wq\r")
    await screen.shows("written")
    await type("stty size; exit\n")
    await screen.shows("30 90")
    assert (await handle.wait()).exit_code == 0
    assert await sandbox.files.read("page.txt") == "written in vi\n"


async def test_a_terminal_is_left_and_found_again(sandbox):
    handle = await sandbox.pty.create(PtySize(rows=24, cols=80), on_data=lambda _: None, timeout=0)
    await handle.disconnect()
    screen = Shown()
    again = await sandbox.pty.connect(handle.pid, on_data=screen, timeout=0)
    await sandbox.pty.send_stdin(handle.pid, b"echo found-$((1+1))\n")
    await screen.shows("found-2")
    assert await sandbox.pty.kill(handle.pid) is True
    with pytest.raises(CommandExitException):
        await again.wait()


async def test_watching_is_a_stream(sandbox):
    events: list[tuple[str, FilesystemEventType]] = []
    last = asyncio.Event()

    def take(event: FilesystemEvent) -> None:
        events.append((event.name, event.type))
        if event.name == "last":
            last.set()

    await sandbox.files.make_dir("watched")
    handle = await sandbox.files.watch_dir("watched", on_event=take, recursive=True, timeout=0)
    await sandbox.files.write("watched/new/leaf", "x")
    await sandbox.files.remove("watched/new")
    await sandbox.files.write("watched/last", "x")
    async with asyncio.timeout(PATIENCE_SECONDS):
        await last.wait()
    await handle.stop()
    kind = FilesystemEventType
    assert [event for event in events if event[0] != "last"] == [
        *(("new", kind.CREATE), ("new", kind.CHMOD)),
        *(("new/leaf", kind.CREATE), ("new/leaf", kind.CHMOD), ("new/leaf", kind.WRITE)),
        *(("new/leaf", kind.REMOVE), ("new", kind.REMOVE)),
    ]


async def test_files_are_streamed_both_ways(sandbox):
    data = bytes(range(256)) * 4096
    await sandbox.files.write("streamed", io.BytesIO(data))
    received = b""
    async for piece in await sandbox.files.read("streamed", format="stream"):
        received += piece
    assert received == data
