"""Process the deliveries of one app in order. If a listener can't handle one yet, only this app waits."""

from __future__ import annotations

import asyncio
import logging
import random
from collections import deque
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from dataclasses import dataclass
from functools import partial
from typing import TypeVar

from deploybot.backoff import Backoff, requested_pause
from deploybot.domain import Event, Ping
from deploybot.errors import StoreDown, StoreError, Unreachable
from deploybot.metrics import METRICS
from deploybot.ports import Delivery, EventListener, Fate, GroupListener, Store, Tables
from deploybot.settings import App
from deploybot.webhooks.burst_detector import BurstDetector
from deploybot.webhooks.sender_notices import NO_INTEREST

_BATCH = 32
_BATCH_BYTES = 1 << 20
_EVENTS = 100
_HANDLE_WITHIN = 120.0
_SOON = 1.0
_MOST_TRIES = 12
_BROKEN_TRIES = 3
RETRY = Backoff(1.0, 60.0, jitter=random.random)
_STORE_PAUSE = 2.0
log = logging.getLogger(__name__)

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class End:
    """The outcome of a delivery for an app. `result` is the word it is counted under, `made` a description."""

    fate: Fate
    result: str
    made: str


class AppLane:
    """The deliveries of one app, by number, in order.

    `handle` returns a delivery's outcome for this app. `handle_all` returns those of several at once, or None if that
    fails. `ended` takes the outcomes and returns when they are stored.
    """

    def __init__(
        self,
        store: Store,
        bursts: BurstDetector,
        *,
        handle: Callable[[Delivery], Coroutine[None, None, End]],
        handle_all: Callable[[Sequence[Delivery]], Awaitable[Sequence[End] | None]],
        ended: Callable[[Sequence[tuple[Delivery, End]]], Awaitable[None]],
    ) -> None:
        self._store = store
        self._bursts = bursts
        self._handle = handle
        self._handle_all = handle_all
        self._ended = ended
        self._numbers: deque[int] = deque()
        self.task: asyncio.Task[None] | None = None

    def put(self, number: int) -> None:
        """Add a delivery to the end of the queue."""
        self._numbers.append(number)
        if self.task is None or self.task.done():
            self.task = asyncio.create_task(self._run(), name="webhooks-lane")
            self.task.add_done_callback(_log_failure)

    async def _run(self) -> None:
        """Process all that waits. A few deliveries are loaded at once, and their outcomes are stored in one commit."""
        while self._numbers:
            await self._bursts.over()
            numbers = [self._numbers[index] for index in range(min(_BATCH, len(self._numbers)))]
            found = await until_kept(self._store.read, partial(_load, numbers))
            ends = await self._handle_all(found) if len(found) > 1 else None
            if ends is None:
                await self._handle_each(found)
            else:
                await self._ended([*zip(found, ends, strict=True)])
            last = found[-1].number if found else numbers[-1]
            while self._numbers and self._numbers[0] <= last:
                self._numbers.popleft()

    async def _handle_each(self, found: Sequence[Delivery]) -> None:
        """Process deliveries in order. Outcomes are stored without waiting for a slow delivery."""
        ends: list[tuple[Delivery, End]] = []
        for delivery in found:
            handling = asyncio.create_task(self._handle(delivery))
            try:
                await asyncio.wait((handling,), timeout=_SOON)
                if ends and not handling.done():
                    await self._ended(ends)
                    ends = []
                ends.append((delivery, await handling))
            finally:
                handling.cancel()
        await self._ended(ends)


def _log_failure(task: asyncio.Task[None]) -> None:
    """Log an error that ended a lane. The next delivery starts it again."""
    if not task.cancelled() and (error := task.exception()):
        log.error("the deliveries of an app wait for the next one", exc_info=error)


def _load(numbers: Sequence[int], tables: Tables) -> tuple[Delivery, ...]:
    return tables.deliveries.load(numbers, _BATCH_BYTES)


