"""Bounded memories of recent messages and of recent answers per sender."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from deploybot.ports import Clock


class Recent:
    """The last `limit` keys that were added."""

    def __init__(self, limit: int = 10_000) -> None:
        """Keep at most `limit` keys."""
        self._limit = limit
        self._keys: OrderedDict[Hashable, None] = OrderedDict()

    def first(self, key: Hashable) -> bool:
        """Add a key. Return False if it is already there."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return True


class Allowance:
    """A limit of answers per key and time window. A forgotten key starts with a full allowance."""

    def __init__(self, clock: Clock, *, answers: int, seconds: float, limit: int = 1_000) -> None:
        """Take the clock, the answers per `seconds`, and how many keys to keep."""
        self._clock = clock
        self._answers = answers
        self._seconds = seconds
        self._limit = limit
        self._spent: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Take one answer from the key's allowance. Return False if none is left."""
        now = self._clock.now()
        start, count = self._spent.pop(key, (now, 0))
        if now - start >= self._seconds:
            start, count = now, 0
        self._spent[key] = (start, count + 1)
        if len(self._spent) > self._limit:
            self._spent.popitem(last=False)
        return count < self._answers
