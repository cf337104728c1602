"""Deliver queued database rows at least once, whatever fails or crashes meanwhile.

Items of a lane are sent one at a time, at the rate that the receiver asks for. Each lane pauses after failures.
An item is read when its turn comes, and its result is stored before the lane continues. Chat messages and reports are
delivered this way.
"""

from __future__ import annotations

import abc
import asyncio
import logging
import math
import time
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Generic, Protocol, TypeVar

from deploybot.backoff import Backoff, requested_pause
from deploybot.errors import ChannelClosed, DeploybotError, StoreError, Unreachable
from deploybot.ports import Clock, Store, Tables

_BATCH = 64
_AHEAD = 3600.0
LOOKS = 5.0
_BELIEVED = 900.0
_SEND_WITHIN = 30.0
_STOP_WITHIN = 5.0
_STORE_PAUSE = 2.0
_BROKEN_PAUSE = 60.0
_SCAN_PAUSE = 0.25
_BROKEN_TRIES = 8
log = logging.getLogger(__name__)


class Queued(Protocol):
    """A database row that waits to be sent."""

    @property
    def id(self) -> int:
        """Return its number."""

    @property
    def attempts(self) -> int:
        """Return how often it failed."""

    @property
    def next_at(self) -> float:
        """Return when it may be tried next, in seconds since the epoch."""


T = TypeVar("T", bound=Queued)
LaneName = tuple[str, ...]


@dataclass(slots=True)
class DeliveryLane:
    """Failures in a row, when the lane may be used again (monotonic seconds), and the delivery in progress."""

    failures: int = 0
    free_at: float = 0.0
    task: asyncio.Task[None] | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """The result of an attempt: `sent` (with the receiver's id, if it gave one), a retry, or `given_up`.

    `closed` means that the bot can't deliver anything there.
    """

    sent: bool = False
    remote: str = ""
    error: str = ""
    wait: float = 0.0
    given_up: bool = False
    closed: bool = False


