"""What a terminal of the stock client shows, and waits for what it is to show."""

from __future__ import annotations

import re
import threading
import time
from typing import Any

# A shell answers in milliseconds; a busy machine may take this long.
PATIENCE_SECONDS = 60
# After this a person presses the key once more.
AGAIN_SECONDS = 2


class Screen:
    """Reads a terminal on a thread of its own, as the synchronous client wants it."""

    def __init__(self, sandbox: Any, handle: Any):
        self.sandbox, self.handle = sandbox, handle
        self.end: Any = None
        self._text = ""
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            self.end = self.handle.wait(on_pty=self._take)
        except Exception as error:
            self.end = error

    def _take(self, piece: bytes) -> None:
        with self._changed:
            self._text += piece.decode(errors="replace")
            self._changed.notify_all()

    def type(self, text: str) -> None:
        self.sandbox.pty.send_stdin(self.handle.pid, text.encode())

    def type_until(self, keys: str, pattern: str) -> str:
        """Types keys that may be missed, again and again, until the pattern is there."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while time.monotonic() < deadline:
            self.type(keys)
            if found := self._found(pattern, AGAIN_SECONDS):
                return found
        raise AssertionError(f"no {pattern!r} in {self._text!r}")

    def shows(self, pattern: str) -> str:
        """Waits for a pattern after what earlier waits have found, and gives what matched."""
        found = self._found(pattern, PATIENCE_SECONDS)
        assert found is not None, f"no {pattern!r} in {self._text!r}"
        return found

    def _found(self, pattern: str, seconds: float) -> str | None:
        with self._changed:
            found = self._changed.wait_for(lambda: re.search(pattern, self._text), seconds)
            if not found:
                return None
            self._text = self._text[found.end() :]
            return found.group(0)

    def ended(self) -> Any:
        """How the program in the terminal ended: a result, or what was raised."""
        self._thread.join(PATIENCE_SECONDS)
        assert not self._thread.is_alive(), "the terminal has not ended"
        return self.end
