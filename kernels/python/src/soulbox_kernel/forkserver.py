"""The warmed process: imports and exercises everything once, then forks kernels on request.

It speaks with the agent on descriptor 0, a socket that keeps messages apart. `{"fork": {"id": i}}`
with three descriptors (the kernel's two wires and its console) is answered by
`{"id": i, "pid": n}`. The end of a kernel is told as `{"exit": n, "status": s}`, and the kernel
stays a zombie until `{"reap": n}`, so that the agent never signals a number that is somebody
else's by now. It has one thread, reads nothing that a user of the sandbox chose, and never runs a
user's code.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import select
import signal
import socket
import sys
import uuid
from typing import Any

from soulbox_kernel import entropy, warmup
from soulbox_kernel.wire import CONTROL, Frames
from soulbox_kernel.wirekernel import WireApp, WireKernel, wire

#: Bytes of one message of the agent.
REQUEST = 4096
#: Descriptors that come with a request to fork.
DESCRIPTORS = 3


def serve(app: WireApp) -> None:
    """Warms up and forks until the agent hangs up. Returns in a forked kernel that has ended."""
    before = dict(os.environ)
    kernel = app.prepare()
    # What ipykernel and IPython set for themselves is part of every kernel's variables.
    added = {name: value for name, value in os.environ.items() if before.get(name) != value}
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    loop.run_until_complete(warmup.warm_up(kernel))
    loop.close()
    asyncio.set_event_loop(None)
    warmup.shed_before_fork()
    born = Server(socket.socket(fileno=os.dup(0))).run()
    if born is not None:
        _live(kernel, added, *born)


class Server:
    """The parent's side."""

    def __init__(self, agent: socket.socket) -> None:
        self._agent = agent
        self._children: set[int] = set()
        self._woken, self._wake = os.pipe()
        for end in (self._woken, self._wake):
            os.set_blocking(end, False)

    def run(self) -> tuple[dict[str, Any], list[int]] | None:
        """Serves; returns the request and the descriptors in a child, `None` in the parent."""
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(self._wake, warn_on_full_buffer=False)
        self._tell({"ready": True})
        poll = select.poll()
        for descriptor in (self._agent.fileno(), self._woken):
            poll.register(descriptor, select.POLLIN)
        while True:
            ready = {descriptor for descriptor, _ in poll.poll()}
            if self._woken in ready:
                with contextlib.suppress(BlockingIOError):
                    os.read(self._woken, REQUEST)
                self._tell_ends()
            if self._agent.fileno() in ready:
                try:
                    message, descriptors, *_ = socket.recv_fds(self._agent, REQUEST, DESCRIPTORS)
                except ConnectionError:
                    return None
                if not message:
                    return None
                request = json.loads(message)
                if "fork" in request and self._fork(request["fork"]["id"], descriptors):
                    return request["fork"], descriptors
                if "reap" in request:
                    self._reap(request["reap"])

    def _fork(self, number: int, descriptors: list[int]) -> bool:
        """Forks; whether this is the child."""
        pid = os.fork()
        if pid == 0:
            self._leave()
            return True
        for descriptor in descriptors:
            os.close(descriptor)
        self._children.add(pid)
        self._tell({"id": number, "pid": pid})
        return False

    def _leave(self) -> None:
        """In the child: nothing of the parent's is kept."""
        os.setsid()
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        self._agent.close()
        for end in (self._woken, self._wake):
            os.close(end)
        nothing = os.open(os.devnull, os.O_RDWR)
        os.dup2(nothing, 0)
        os.close(nothing)

    def _tell_ends(self) -> None:
        for pid in tuple(self._children):
            end = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
            if end is not None:
                status = end.si_status if end.si_code == os.CLD_EXITED else -end.si_status
                self._children.discard(pid)
                self._tell({"exit": pid, "status": status})

    def _reap(self, pid: int) -> None:
        # It has ended and was told, so this does not wait.
        with contextlib.suppress(ChildProcessError):
            os.waitpid(pid, os.WNOHANG)

    def _tell(self, message: dict[str, Any]) -> None:
        self._agent.send(json.dumps(message).encode())


def _live(
    kernel: WireKernel, added: dict[str, str], request: dict[str, Any], descriptors: list[int]
) -> None:
    """The child's side: becomes a kernel, and serves until it is shut down."""
    for descriptor in descriptors:
        os.set_inheritable(descriptor, False)
    cells, control, console = descriptors
    for standard in (1, 2):
        os.dup2(console, standard)
    os.close(console)
    birth = _birth(control)
    os.environ.clear()
    os.environ.update(birth["env"] | added)
    os.chdir(birth["cwd"])
    sys.argv[1:] = []
    entropy.reseed_after_fork(birth["entropy"])
    kernel.session.session = uuid.uuid4().hex
    kernel.ident = str(uuid.uuid4())
    kernel.shell.history_manager.dir_hist[:] = [birth["cwd"]]
    if request.get("exercise"):
        loop = asyncio.new_event_loop()
        loop.run_until_complete(warmup.exercise(kernel))
        loop.close()
    kernel.connect(wire(cells, kernel), wire(control, kernel))
    kernel.serve()


def _birth(control: int) -> dict[str, Any]:
    """The first message on the control wire: variables, directory and entropy."""
    frames, messages = Frames(), []
    while not messages:
        data = os.read(control, REQUEST)
        if not data:
            os._exit(0)
        messages = list(frames.feed(data))
    ((channel, (content,)),) = messages
    assert channel == CONTROL
    return json.loads(content)