class Courier(abc.ABC, Generic[T]):
    """A worker that delivers one queue. `name` describes the queue in the log.

    `retry` are the pauses of a lane after failures in a row, and of an item after failures of our own. An attempt is
    cancelled after `send_within` seconds and may have arrived then, so a receiver's own time-outs must be shorter.
    """

    send_within = _SEND_WITHIN

    def __init__(self, name: str, store: Store, clock: Clock, *, retry: Backoff, looks: float = LOOKS) -> None:
        """Take the ports. Nothing is read before `run`.

        Look every `looks` seconds for rows of another program: `deploybot allow` cannot wake the worker.
        """
        self._name = name
        self._store = store
        self._clock = clock
        self._retry = retry
        self._looks = looks
        self._lanes: dict[LaneName, DeliveryLane] = {}
        self._arrived: dict[int, tuple[T, Result]] = {}
        self._changed = asyncio.Event()
        self._store_reported = False

    @abc.abstractmethod
    def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[T]:
        """Return waiting items in order of delivery. Items of lanes that are `shut` may be left out."""

    @abc.abstractmethod
    def _lane_of(self, item: T) -> LaneName:
        """Return the lane of an item. Items of a lane are sent one after the other."""

    @abc.abstractmethod
    def _may_overtake(self, lane: DeliveryLane) -> bool:
        """Return whether other items of a lane may overtake one that must wait."""

    @abc.abstractmethod
    async def _send(self, item: T) -> str:
        """Send an item and return the receiver's id. Unreachable is retried; any other DeploybotError is final."""

    @abc.abstractmethod
    def _write(self, tables: Tables, item: T, result: Result) -> None:
        """Store the result of an attempt."""

    @abc.abstractmethod
    def _where(self, item: T) -> str:
        """Return the destination, for the log."""

    def _interval(self, item: T) -> float:
        """Return the seconds to leave in a lane after a message."""
        del item
        return 0.0

    def _seen(self, item: T, result: Result, seconds: float) -> None:
        """Record each attempt and how long it took, for metrics."""

    def wake(self) -> None:
        """Check the queue now: something was committed."""
        self._changed.set()

    async def run(self) -> None:
        """Deliver until cancelled. Then give deliveries in progress a moment to finish."""
        try:
            while True:
                self._changed.clear()
                try:
                    pause = await self._start_due()
                    self._store_reported = False
                except StoreError as error:
                    self._report_store("read", error)
                    pause = _STORE_PAUSE
                await self._sleep(min(pause, self._looks))
        finally:
            await self._finish()

    async def _sleep(self, seconds: float) -> None:
        """Sleep until `wake`, the end of a delivery, or the timeout in seconds."""
        try:
            async with asyncio.timeout(seconds):
                await self._changed.wait()
        except TimeoutError:
            return

    async def _start_due(self) -> float:
        """Start everything that may be sent now. Return the seconds until the next item may be sent."""
        now, limit = self._clock.now(), _BATCH
        shut, opens = self._shut()
        while True:
            items = await self._read(math.inf, limit, shut)
            pause, started = self._start(items, now)
            if started or len(items) < limit:
                break
            limit *= 4
        if limit > _BATCH and not started:
            # A long backlog must wait. Without this pause, each commit would read all of it again.
            await asyncio.sleep(_SCAN_PAUSE)
        return min(pause, opens)

    def _shut(self) -> tuple[frozenset[LaneName], float]:
        """Return the lanes that can't send now, and the seconds until the first pause ends."""
        now = time.monotonic()
        waits = {name: lane.free_at - now for name, lane in self._lanes.items()}
        shut = frozenset(name for name, wait in waits.items() if wait > 0 or self._lanes[name].task is not None)
        return shut, min((wait for wait in waits.values() if wait > 0), default=_AHEAD)

    async def _read(self, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[T]:
        return await self._store.read(lambda tables: self._due(tables, until, limit, shut))

    def _start(self, items: Sequence[T], now: float) -> tuple[float, int]:
        """Start the first due item of each free lane. Return the seconds until the next, and how many were started."""
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
        """Return a row's waiting time in seconds; 0 if it is implausibly long because the clock was set back."""
        return 0.0 if seconds > max(_BELIEVED, self._retry.longest) else seconds

    async def _carry(self, lane: DeliveryLane, item: T) -> None:
        """Handle one item's turn in its lane: try to send it, and store the result."""
        try:
            # If an item was sent but its result could not be stored, store it now: the item must not be sent again.
            item, result = self._arrived.get(item.id) or (item, await self._try(lane, item))
            if result.sent:
                self._arrived[item.id] = item, result
            await self._store.write(lambda tables: self._write(tables, item, result))
            self._arrived.pop(item.id, None)
        except StoreError as error:
            self._report_store("written", error)
            lane.free_at = max(lane.free_at, time.monotonic() + _STORE_PAUSE)
        except Exception:
            log.exception("%s: storing the result of a delivery failed because of a bug", self._name)
            lane.free_at = max(lane.free_at, time.monotonic() + _BROKEN_PAUSE)
        finally:
            lane.task = None
            self._changed.set()

    def _report_store(self, done: str, error: StoreError) -> None:
        """Log that the database is in the way. Warn only once, since the database logs its own recovery."""
        level = logging.DEBUG if self._store_reported else logging.WARNING
        log.log(level, "%s cannot be %s, and will retry when the database works: %s", self._name, done, error)
        self._store_reported = True

    async def _try(self, lane: DeliveryLane, item: T) -> Result:
        """Send once, and set when the lane may be used again."""
        begun = time.monotonic()
        try:
            async with asyncio.timeout(self.send_within):
                result = Result(sent=True, remote=await self._send(item))
        except (Unreachable, StoreError, TimeoutError) as error:
            # StoreError: if the bot could not write to its own database, the message is still worth a retry.
            result = self._later(lane, item, error)
        except DeploybotError as error:
            log.warning("%s refused a message permanently: %s", self._where(item), error)
            result = Result(error=str(error), given_up=True, closed=isinstance(error, ChannelClosed))
        except Exception as error:
            log.exception("sending to %s failed because of a bug", self._where(item))
            attempts = item.attempts + 1
            result = Result(error=repr(error), wait=self._retry.after(attempts), given_up=attempts >= _BROKEN_TRIES)
        else:
            lane.failures = 0
            lane.free_at = time.monotonic() + self._interval(item)
        self._seen(item, result, time.monotonic() - begun)
        return result

    def _later(self, lane: DeliveryLane, item: T, error: Exception) -> Result:
        """Pause the lane for as long as the receiver asked, or longer after each failure."""
        lane.failures += 1
        wait = requested_pause(error) or self._retry.after(lane.failures)
        lane.free_at = time.monotonic() + wait
        self._report_failure(item, wait, error)
        return Result(error=str(error) or "no answer in time", wait=wait)

    def _report_failure(self, item: T, wait: float, error: Exception) -> None:
        """Log a message that must wait."""
        log.warning("%s: a message waits %.1f s: %s", self._where(item), wait, str(error) or "no answer in time")

    async def _finish(self) -> None:
        """Give deliveries in progress a moment to finish, then cancel them."""
        tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
        if tasks:
            _, late = await asyncio.wait(tasks, timeout=_STOP_WITHIN)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
