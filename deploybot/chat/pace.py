"""How fast a platform may be talked to: in all, and in each channel."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

from aiolimiter import AsyncLimiter

_REMEMBERED = 2_000


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` calls in any `seconds`."""

    count: int
    seconds: float

    def limiter(self) -> AsyncLimiter:
        """A leaky bucket that never lets more through: it is half full of burst, and drips for the other half."""
        burst = max(self.count // 2, 1)
        drip = max(self.count - burst, 1)
        return AsyncLimiter(burst, self.seconds * burst / drip)


class Pace:
    """Waits until one more call keeps to all rates. A channel's rates are looked up by its kind."""

    def __init__(self, overall: Sequence[Rate]) -> None:
        """Take the rates of all calls together."""
        self._overall = [rate.limiter() for rate in overall]
        self._channels: OrderedDict[tuple[str, tuple[Rate, ...]], list[AsyncLimiter]] = OrderedDict()

    async def turn(self, channel: str, *rates: Rate) -> None:
        """Return when it is the turn of a call to a channel that has these rates of its own."""
        for limiter in (*self._of(channel, rates), *self._overall):
            await limiter.acquire()

    def _of(self, channel: str, rates: tuple[Rate, ...]) -> list[AsyncLimiter]:
        key = (channel, rates)
        found = self._channels.setdefault(key, [rate.limiter() for rate in rates])
        self._channels.move_to_end(key)
        while len(self._channels) > _REMEMBERED:
            self._channels.popitem(last=False)
        return found
