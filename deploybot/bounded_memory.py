"""Memories with a maximum size: the newest entries stay, the oldest are dropped."""

from __future__ import annotations

import math
from collections import OrderedDict
from collections.abc import Hashable
from typing import TypeVar

K = TypeVar("K", bound=Hashable)
V = TypeVar("V")


class BoundedDict(OrderedDict[K, V]):
    """A dictionary of at most `most` entries. Setting an entry makes it the newest; reading it does not."""

    def __init__(self, most: int) -> None:
        """Start empty."""
        super().__init__()
        self._most = most

    def __setitem__(self, key: K, value: V) -> None:
        """Set an entry, and drop the oldest one if there are too many."""
        super().__setitem__(key, value)
        self.move_to_end(key)
        if len(self) > self._most:
            self.popitem(last=False)


class SeenKeys:
    """The last `most` keys that were seen. With `forget_after`, a key counts as new again after that many seconds."""

    def __init__(self, most: int, *, forget_after: float = math.inf) -> None:
        """Start empty."""
        self._forget_after = forget_after
        self._seen: BoundedDict[Hashable, float] = BoundedDict(most)

    def __len__(self) -> int:
        """Return the number of keys in memory."""
        return len(self._seen)

    def first_time(self, key: Hashable, now: float = 0.0) -> bool:
        """Add a key. Return False if it is there already. `now` is needed only with `forget_after`."""
        while self._seen and now - next(iter(self._seen.values())) >= self._forget_after:
            self._seen.popitem(last=False)
        if key in self._seen:
            return False
        self._seen[key] = now
        return True
