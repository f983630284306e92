"""The interactive shell: ipykernel's, without the colours that it forces on every child."""

from __future__ import annotations

import contextlib
import os

from ipykernel.zmqshell import ZMQInteractiveShell

#: Set by ipykernel for notebooks, which draw ANSI colours. Our results go to programs, and with
#: these set even `traceback.print_exc()` of Python 3.13 writes escape codes.
COLOUR_VARIABLES = ("CLICOLOR", "CLICOLOR_FORCE", "FORCE_COLOR")


class SoulboxShell(ZMQInteractiveShell):
    """ipykernel's shell; variables that the sandbox itself set are kept as they are."""

    def init_environment(self) -> None:
        before = {name: os.environ.get(name) for name in COLOUR_VARIABLES}
        super().init_environment()
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value

    def _tee(self, channel: str) -> contextlib.AbstractContextManager[None]:
        """Keeps no second copy of what a cell prints.

        IPython 9 collects all output of all cells in `history_manager.outputs` for its own
        notebook export. Nobody reads it here, and a kernel that prints for days would grow by
        every byte of it.
        """
        return contextlib.nullcontext()
