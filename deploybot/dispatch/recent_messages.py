"""A limit of answers per sender."""

from __future__ import annotations

from collections.abc import Hashable

from deploybot.bounded_memory import BoundedDict
from deploybot.ports import Clock


class Allowance:
    """A limit of answers per key and time window. A forgotten key starts with a full allowance."""

    def __init__(self, clock: Clock, *, answers: int, seconds: float, limit: int = 1_000) -> None:
        """Take the clock, the answers per `seconds`, and how many keys to keep."""
        self._clock = clock
        self._answers = answers
        self._seconds = seconds
        self._spent: BoundedDict[Hashable, tuple[float, int]] = BoundedDict(limit)

    def allows(self, key: Hashable) -> bool:
        """Take one answer from the key's allowance. Return False if none is left."""
        now = self._clock.now()
        start, count = self._spent.get(key, (now, 0))
        if now - start >= self._seconds:
            start, count = now, 0
        self._spent[key] = (start, count + 1)
        return count < self._answers
