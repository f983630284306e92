"""The kernel on a wire: the same `SoulboxKernel`, without ZeroMQ and its threads.

Shell requests come on one wire and are answered there, broadcasts included; control requests and
the questions of `input()` have a second one, served by the attendant. Everything is built before
the fork with no wire at all (`prepared`), and connected after it (`connect`). ipykernel's streams
are public traits, so this is subclass and configuration; tests run the same messages over both.
"""

from __future__ import annotations

import asyncio
import contextvars
import os
import selectors
import socket
import sys
import threading
from collections.abc import Callable
from typing import Any

import zmq
from IPython.core.application import BaseIPythonApplication
from jupyter_client.jsonutil import json_clean
from tornado.ioloop import IOLoop
from traitlets import Any as Anything

from soulbox_kernel.app import SoulboxKernelApp
from soulbox_kernel.attendant import Attendant
from soulbox_kernel.kernel import SoulboxKernel
from soulbox_kernel.wire import CONTROL, IOPUB, SHELL, STDIN, Channel, Wire
from soulbox_kernel.wirestreams import Pipe, WireStream

#: Requests that may wait in this process; more wait in the socket.
MOST_REQUESTS = 1024
#: ipykernel's own sign between queued requests that those before it were to be aborted.
STOP_ABORTING = b"stop aborting"


class NoShellChannel:
    """Stands where ipykernel 7 has its shell thread: false, but asked for the main thread."""

    parent_thread = threading.main_thread()

    def __bool__(self) -> bool:
        return False


class NoDebugger:
    """debugpy needs sockets and threads of its own, and this kernel says that it has none."""

    def __init__(self, *_: Any) -> None:
        pass


