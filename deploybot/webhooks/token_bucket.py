"""Limit how often something may happen: a rate per second, and a number at once."""

from __future__ import annotations


class Bucket:
    """A token bucket: `rate` tokens a second come back, up to `size`. Times are from a monotonic clock."""

    __slots__ = ("_at", "_left", "_rate", "_size")

    def __init__(self, rate: float, size: float) -> None:
        """Start with a full bucket."""
        self._rate = rate
        self._size = size
        self._left = size
        self._at = 0.0

    def take(self, now: float) -> float:
        """Take a token and return 0.0, or return the seconds until there is one."""
        if self._at:
            self._left = min(self._size, self._left + (now - self._at) * self._rate)
        self._at = now
        if self._left < 1.0:
            return (1.0 - self._left) / self._rate
        self._left -= 1.0
        return 0.0
