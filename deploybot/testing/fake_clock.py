"""A clock that stands still until it is told to go on."""

from __future__ import annotations


class FakeClock:
    """`ports.Clock`. Starts on 15 January 2027, 08:00 UTC."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        """Take the first time, in seconds since the epoch."""
        self._now = now

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._now

    def advance(self, seconds: float) -> None:
        """Let time pass."""
        self._now += seconds
