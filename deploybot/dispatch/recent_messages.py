"""Bounded memories: which messages were taken, and who was answered how often."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Hashable

from deploybot.ports import Clock


class Recent:
    """The last keys that were noted, a bounded number of them."""

    def __init__(self, limit: int = 10_000) -> None:
        """Keep at most so many."""
        self._limit = limit
        self._keys: OrderedDict[Hashable, None] = OrderedDict()

    def first(self, key: Hashable) -> bool:
        """Note a key; False when it is remembered already."""
        if key in self._keys:
            return False
        self._keys[key] = None
        if len(self._keys) > self._limit:
            self._keys.popitem(last=False)
        return True


class Allowance:
    """So many answers for a key in so many seconds; whoever is not remembered begins anew."""

    def __init__(self, clock: Clock, *, answers: int, seconds: float, limit: int = 1_000) -> None:
        """Take the clock, the allowance, and how many keys to remember."""
        self._clock = clock
        self._answers = answers
        self._seconds = seconds
        self._limit = limit
        self._spent: OrderedDict[Hashable, tuple[float, int]] = OrderedDict()

    def allows(self, key: Hashable) -> bool:
        """Take one answer from the key's allowance; False when it is spent."""
        now = self._clock.now()
        start, count = self._spent.pop(key, (now, 0))
        if now - start >= self._seconds:
            start, count = now, 0
        self._spent[key] = (start, count + 1)
        if len(self._spent) > self._limit:
            self._spent.popitem(last=False)
        return count < self._answers
