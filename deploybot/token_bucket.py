"""Limit how often something may happen: a rate per second, and a number at once."""

from __future__ import annotations

from collections.abc import Hashable

from deploybot.bounded_memory import BoundedDict


class TokenBucket:
    """Up to `size` tokens, of which `rate` come back each second. Times are of one clock, in seconds."""

    __slots__ = ("_at", "_rate", "_used", "size")

    def __init__(self, rate: float, size: float) -> None:
        """Start with a full bucket."""
        self.size = size
        self._rate = rate
        self._used = 0.0
        self._at = 0.0

    def wait(self, now: float, *, reserve: float = 0.0) -> float:
        """Return the seconds until a token can be taken so that `reserve` tokens stay; 0.0 if that is now."""
        return max((self._used_at(now) + 1.0 - (self.size - reserve)) / self._rate, 0.0)

    def take(self, now: float) -> None:
        """Take a token, even if there is none."""
        self._used, self._at = self._used_at(now) + 1.0, now

    def take_if_free(self, now: float) -> float:
        """Take a token and return 0.0, or return the seconds until there is one."""
        wait = self.wait(now)
        if not wait:
            self.take(now)
        return wait

    def restart(self, now: float) -> None:
        """Bring back tokens only from now on."""
        if self._used:
            self._used, self._at = 1.0, now

    def is_full(self, now: float) -> bool:
        """Return whether all tokens have come back."""
        return not self._used_at(now)

    def _used_at(self, now: float) -> float:
        return max(self._used - max(now - self._at, 0.0) * self._rate, 0.0)


class Allowances:
    """A bucket for each key: `count` at once, and again `count` in every `seconds`. A forgotten key starts full."""

    def __init__(self, count: int, seconds: float, *, remember: int = 1_000) -> None:
        """Remember at most `remember` keys."""
        self._count = count
        self._rate = count / seconds
        self._buckets: BoundedDict[Hashable, TokenBucket] = BoundedDict(remember)

    def takes(self, key: Hashable, now: float) -> bool:
        """Use up one for the key. Return False if none is left."""
        bucket = self._buckets.get(key) or TokenBucket(self._rate, self._count)
        self._buckets[key] = bucket
        return not bucket.take_if_free(now)
