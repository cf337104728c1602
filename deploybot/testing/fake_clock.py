"""A clock that moves only when a test advances it."""

from __future__ import annotations


class FakeClock:
    """`ports.Clock`. Starts on 15 January 2027, 08:00 UTC."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        """Take the first time, in seconds since the epoch."""
        self._now = now

    def now(self) -> float:
        """Return seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Move the time forward."""
        self._now += seconds
