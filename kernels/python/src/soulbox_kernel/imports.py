"""Run a function when a library is imported, without importing it.

Some libraries need more than a formatter: Pillow's `save` and `show`, the way plotly and bokeh
choose how to show a figure. Importing them at start would cost every kernel time and memory, so a
finder waits in front of `sys.meta_path` for the few names and goes away when all were seen.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import importlib.util
import sys
from collections.abc import Callable, Sequence
from types import ModuleType

#: Gets the imported module. What it raises is dropped: a library must import as if we were not here
Hook = Callable[[ModuleType], None]


def when_imported(name: str, hook: Hook) -> None:
    """Calls `hook` with module `name` now if it is imported, else right after its import."""
    module = sys.modules.get(name)
    if module is not None:
        _call(hook, module)
        return
    _FINDER.hooks[name] = hook
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)


def _call(hook: Hook, module: ModuleType) -> None:
    # Another version of the library may lack what the hook wants to change.
    try:
        hook(module)
    except Exception:
        return


class _WaitingFinder(importlib.abc.MetaPathFinder):
    """Lets the other finders find a module, and calls the hook after its execution."""

    def __init__(self) -> None:
        self.hooks: dict[str, Hook] = {}

    def find_spec(
        self,
        fullname: str,
        path: Sequence[str] | None = None,
        target: ModuleType | None = None,
    ) -> importlib.machinery.ModuleSpec | None:
        hook = self.hooks.pop(fullname, None)
        if hook is None:
            return None
        # The name is no longer waited for, so this asks everybody else.
        spec = importlib.util.find_spec(fullname)
        if spec is None or not isinstance(spec.loader, importlib.abc.Loader):
            self.hooks[fullname] = hook
            return None
        _call_after_execution(spec.loader, hook)
        if not self.hooks and self in sys.meta_path:
            sys.meta_path.remove(self)
        return spec


def _call_after_execution(loader: importlib.abc.Loader, hook: Hook) -> None:
    execute = loader.exec_module

    def exec_module(module: ModuleType) -> None:
        execute(module)
        _call(hook, module)

    # The loader object belongs to this one module, so nothing else sees the change.
    loader.exec_module = exec_module  # type: ignore[method-assign]


_FINDER = _WaitingFinder()
