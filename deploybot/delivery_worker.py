"""Takes what is queued in the database to where it belongs, at least once, whatever fails or dies meanwhile.

What shares a lane goes one at a time, at the pace that the other side asks for, with pauses of the lane's own after
failures. What is sent is read when its turn comes, and noted before the lane goes on. Chats' cards and reports to
others travel so.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deploybot.errors import ChannelClosed, DeploybotError, StoreError, Unreachable
from deploybot.ports import Clock, Store, Tables

_BATCH = 64
_AHEAD = 3600.0
_BELIEVED = 900.0
_SEND_WITHIN = 30.0
_STOP_WITHIN = 5.0
_STORE_PAUSE = 2.0
_SCAN_PAUSE = 0.25
_BROKEN_TRIES = 8
log = logging.getLogger(__name__)


class Queued(Protocol):
    """Something that waits to be sent: a row of the database."""

    @property
    def id(self) -> int:
        """Its number."""

    @property
    def attempts(self) -> int:
        """How often it failed."""

    @property
    def next_at(self) -> float:
        """When it may be tried next, in seconds since the epoch."""


T = TypeVar("T", bound=Queued)
LaneName = tuple[str, ...]


@dataclass(slots=True)
class DeliveryLane:
    """Its failures in a row, when it may be used again (monotonic seconds), and what is on its way."""

    failures: int = 0
    free_at: float = 0.0
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a try: `sent` with the other side's id, if it gave one; a retry; or (`given_up`) nothing more.

    `closed` says that nothing of the bot arrives there.
    """

    sent: bool = False
    remote: str = ""
    error: str = ""
    wait: float = 0.0
    given_up: bool = False
    closed: bool = False