class WireKernel(SoulboxKernel):
    """A Python context that speaks over wires."""

    shell_stream = Anything()
    control_stream = Anything()
    debugger_class = Anything(NoDebugger)

    @property
    def _supports_kernel_subshells(self) -> bool:
        return False

    @property
    def kernel_info(self) -> dict[str, Any]:
        info = super().kernel_info
        return {**info, "supported_features": []}

    def connect(self, cells: Wire, control: Wire) -> None:
        """Gives the kernel its two wires and its attendant."""
        attendant = self.attendant = Attendant(self, cells, control)
        self._cells = cells
        self._waiting = 0
        self.iopub_socket = Channel(cells, IOPUB, attendant)
        self.shell_stream = Channel(cells, SHELL)
        self.control_stream = Channel(control, CONTROL)
        self.stdin_socket = Channel(control, STDIN)
        self.shell.displayhook.pub_socket = self.shell.display_pub.pub_socket = self.iopub_socket
        self.shell.displayhook.topic = self._topic("execute_result")
        streams = [WireStream(self.session, name, cells) for name in ("stdout", "stderr")]
        for stream in streams:
            stream.attendant = attendant
            attendant.watch(Pipe(stream))
        sys.stdout, sys.stderr = self._stdout, self._stderr = streams
        os.register_at_fork(after_in_child=self._forked)

    def serve(self) -> None:
        """Answers requests until the kernel is shut down or the agent lets go of it."""
        self._loop = loop = asyncio.SelectorEventLoop(selectors.PollSelector())
        asyncio.set_event_loop(loop)
        # Cells share their context variables, as in ipykernel.
        self._context = contextvars.copy_context()
        self._main_asyncio_lock = asyncio.Lock()
        self.attendant.start()
        loop.add_reader(self._cells.fileno(), self._receive)
        loop.call_soon(self._begin)
        loop.run_forever()
        self._cells.finish()

    def _begin(self) -> None:
        self.shell.exit_now = False
        self.io_loop = IOLoop.current()
        self._publish_status("starting", "shell")

    def _receive(self) -> None:
        self._take(self._cells.receive)

    def _take(self, receive: Callable[[], list[tuple[int, list[bytes]]]]) -> None:
        try:
            messages = receive()
        except EOFError:
            os._exit(0)
        for channel, parts in messages:
            if channel == SHELL:
                self._enqueue([zmq.Frame(part) for part in parts])
        if self._waiting >= MOST_REQUESTS:
            self._loop.remove_reader(self._cells.fileno())

    def _enqueue(self, frames: list[zmq.Frame]) -> None:
        self._waiting += 1
        handler = self.shell_main(None, frames)
        self._loop.create_task(handler, context=self._context).add_done_callback(self._answered)

    def _answered(self, _task: asyncio.Task[None]) -> None:
        self._waiting -= 1
        if self._waiting == MOST_REQUESTS - 1:
            self._loop.add_reader(self._cells.fileno(), self._receive)

    def _abort_queues(self, subshell_id: str | None = None) -> None:
        self._aborting = True
        # What was sent before the error is on this side of the sign; what comes later is not.
        self._take(self._cells.receive_waiting)
        self._enqueue([zmq.Frame(STOP_ABORTING)])

    def _input_request(self, prompt: str, ident: Any, parent: Any, password: bool = False) -> str:
        sys.stdout.flush()
        sys.stderr.flush()
        answers = self.attendant.answers
        while not answers.empty():
            answers.get()
        content = json_clean({"prompt": prompt, "password": password})
        self.session.send(self.stdin_socket, "input_request", content, parent, ident=ident)
        try:
            _, frames = self.session.feed_identities(answers.get())
            value = self.session.deserialize(frames)["content"]["value"]
        except KeyboardInterrupt:
            # Again, to leave what lies between out of the traceback.
            raise KeyboardInterrupt("Interrupted by user") from None
        except (KeyError, TypeError, ValueError):
            value = ""
        if value == "\x04":
            raise EOFError
        return value

    async def shutdown_request(self, stream: Any, ident: Any, parent: Any) -> None:
        content = await _awaited(self.do_shutdown(parent["content"]["restart"]))
        self.session.send(stream, "shutdown_reply", content, parent, ident=ident)
        self._shutdown_message = self.session.msg("shutdown_reply", content, parent)
        await self._at_shutdown()
        self.io_loop.add_callback(self.io_loop.stop)

    async def do_debug_request(self, message: dict[str, Any]) -> dict[str, Any]:
        return {
            "type": "response",
            "request_seq": message.get("seq", 0),
            "command": message.get("command", ""),
            "success": False,
            "message": "this kernel has no debugger",
        }

    async def _no_subshells(self, stream: Any, ident: Any, parent: Any) -> None:
        reply = {
            "status": "error",
            "ename": "NotSupported",
            "evalue": "this kernel has no subshells",
            "traceback": [],
        }
        kind = parent["header"]["msg_type"].replace("_request", "_reply")
        self.session.send(stream, kind, reply, parent, ident)

    create_subshell_request = delete_subshell_request = list_subshell_request = _no_subshells

    def _forked(self) -> None:
        """In a child of the user's code: what it says is not ours to send or to read."""
        for stream in (self._stdout, self._stderr):
            stream.foreign = True
        for wire in (self._cells, self.attendant._control):
            wire.close()


async def _awaited(value: Any) -> Any:
    return await value if asyncio.iscoroutine(value) else value


class WireApp(SoulboxKernelApp):
    """ipykernel's application up to the sockets, which it never makes."""

    def prepare(self) -> WireKernel:
        """Builds the kernel and its shell, connected to nothing."""
        BaseIPythonApplication.initialize(self, [])
        self.init_pdb()
        self.session.key = b""
        # The process that sends is another one than that which made the session.
        self.session.check_pid = False
        kernel = self.kernel = WireKernel.instance(
            parent=self,
            session=self.session,
            profile_dir=self.profile_dir,
            user_ns=self.user_ns,
            log=self.log,
            shell_channel_thread=NoShellChannel(),
        )
        self.patch_io()
        self.init_path()
        self.init_shell()
        self.init_gui_pylab()
        self.init_extensions()
        self.init_code()
        return kernel


def wire(descriptor: int, kernel: WireKernel) -> Wire:
    """A wire over an inherited descriptor."""
    return Wire(socket.socket(fileno=descriptor), kernel.interrupts.held)
