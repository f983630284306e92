"""Exercise the kernel before anyone uses it, and leave no trace.

A first cell is slow because of what it loads: libraries, the font list, parser and formatter
tables. A pooled sandbox has time for that before it is claimed, so sample cells go through the same
path as a user's, with the sending end cut off, and then everything that a user could notice is put
back: names, `In`/`Out`, the execution counter, figures, `sys.last_*`, `linecache`. Missing
libraries just make their cell fail, which nobody sees. Facts: zygote.md sections 2 and 6.
"""

from __future__ import annotations

import gc
import io
import linecache
import random
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import zmq

if TYPE_CHECKING:
    from soulbox_kernel.kernel import SoulboxKernel

#: Sample cells. Each stands alone, so that a missing library costs only its own.
CELLS = (
    "1 + 1",
    "print('x')",
    "1 / 0",
    "{'a': [1, 2.5, None]}",
    "def f(x):\n    return x * 2\n[f(i) for i in range(3)]",
    "import asyncio\nawait asyncio.sleep(0)",
    "import collections, csv, datetime, functools, io, itertools, json, math, os, pathlib, "
    "random, re, statistics, subprocess, sys, time, urllib.parse",
    "import numpy as np; np.random.rand(50, 4) @ np.random.rand(4, 4)",
    "import io, numpy as np, pandas as pd\n"
    "df = pd.DataFrame(np.random.rand(100, 4), columns=list('abcd'))\n"
    "df['e'] = pd.date_range('2024-01-01', periods=100)\n"
    "df.describe(); df.groupby(df.a > 0.5).mean(numeric_only=True)\n"
    "df.merge(df, on='a').sort_values('b_x').to_csv(None)\n"
    "pd.read_csv(io.StringIO('a,b\\n1,x\\n2,y'), parse_dates=False)\n"
    "df.head()",
    "import matplotlib.pyplot as plt, numpy as np\n"
    "fig, ax = plt.subplots(1, 2)\n"
    "ax[0].plot([1, 2], label='a'); ax[0].set_title('t'); ax[0].legend()\n"
    "ax[0].set_xlabel('x (s)'); ax[0].grid(True); ax[1].bar(['a', 'b'], [1, 2])\n"
    "plt.show()",
    "import matplotlib.pyplot as plt\nplt.scatter([1, 2], [3, 4])",
)

#: What a forked kernel runs ahead of its use: it makes the pages its own that every cell writes.
EXERCISE = CELLS[:2]

#: The last three values, which are empty texts before the first cell.
LAST_VALUES = ("_", "__", "___")
#: Attributes of `sys` that an unhandled exception leaves behind.
LAST_EXCEPTION = ("last_type", "last_value", "last_traceback", "last_exc")


async def warm_up(kernel: SoulboxKernel) -> None:
    """Runs the sample cells through `kernel`'s own message handling and resets it."""
    await _run(kernel, CELLS)


async def exercise(kernel: SoulboxKernel) -> None:
    """The short form, for a fork of a kernel that is warm already."""
    await _run(kernel, EXERCISE)


def shed_before_fork() -> None:
    """Gives up what matplotlib would otherwise free in every child, page by page."""
    fonts = sys.modules.get("matplotlib.font_manager")
    cached = getattr(fonts, "_get_font", None)
    if hasattr(cached, "cache_clear"):
        cached.cache_clear()
    gc.collect()
    gc.freeze()


async def _run(kernel: SoulboxKernel, cells: tuple[str, ...]) -> None:
    state = random.getstate()
    module = dict(kernel.shell.user_module.__dict__)
    with _muted(kernel), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        await kernel.shell_main(None, _message(kernel, "kernel_info_request", {}))
        for cell in cells:
            await kernel.shell_main(None, _message(kernel, "execute_request", _execution(cell)))
        # No completion: it loads jedi, which costs a second and memory that most never need.
        inspection = {"code": "print", "cursor_pos": 5, "detail_level": 0}
        await kernel.shell_main(None, _message(kernel, "inspect_request", inspection))
        _reset(kernel, module)
    random.setstate(state)


def _execution(code: str) -> dict[str, Any]:
    return {
        "code": code,
        "silent": False,
        "store_history": True,
        "user_expressions": {},
        "allow_stdin": False,
        "stop_on_error": False,
    }


def _message(kernel: SoulboxKernel, kind: str, content: dict[str, Any]) -> list[zmq.Frame]:
    """A Jupyter message as it comes off a socket, signed with the kernel's own key."""
    session = kernel.session
    return [zmq.Frame(part) for part in session.serialize(session.msg(kind, content))]


@contextmanager
def _muted(kernel: SoulboxKernel) -> Iterator[None]:
    """Cuts off everything that the kernel would send or print."""
    session: Any = kernel.session
    streams = sys.stdout, sys.stderr

    def serialize_only(_stream: Any, kind: Any, content: Any = None, *_rest: Any, **_more: Any):
        message = kind if isinstance(kind, dict) else session.msg(kind, content)
        session.serialize(message)
        return message

    session.send = serialize_only
    sys.stdout, sys.stderr = io.StringIO(), io.StringIO()
    try:
        yield
    finally:
        sys.stdout, sys.stderr = streams
        del session.send


def _reset(kernel: SoulboxKernel, module: dict[str, Any]) -> None:
    """Makes the kernel look as if nothing had run; `module` is the user's as it was."""
    pyplot = sys.modules.get("matplotlib.pyplot")
    if pyplot is not None:
        pyplot.close("all")
    shell = kernel.shell
    shell.reset(new_session=True)
    # The reset takes a module's own names (`__doc__`, `__spec__`) along.
    for name in module.keys() - shell.user_ns.keys():
        shell.user_ns[name] = module[name]
    shell.execution_count = 1
    for name in LAST_VALUES:
        setattr(shell.displayhook, name, "")
        shell.user_ns[name] = ""
    shell.user_ns_hidden.update(dict.fromkeys(LAST_VALUES, ""))
    shell._last_traceback = None
    shell._last_traceback_during_displayhook = False
    for name in LAST_EXCEPTION:
        if hasattr(sys, name):
            delattr(sys, name)
    linecache.clearcache()
    kernel.set_parent([], {})
    gc.collect()
    # What the libraries made at import lives as long as the process: never look at it again.
    gc.freeze()
