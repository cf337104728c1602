"""Asks an application again and again, and measures the longest time in which it did not answer."""

from __future__ import annotations

import threading
import time
from types import TracebackType
from typing import Self

from tests.histories.reality import answer_of

_PAUSE = 0.05
_PATIENCE = 1.0


class Heartbeat:
    """Runs in a thread of its own from `with` to its end. `longest` is in seconds."""

    def __init__(self, address: str, port: int) -> None:
        """Take the address of the application, which answers now."""
        self._target = address, port
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._beat, daemon=True)
        self.longest = 0.0

    def __enter__(self) -> Self:
        """Begin to ask."""
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Ask no more."""
        self._over.set()
        self._thread.join()

    def _beat(self) -> None:
        good = time.monotonic()
        while not self._over.is_set():
            answered = bool(answer_of(*self._target, within=_PATIENCE))
            now = time.monotonic()
            self.longest = max(self.longest, now - good)
            if answered:
                good = now
            self._over.wait(_PAUSE)
