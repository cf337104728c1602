"""How fast a platform may be talked to: in all, and in each channel.

A call has to keep to several rates at once, so it is counted in all of them at one moment, when it goes out. Taking
its place in one limiter after the other would count it in the first long before: two calls could go out together.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

_SLACK = 1.1
"""How much slower than allowed: what left at the right distance may arrive closer together."""
_TICK = 0.001


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` calls in any `seconds`."""

    count: int
    seconds: float


class _Bucket:
    """A leaky bucket: half of a rate may come at once, the other half drips, so no window sees more than the rate."""

    def __init__(self, rate: Rate) -> None:
        self._room = max(rate.count // 2, 1)
        self._drip = max(rate.count - self._room, 1) / (rate.seconds * _SLACK)
        self._level = 0.0
        self._at = 0.0

    def wait(self, now: float) -> float:
        """Seconds until one more call fits."""
        return max((self._left(now) + 1 - self._room) / self._drip, 0.0)

    def take(self, now: float) -> None:
        """Count a call."""
        self._level, self._at = self._left(now) + 1, now

    def arrived(self, now: float) -> None:
        """Count from now on, where one call at a time fits: the last may have been long on its way."""
        if self._room == 1 and self._level:
            self._level, self._at = 1.0, now

    def empty(self, now: float) -> bool:
        """Whether it has forgotten all calls."""
        return not self._left(now)

    def _left(self, now: float) -> float:
        return max(self._level - (now - self._at) * self._drip, 0.0)


@dataclass(slots=True)
class _Line:
    """The calls to one channel, one after the other."""

    buckets: tuple[_Bucket, ...]
    turn: asyncio.Lock = field(default_factory=asyncio.Lock)
    waiting: int = 0


class Pace:
    """Waits until one more call keeps to all rates.

    Calls to one channel go out in the order in which they came; channels take turns, however much one has to say.
    """

    def __init__(self, overall: Sequence[Rate], *, remember: int = 2_000) -> None:
        """Take the rates of all calls together, and how many channels at rest to remember."""
        self._overall = tuple(map(_Bucket, overall))
        self._turn = asyncio.Lock()
        self._remember = remember
        self._lines: OrderedDict[tuple[str, tuple[Rate, ...]], _Line] = OrderedDict()

    async def turn(self, channel: str, *rates: Rate) -> None:
        """Return when it is the turn of a call to a channel that has these rates of its own.

        Calls with other rates (edits, beside new messages) stand in a line of their own.
        """
        line = self._line(channel, rates)
        line.waiting += 1
        try:
            async with line.turn:
                await _room(line.buckets)
                async with self._turn:
                    await _room(self._overall)
                    now = asyncio.get_running_loop().time()
                    for bucket in (*line.buckets, *self._overall):
                        bucket.take(now)
        finally:
            line.waiting -= 1

    def answered(self, channel: str, *rates: Rate) -> None:
        """Note that a call was answered: only then is it sure to have arrived, and the next one keeps its distance."""
        if line := self._lines.get((channel, rates)):
            now = asyncio.get_running_loop().time()
            for bucket in line.buckets:
                bucket.arrived(now)

    def _line(self, channel: str, rates: tuple[Rate, ...]) -> _Line:
        """The channel's line; lines that nobody stands in and that have forgotten their calls go."""
        key = (channel, rates)
        line = self._lines.setdefault(key, _Line(tuple(map(_Bucket, rates))))
        self._lines.move_to_end(key)
        now = asyncio.get_running_loop().time()
        while len(self._lines) > self._remember:
            oldest = next(iter(self._lines.values()))
            if oldest.waiting or not all(bucket.empty(now) for bucket in oldest.buckets):
                break
            self._lines.popitem(last=False)
        return line


async def _room(buckets: Sequence[_Bucket]) -> None:
    """Return when all have room for one more call."""
    loop = asyncio.get_running_loop()
    while pause := max((bucket.wait(loop.time()) for bucket in buckets), default=0.0):  # noqa: ASYNC110  for time
        # What rounding leaves of a pause may be too short for the clock to go on.
        await asyncio.sleep(max(pause, _TICK))
