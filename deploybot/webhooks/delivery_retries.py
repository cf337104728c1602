"""Give deliveries to the listeners of events, and decide how often a delivery that fails is tried again."""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Sequence
from dataclasses import dataclass

from deploybot.backoff import Backoff, requested_pause
from deploybot.domain import Event, Ping
from deploybot.errors import StoreDown, StoreError, Unreachable
from deploybot.metrics import METRICS
from deploybot.ports import Delivery, EventListener, Fate, GroupListener, Store
from deploybot.settings import App
from deploybot.webhooks.sender_notices import NO_INTEREST

_EVENTS = 100
_HANDLE_WITHIN = 120.0
_MOST_TRIES = 12
_BROKEN_TRIES = 3
RETRY = Backoff(1.0, 60.0, jitter=random.random)
STORE_PAUSE = 2.0
"""Seconds between two tries while the bot's database is down."""
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class End:
    """The outcome of a delivery for an app. `result` is the word it is counted under, `made` a description."""

    fate: Fate
    result: str
    made: str


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
                await asyncio.sleep(self._retry.first * STORE_PAUSE)
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
