"""Rich results: which formats a value gets beyond IPython's own (contract sections 5.2, 5.3).

One file per kind of value. Everything is registered by the name of its library, so a library that
nobody imports costs nothing. A formatter that fails or finds a value too large gives no format at
all: never an exception in the user's cell, and never a part of the data that looks like the whole.
"""

from __future__ import annotations

from typing import Any

from soulbox_kernel.display import figures, frames, images, plots, values


def install(shell: Any) -> None:
    """Registers all formatters with an interactive shell."""
    for kind in (values, frames, figures, images, plots):
        kind.install(shell)