class Courier(abc.ABC, Generic[T]):
    """The worker. `name` is what it empties, for the log.

    `first_pause` is the seconds after a first failure, which double with each further one up to `longest_pause`;
    `jitter` gives numbers from 0 to 1 that spread them.
    """

    def __init__(
        self,
        name: str,
        store: Store,
        clock: Clock,
        *,
        first_pause: float,
        longest_pause: float,
        jitter: Callable[[], float] = random.random,
    ) -> None:
        """Take the ports; nothing is read before `run`."""
        self._name = name
        self._store = store
        self._clock = clock
        self._first_pause = first_pause
        self._longest_pause = longest_pause
        self._jitter = jitter
        self._lanes: dict[LaneName, DeliveryLane] = {}
        self._arrived: dict[int, tuple[T, Result]] = {}
        self._changed = asyncio.Event()
        self._store_is_told = False

    @abc.abstractmethod
    def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[T]:
        """What waits, in the order in which it is to be tried; what lanes that are `shut` hold may be left out."""

    @abc.abstractmethod
    def _lane_of(self, item: T) -> LaneName:
        """What goes one after the other with this."""

    @abc.abstractmethod
    def _may_overtake(self, lane: DeliveryLane) -> bool:
        """Whether others of a lane may go before one that has to wait."""

    @abc.abstractmethod
    async def _send(self, item: T) -> str:
        """Send it; the other side's id. Unreachable is tried again, any other DeploybotError is an answer for good."""

    @abc.abstractmethod
    def _write(self, tables: Tables, item: T, result: Result) -> None:
        """Write down what became of a try."""

    @abc.abstractmethod
    def _where(self, item: T) -> str:
        """Where it goes, for the log."""

    def _interval(self, item: T) -> float:
        """Seconds to leave in a lane after a message."""
        del item
        return 0.0

    def _seen(self, item: T, result: Result, seconds: float) -> None:
        """Hear of every try and how long it took, for what is counted."""

    def wake(self) -> None:
        """Look at the queue now: something was committed."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled; then give what is on its way a moment to arrive."""
        try:
            while True:
                self._changed.clear()
                try:
                    pause = await self._start_due()
                    self._store_is_told = False
                except StoreError as error:
                    self._tell_store("read", error)
                    pause = _STORE_PAUSE
                await self._sleep(pause)
        finally:
            await self._finish()

    async def _sleep(self, seconds: float) -> None:
        """Until `wake`, a lane's end, or so many seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _start_due(self) -> float:
        """Start what may be sent now; the seconds until something else may be."""
        now, limit = self._clock.now(), _BATCH
        shut, opens = self._shut()
        while True:
            items = await self._read(math.inf, limit, shut)
            pause, started = self._start(items, now)
            if started or len(items) < limit:
                break
            limit *= 4
        if limit > _BATCH and not started:
            # A long backlog that has to wait: each commit would have it all read again.
            await asyncio.sleep(_SCAN_PAUSE)
        return min(pause, opens)

    def _shut(self) -> tuple[frozenset[LaneName], float]:
        """The lanes in which nothing can be sent now, and the seconds until one of them opens by itself."""
        now = time.monotonic()
        waits = {name: lane.free_at - now for name, lane in self._lanes.items()}
        shut = frozenset(name for name, wait in waits.items() if wait > 0 or self._lanes[name].task is not None)
        return shut, min((wait for wait in waits.values() if wait > 0), default=_AHEAD)

    async def _read(self, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[T]:
        return await self._store.read(lambda tables: self._due(tables, until, limit, shut))

    def _start(self, items: Sequence[T], now: float) -> tuple[float, int]:
        """Start the first due item of every free lane; the seconds until the next, and how many were started."""
        pause, started = _AHEAD, 0
        held: set[int] = set()
        for item in items:
            lane = self._lanes.setdefault(self._lane_of(item), DeliveryLane())
            if lane.task is not None or id(lane) in held:
                continue
            wait = max(lane.free_at - time.monotonic(), self._asked(item.next_at - now))
            if wait > 0:
                pause = min(pause, wait)
                if not self._may_overtake(lane):
                    held.add(id(lane))
                continue
            lane.task = asyncio.create_task(self._carry(lane, item))
            started += 1
        return pause, started

    def _asked(self, seconds: float) -> float:
        """Seconds that a row says it waits, as far as it may: more is said only by a clock that was set back since."""
        return 0.0 if seconds > max(_BELIEVED, self._longest_pause) else seconds

    async def _carry(self, lane: DeliveryLane, item: T) -> None:
        """One item's turn in its lane: try to send it, and note what became of it."""
        try:
            # What arrived but could not be noted is noted first: it must not be sent again.
            item, result = self._arrived.get(item.id) or (item, await self._try(lane, item))
            if result.sent:
                self._arrived[item.id] = item, result
            await self._store.write(lambda tables: self._write(tables, item, result))
            self._arrived.pop(item.id, None)
        except StoreError as error:
            self._tell_store("written", error)
            lane.free_at = max(lane.free_at, time.monotonic() + _STORE_PAUSE)
        finally:
            lane.task = None
            self._changed.set()

    def _tell_store(self, done: str, error: StoreError) -> None:
        """Log what the database is in the way of; once, since the database itself tells when it is well again."""
        level = logging.DEBUG if self._store_is_told else logging.WARNING
        log.log(level, "%s cannot be %s, and waits for the database: %s", self._name, done, error)
        self._store_is_told = True

    async def _try(self, lane: DeliveryLane, item: T) -> Result:
        """Send once; sets when the lane may be used again."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(_SEND_WITHIN):
                result = Result(sent=True, remote=await self._send(item))
        except (Unreachable, StoreError, TimeoutError) as error:
            # StoreError: what could not be written down is the bot's own trouble, not the message's end.
            result = self._later(lane, item, error)
        except DeploybotError as error:
            log.warning("%s refused what it was sent for good: %s", self._where(item), error)
            result = Result(error=str(error), given_up=True, closed=isinstance(error, ChannelClosed))
        except Exception as error:
            log.exception("sending to %s broke", self._where(item))
            attempts = item.attempts + 1
            result = Result(error=repr(error), wait=self._pause(attempts), given_up=attempts >= _BROKEN_TRIES)
        else:
            lane.failures = 0
            lane.free_at = time.monotonic() + self._interval(item)
        self._seen(item, result, time.monotonic() - begun)
        return result

    def _later(self, lane: DeliveryLane, item: T, error: Exception) -> Result:
        """Leave the lane alone for as long as the other side asked, or longer after each failure."""
        lane.failures += 1
        asked = error.retry_after if isinstance(error, Unreachable) else 0.0
        wait = asked or self._pause(lane.failures)
        lane.free_at = time.monotonic() + wait
        self._tell_failure(item, wait, error)
        return Result(error=str(error) or "no answer in time", wait=wait)

    def _tell_failure(self, item: T, wait: float, error: Exception) -> None:
        """Log what has to wait."""
        log.warning("%s: a message waits %.1f s: %s", self._where(item), wait, str(error) or "no answer in time")

    def _pause(self, failures: int) -> float:
        """Seconds to wait after so many failures in a row: doubling, bounded, and spread by half."""
        longest = min(self._longest_pause, self._first_pause * 2.0 ** min(failures - 1, 20))
        return longest * (0.5 + self._jitter() / 2)

    async def _finish(self) -> None:
        """Let what is on its way arrive, for a moment."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
