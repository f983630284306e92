"""The application: how this kernel is configured, and when it says that it is ready.

Stock `IPKernelApp` over ZeroMQ with the settings below. With `--warm` it runs sample cells first
(warmup.py): the sockets are bound by then but nothing is read from them, so that the answer to the
first `kernel_info_request` means "warm". With `--fork-server` there are no sockets at all: the
warmed process forks kernels that speak over wires (forkserver.py).
"""

from __future__ import annotations

import logging
import sys

import IPython
import zmq
from ipykernel.kernelapp import IPKernelApp
from tornado.ioloop import IOLoop
from traitlets.config import Config

from soulbox_kernel import warmup
from soulbox_kernel.kernel import SoulboxKernel

#: Broadcasts that wait for the agent before the kernel does. A stream's message has 256 KiB.
UNSENT_MESSAGES = 64
#: Taken out of the arguments here; the rest is ipykernel's.
WARM_FLAG = "--warm"
#: Alone on the command line: fork kernels on request of the agent, on descriptor 0.
FORK_FLAG = "--fork-server"


class SoulboxKernelApp(IPKernelApp):
    """ipykernel's application around a `SoulboxKernel`."""

    name = "soulbox-kernel"

    #: Run sample cells before the first message is read.
    warm = False

    def _bind_socket(self, s: zmq.Socket[bytes], port: int) -> int | None:
        # Options hold for connections to sockets that are bound after they were set.
        if s.socket_type == zmq.XPUB:
            s.sndhwm = UNSENT_MESSAGES
            # ZeroMQ would drop what a slow reader has no room for, even an idle status.
            s.setsockopt(zmq.XPUB_NODROP, 1)
        return super()._bind_socket(s, port)

    def start(self) -> None:
        if self.warm:
            self.kernel.io_loop = IOLoop.current()
            self.kernel.io_loop.run_sync(lambda: warmup.warm_up(self.kernel))
        super().start()


def configuration() -> Config:
    """What differs from ipykernel's defaults, each with its reason."""
    config = Config()
    config.Session.packer = "soulbox_kernel.packing.pack"
    config.IPKernelApp.outstream_class = "soulbox_kernel.streams.BoundedStream"
    # A history file would start a thread, and nobody can read it across sandboxes.
    config.HistoryManager.enabled = False
    # Tracebacks go to programs: no ANSI colours (contract section 5.1).
    config.InteractiveShell.colors = "nocolor" if IPython.version_info[0] >= 9 else "NoColor"
    # Long collections are not cut in text/plain (contract section 5.1).
    config.PlainTextFormatter.max_seq_length = 0
    return config


def main(arguments: list[str]) -> None:
    """Runs one kernel until it is shut down, or forks them until the agent hangs up."""
    if FORK_FLAG in arguments:
        from soulbox_kernel import forkserver
        from soulbox_kernel.wirekernel import WireApp

        sys.argv[1:] = []
        forkserver.serve(WireApp.instance(config=configuration(), log_level=logging.CRITICAL))
        sys.exit(0)
    # ipykernel's log lines of lower levels quote whole messages, which hold code and variables.
    app = SoulboxKernelApp.instance(
        config=configuration(), kernel_class=SoulboxKernel, log_level=logging.CRITICAL
    )
    app.warm = WARM_FLAG in arguments
    app.initialize([argument for argument in arguments if argument != WARM_FLAG])
    app.start()
    sys.exit(0)