class EventDispatcher:
    """All listeners of events, in their order. `retry` are the pauses after failures of one delivery."""

    def __init__(self, store: Store, listeners: Sequence[EventListener], *, retry: Backoff = RETRY) -> None:
        self._store = store
        self._listeners = tuple(listeners)
        self._groups = tuple(one for one in self._listeners if isinstance(one, GroupListener))
        self._retry = retry

    async def dispatch(self, app: App, delivery: Delivery, events: Sequence[Event]) -> End:
        """Give events to all listeners. Retry failures with growing pauses, and finally give up."""
        tries, logged = delivery.tries, False
        while True:
            try:
                return await self._dispatch_once(app, delivery, events)
            except StoreDown as error:
                # A problem of the bot itself is no reason to drop a delivery answered with 2xx, however long it lasts.
                log.log(logging.DEBUG if logged else logging.WARNING, "deliveries for %s wait: %s", app.name, error)
                logged = True
                await asyncio.sleep(self._retry.first * _STORE_PAUSE)
                continue
            except (Unreachable, StoreError, TimeoutError) as error:
                problem, most_tries = str(error) or "no answer in time", _MOST_TRIES
                pause = requested_pause(error)
                log.warning("delivery %d for %s waits: %s", delivery.number, app.name, problem)
            except Exception as error:
                problem, most_tries, pause = f"something broke: {type(error).__name__}", _BROKEN_TRIES, 0.0
                log.exception("handling delivery %d for %s failed", delivery.number, app.name)
            tries += 1
            METRICS.webhooks.add(delivery.sender, "retried")
            if tries >= most_tries:
                return End(Fate.FAILED, "given_up", f"given up after {tries} tries: {problem}")
            await self._note(delivery.number, tries)
            await asyncio.sleep(max(pause, self._retry.after(tries)))

    async def dispatch_all(
        self, app: App, deliveries: Sequence[tuple[Delivery, Sequence[Event]]]
    ) -> Sequence[End] | None:
        """Give the events of several deliveries to all listeners. Each listener gets all of them at once.

        Return None if that fails, or if some listener can't take several at once. The caller then uses `dispatch` for
        each delivery. Listeners that already handled one recognise its number.
        """
        if len(self._groups) < len(self._listeners):
            return None
        results: dict[str, list[str]] = {str(delivery.number): [] for delivery, _ in deliveries}
        numbered = [
            (event, str(one.number)) for one, events in deliveries for event in events if not isinstance(event, Ping)
        ]
        try:
            for listener in self._groups if numbered else ():
                async with asyncio.timeout(_HANDLE_WITHIN):
                    words = await listener.handle_events(app, numbered)
                for (_, number), word in zip(numbered, words, strict=True):
                    results[number].append(word)
        except Exception as error:  # noqa: BLE001  `dispatch` meets it again and reports it
            log.info(
                "%d deliveries for %s are processed one by one: %s", len(deliveries), app.name, type(error).__name__
            )
            return None
        for delivery, events in deliveries:
            _count(delivery, events)
        return [_made(results[str(delivery.number)], events) for delivery, events in deliveries]

    async def _dispatch_once(self, app: App, delivery: Delivery, events: Sequence[Event]) -> End:
        results: list[str] = []
        _count(delivery, events)
        numbered = [(event, str(delivery.number)) for event in events if not isinstance(event, Ping)]
        for some in (numbered[at : at + _EVENTS] for at in range(0, len(numbered), _EVENTS)):
            for listener in self._listeners:
                async with asyncio.timeout(_HANDLE_WITHIN):
                    results += await _pass_on(listener, app, some)
        return _made(results, events)

    async def _note(self, number: int, tries: int) -> None:
        """Store the number of tries, for after a crash. Without it there are only more tries."""
        try:
            await self._store.write(lambda tables: tables.deliveries.tried(number, tries))
        except StoreError as error:
            log.warning("the retry count of delivery %d could not be saved: %s", number, error)


async def _pass_on(listener: EventListener, app: App, events: Sequence[tuple[Event, str]]) -> Sequence[str]:
    """Give several events of one delivery to a listener, together if it can take them: they may be a storm."""
    if isinstance(listener, GroupListener):
        return await listener.handle_events(app, events)
    return [await listener.handle_event(app, event, number) for event, number in events]


def _count(delivery: Delivery, events: Sequence[Event]) -> None:
    for event in events:
        METRICS.events.add(delivery.sender, type(event).__name__.lower())


def _made(results: Sequence[str], events: Sequence[Event]) -> End:
    """Return the outcome of a delivery, with the listeners' sentences. Repeated sentences appear once."""
    if not events:
        return End(Fate.DONE, "ignored", NO_INTEREST)
    words = [*results, *("a ping" for event in events if isinstance(event, Ping))]
    return End(Fate.DONE, "heard", "; ".join(dict.fromkeys(filter(None, words))) or "heard")


async def until_kept(ask: Callable[[Callable[[Tables], T]], Awaitable[T]], work: Callable[[Tables], T]) -> T:
    """Retry until the database answers. Nothing is lost meanwhile, and nothing can be done without it."""
    logged = False
    while True:
        try:
            return await ask(work)
        except StoreError as error:
            log.log(logging.DEBUG if logged else logging.WARNING, "deliveries wait for the database: %s", error)
            logged = True
            await asyncio.sleep(_STORE_PAUSE)
