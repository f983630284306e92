"""The variables of a sandbox and of a single execution, as `os.environ` shows them.

Two layers. The sandbox's own variables change by message and stay. An execution's variables lie
over them while its cell runs and vanish after it. A change of the lower layer that arrives under a
running cell must survive the end of that cell, and subshells may run cells that overlap, so each
covered name remembers its lower value here rather than in a saved copy of the whole environment.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Mapping, MutableMapping
from contextlib import contextmanager

#: What a message may ask for: a value, or None to remove the variable.
Changes = Mapping[str, str | None]

#: Variables in one message. The kernel passes them to every child, and Linux caps those together.
MAX_VARIABLES = 4096


class BadEnvironmentError(ValueError):
    """The message's `env` cannot be an environment; says which name and why, never the value."""


def checked(env: object) -> dict[str, str | None]:
    """Returns `env` as changes that the operating system will accept, or raises."""
    if env is None:
        return {}
    if not isinstance(env, Mapping):
        raise BadEnvironmentError("env must be an object of names and values")
    if len(env) > MAX_VARIABLES:
        raise BadEnvironmentError(f"env has more than {MAX_VARIABLES} variables")
    for name, value in env.items():
        if not isinstance(name, str) or not name or "=" in name or not _encodable(name):
            raise BadEnvironmentError(f"{name!r} cannot be the name of a variable")
        if value is not None and not (isinstance(value, str) and _encodable(value)):
            raise BadEnvironmentError(f"the value of {name!r} is not text without NUL bytes")
    return dict(env)


def _encodable(text: str) -> bool:
    try:
        return b"\0" not in os.fsencode(text)
    except UnicodeEncodeError:
        return False


class Environment:
    """`os.environ` in two layers. Safe to use from the shell's and the control thread at once."""

    def __init__(self, environ: MutableMapping[str, str] = os.environ) -> None:
        self._environ = environ
        self._lock = threading.Lock()
        self._executions: list[Changes] = []
        # The sandbox's value of every name that some running execution covers.
        self._covered: dict[str, str | None] = {}

    def update(self, changes: Changes) -> None:
        """Changes the sandbox's variables, also those that a running cell covers at the moment."""
        with self._lock:
            for name, value in changes.items():
                if name in self._covered:
                    self._covered[name] = value
                else:
                    self._put(name, value)

    @contextmanager
    def execution(self, changes: Changes) -> Iterator[None]:
        """Lays `changes` over the sandbox's variables for the time of one cell."""
        if not changes:
            yield
            return
        with self._lock:
            for name, value in changes.items():
                self._covered.setdefault(name, self._environ.get(name))
                self._put(name, value)
            self._executions.append(changes)
        try:
            yield
        finally:
            with self._lock:
                self._uncover(changes)

    def _uncover(self, changes: Changes) -> None:
        # By identity: two overlapping executions may ask for equal variables.
        self._executions = [other for other in self._executions if other is not changes]
        for name in changes:
            above = [other[name] for other in self._executions if name in other]
            self._put(name, above[-1] if above else self._covered.pop(name))

    def _put(self, name: str, value: str | None) -> None:
        if value is None:
            self._environ.pop(name, None)
        else:
            self._environ[name] = value
