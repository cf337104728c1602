"""How often somebody may do something: so many a second, and some at once."""

from __future__ import annotations


class Bucket:
    """Tokens that come back with time: `rate` a second, at most `size`. Times are those of a monotonic clock."""

    __slots__ = ("_at", "_left", "_rate", "_size")

    def __init__(self, rate: float, size: float) -> None:
        """It is full."""
        self._rate = rate
        self._size = size
        self._left = size
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take one: 0.0, or, where there is none, the seconds until there will be."""
        if self._at:
            self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._rate
        self._left -= 1.0
        return 0.0
