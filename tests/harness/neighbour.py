"""A sandbox that goes on working while something happens to another, and tells whether it noticed."""

from __future__ import annotations

import threading
import time
from typing import Any

from .wire import Wire, text_of

# A neighbour's cell on a two-core machine that another sandbox is allowed to fill. Without a
# limit on CPU time it would wait for as long as the abuse goes on, which is minutes.
NEIGHBOUR_SECONDS = 10


class Neighbour:
    """A sandbox that goes on working while something happens to another."""

    def __init__(self, wire: Wire):
        self.wire = wire
        self.sandbox = wire.create(timeout=900)["sandboxID"]
        self.seconds: list[float] = []
        self.wrong: list[Any] = []
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, daemon=True)

    def _work(self) -> None:
        while not self._stop.is_set():
            begun = time.monotonic()
            try:
                items = self.wire.execute(self.sandbox, "print(6 * 7)").items()
                if text_of(items) != "42\n":
                    self.wrong.append(items)
            except OSError as error:
                self.wrong.append(error)
            self.seconds.append(time.monotonic() - begun)
            self._stop.wait(0.5)

    def start(self) -> None:
        self._thread.start()

    def judge(self) -> None:
        """Every cell was right, and none waited for long."""
        self._stop.set()
        self._thread.join(NEIGHBOUR_SECONDS * 3)
        assert not self._thread.is_alive(), "the neighbour's cell hangs"
        assert not self.wrong, self.wrong[:3]
        assert self.seconds and max(self.seconds) < NEIGHBOUR_SECONDS, max(self.seconds)
