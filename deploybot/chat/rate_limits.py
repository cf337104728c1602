"""Rate limits of a platform: overall and per channel.

A call must stay within several rates at once. It is counted in all of them at the moment it goes out. If it queued in
one limiter after the other, the first would count it too early, and two calls could go out together.
"""

from __future__ import annotations

import asyncio
import bisect
import enum
import itertools
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field

from deploybot.card import Card
from deploybot.token_bucket import TokenBucket

_SLACK = 1.1
"""How much slower than allowed to send: calls sent at the right distance can arrive closer together."""
_TICK = 0.001
_QUARTERS = 4


class Urgency(enum.IntEnum):
    """The priority of waiting calls. Less urgent calls leave a part of each rate free for more urgent ones."""

    ANSWER = 0
    CARD = 1
    NOTIFICATION = 2


def urgency_of(card: Card, *, edits: bool = False) -> Urgency:
    """Return how urgent it is to post a card, or to edit its message."""
    if card.notification:
        return Urgency.NOTIFICATION
    return Urgency.CARD if edits and not card.final else Urgency.ANSWER


@dataclass(frozen=True, slots=True)
class Rate:
    """At most `count` calls in any `seconds`."""

    count: int
    seconds: float


def _bucket(rate: Rate) -> TokenBucket:
    """Return a bucket that never exceeds a rate in any window: half of it is available at once, half drips in."""
    size = max(rate.count // 2, 1)
    return TokenBucket(max(rate.count - size, 1) / (rate.seconds * _SLACK), size)


def _wait(bucket: TokenBucket, now: float, urgency: Urgency) -> float:
    """Return the seconds until one more call fits. Notifications leave half of the burst free, cards a quarter."""
    return bucket.wait(now, reserve=bucket.size * urgency // _QUARTERS)


@dataclass(slots=True, eq=False)
class _PacedCall:
    """A waiting call: `go` is done when it may go out."""

    urgency: Urgency
    number: int
    go: asyncio.Future[None]


def _order(call: _PacedCall) -> tuple[int, int]:
    return call.urgency, call.number


@dataclass(slots=True, eq=False)
class _ChannelLine:
    """The calls that wait for one channel, in sending order. `since` numbers when the first got to the front."""

    buckets: tuple[TokenBucket, ...]
    waiting: list[_PacedCall] = field(default_factory=list)
    since: int = 0


class Pace:
    """Waits until one more call stays within all rates.

    Calls to one channel go out by urgency, then in order of arrival. Channels take turns, however many calls one has.
    """

    def __init__(self, overall: Sequence[Rate], *, remember: int = 2_000) -> None:
        """Take the overall rates, and how many idle channels to remember."""
        self._overall = tuple(map(_bucket, overall))
        self._remember = remember
        self._lines: OrderedDict[tuple[str, tuple[Rate, ...]], _ChannelLine] = OrderedDict()
        self._busy: dict[_ChannelLine, None] = {}
        self._numbers = itertools.count(1)
        self._timer: asyncio.TimerHandle | None = None

    async def turn(self, channel: str, *rates: Rate, urgency: Urgency = Urgency.ANSWER) -> None:
        """Return when a call to a channel with these additional rates may go out.

        Calls with other rates (edits, beside new messages) wait in a separate line.
        """
        line = self._line(channel, rates)
        call = _PacedCall(urgency, next(self._numbers), asyncio.get_running_loop().create_future())
        bisect.insort(line.waiting, call, key=_order)
        self._busy[line] = None
        if line.waiting[0] is call:
            line.since = call.number
        self._grant()
        try:
            await call.go
        except asyncio.CancelledError:
            if call in line.waiting:
                self._leave(line, call)
                self._grant()
            raise

    def answered(self, channel: str, *rates: Rate) -> None:
        """Note that a call was answered. Only now has it surely arrived: it may have been delayed on its way.

        So if only one call fits at a time, the next one keeps its distance from now on.
        """
        if line := self._lines.get((channel, rates)):
            now = asyncio.get_running_loop().time()
            for bucket in line.buckets:
                if bucket.size == 1:
                    bucket.restart(now)

    def _grant(self) -> None:
        """Release all calls that may go out now, and set a timer for the next one."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while True:
            now, pause = loop.time(), math.inf
            for line in sorted(self._busy, key=lambda one: (one.waiting[0].urgency, one.since)):
                call = line.waiting[0]
                if call.go.done():  # it is cancelled, but its task has not run yet
                    self._leave(line, call)
                    break
                wait = max((_wait(one, now, call.urgency) for one in (*line.buckets, *self._overall)), default=0.0)
                if not wait:
                    self._let_go(line, call, now)
                    break
                pause = min(pause, wait)
            else:
                break
        if self._busy:
            # Rounding can leave a pause that is too short for the clock to advance.
            self._timer = loop.call_later(max(pause, _TICK), self._grant)

    def _let_go(self, line: _ChannelLine, call: _PacedCall, now: float) -> None:
        for bucket in (*line.buckets, *self._overall):
            bucket.take(now)
        self._leave(line, call)
        call.go.set_result(None)

    def _leave(self, line: _ChannelLine, call: _PacedCall) -> None:
        """Remove a call from its line. The next one queues behind the first ones of other lines."""
        first = line.waiting[0] is call
        line.waiting.remove(call)
        if not line.waiting:
            del self._busy[line]
        elif first:
            line.since = next(self._numbers)

    def _line(self, channel: str, rates: tuple[Rate, ...]) -> _ChannelLine:
        """Return the channel's line. Forget old lines that are empty and whose calls have drained."""
        key = (channel, rates)
        line = self._lines.setdefault(key, _ChannelLine(tuple(map(_bucket, rates))))
        self._lines.move_to_end(key)
        now = asyncio.get_running_loop().time()
        while len(self._lines) > self._remember:
            oldest = next(iter(self._lines.values()))
            if oldest.waiting or not all(bucket.is_full(now) for bucket in oldest.buckets):
                break
            self._lines.popitem(last=False)
        return line
