"""Turn stored deliveries into events, and give these to all listeners.

Delivery is at least once: a delivery waits until all listeners have handled it, across crashes. Listeners use its
number to ignore what they already handled. Each app's deliveries stay in order, and a problem of one app does not delay
another.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial

from deploybot.backoff import Backoff
from deploybot.bot_log import about_delivery
from deploybot.domain import Event, Ping
from deploybot.events.app_matching import Routes
from deploybot.events.forge_accounts import ForgeAccounts
from deploybot.metrics import METRICS
from deploybot.ports import Clock, Delivery, EventListener, Fate, Store, Tables, Waiting
from deploybot.settings import Settings
from deploybot.setup_notices import NoticeBoard
from deploybot.webhooks.app_queue import AppLane, until_kept
from deploybot.webhooks.burst_detector import BurstDetector
from deploybot.webhooks.delivery_retries import RETRY, End, EventDispatcher
from deploybot.webhooks.large_bodies import LARGE, events_of
from deploybot.webhooks.sender_notices import (
    ABOUT,
    BROKEN,
    NO_APP,
    NO_INTEREST,
    UNREADABLE,
    look_at_ends,
    named_by,
    renamed_notice,
    unreadable_notice,
)
from deploybot.webhooks.sender_port import MalformedError, Received

_BATCH = 64
_MOST = 50_000
_MOST_BYTES = 256 << 20
log = logging.getLogger(__name__)


@dataclass(slots=True)
class _OpenDelivery:
    """A delivery for several apps: how many have not handled it yet, and the outcomes so far."""

    left: int
    ends: list[End] = field(default_factory=list)


class Inbox:
    """Processes stored deliveries and gives every event to `listeners`, in their order. The queue is bounded."""

    def __init__(
        self,
        settings: Settings,
        store: Store,
        clock: Clock,
        listeners: Sequence[EventListener],
        *,
        retry: Backoff = RETRY,
        board: NoticeBoard | None = None,
    ) -> None:
        """Take bot.toml, the ports and the listeners. `board` reports events that don't fit bot.toml."""
        self._apps = settings.apps
        self._routes = Routes(settings)
        self._accounts = ForgeAccounts(settings)
        self._store = store
        self._clock = clock
        self._dispatcher = EventDispatcher(store, listeners, retry=retry)
        self._lanes: dict[str, AppLane] = {}
        self._open: dict[int, _OpenDelivery] = {}
        self._bursts = BurstDetector()
        self._bytes = 0
        self._last = 0
        self._taking = True
        self._changed = asyncio.Event()
        self._idle = asyncio.Event()
        self._board = board
        self._large = asyncio.Semaphore()

    def room(self, size: int) -> bool:
        """Return whether one more delivery, with a body of so many bytes, has room in the queue."""
        return self._bytes + size <= _MOST_BYTES and len(self._open) < _MOST

    def put(self, size: int) -> None:
        """Queue a delivery that was stored, with a body of so many bytes."""
        self._bytes += size
        self._bursts.came()
        self._idle.clear()
        self._changed.set()

    async def drained(self) -> None:
        """Wait until the queue is empty. For the command line and for tests."""
        await self._idle.wait()

    async def run(self) -> None:
        """Process deliveries that waited when the bot stopped, and then new ones, until cancelled."""
        self._bytes += await until_kept(self._store.read, lambda tables: tables.deliveries.backlog())
        self._changed.set()
        try:
            while True:
                await self._changed.wait()
                self._changed.clear()
                self._taking = True
                await self._take_new()
                self._taking = False
                self._rest()
        finally:
            tasks = [lane.task for lane in self._lanes.values() if lane.task is not None]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _take_new(self) -> None:
        """Assign all new deliveries to the lanes of their apps."""
        more = True
        while more:
            await self._bursts.over()
            found = await until_kept(self._store.read, self._next)
            for one in found:
                self._give(one.number, (one.app,) if one.app else await self._apps_by_body(one.number))
                self._last = one.number
            more = len(found) == _BATCH

    def _next(self, tables: Tables) -> tuple[Waiting, ...]:
        return tables.deliveries.waiting(self._last, _BATCH)

    def _give(self, number: int, apps: Sequence[str]) -> None:
        self._open[number] = _OpenDelivery(len(apps))
        for name in apps:
            if name not in self._lanes:
                self._lanes[name] = self._lane(name)
            self._lanes[name].put(number)

    async def _apps_by_body(self, number: int) -> tuple[str, ...]:
        """Return the apps of a delivery sent to the address of all apps, or `("",)` if it is about none."""
        found = await until_kept(self._store.read, lambda tables: tables.deliveries.load((number,), 0))
        try:
            events = [event for delivery in found for event in await self._events(delivery)]
            return tuple(dict.fromkeys(app for event in events for app in self._routes.apps(event))) or ("",)
        except Exception:  # noqa: BLE001  the lane meets it again and reports it
            return ("",)

    def _lane(self, app: str) -> AppLane:
        handle, handle_all = partial(self._handle, app), partial(self._handle_all, app)
        return AppLane(self._store, self._bursts, handle=handle, handle_all=handle_all, ended=self._end)

    async def _handle(self, app: str, delivery: Delivery) -> End:
        """Process a delivery for an app and return its outcome. Log messages meanwhile carry its number."""
        with about_delivery(f"{delivery.sender}/{delivery.number}"):
            found = await self._read(app, delivery)
            return (
                found if isinstance(found, End) else await self._dispatcher.dispatch(self._apps[app], delivery, found)
            )

    async def _handle_all(self, app: str, deliveries: Sequence[Delivery]) -> Sequence[End] | None:
        """Process several deliveries and return their outcomes, or None if they must be processed one by one."""
        found: list[End | Sequence[Event]] = []
        for delivery in deliveries:
            with about_delivery(f"{delivery.sender}/{delivery.number}"):
                found.append(await self._read(app, delivery))
            await asyncio.sleep(0)  # let other tasks run between two bodies
        readable = [(one, of_it) for one, of_it in zip(deliveries, found, strict=True) if not isinstance(of_it, End)]
        outcomes = await self._dispatcher.dispatch_all(self._apps[app], readable) if readable else ()
        if outcomes is None:
            return None
        ends = iter(outcomes)
        return [of_it if isinstance(of_it, End) else next(ends) for of_it in found]

    async def _read(self, app: str, delivery: Delivery) -> Sequence[Event] | End:
        """Return the events of a delivery for an app, or its outcome.

        `app` is empty for deliveries that are about no known app.
        """
        try:
            return self._mine(app, delivery, await self._events(delivery))
        except MalformedError as error:
            log.warning("delivery %d of %s cannot be read: %s", delivery.number, delivery.sender, error)
            return End(Fate.FAILED, "malformed", f"{UNREADABLE}{error}")
        except Exception as error:
            log.exception("reading delivery %d of %s failed", delivery.number, delivery.sender)
            return End(Fate.FAILED, "broken", f"{BROKEN}{type(error).__name__}")

    def _mine(self, app: str, delivery: Delivery, events: Sequence[Event]) -> Sequence[Event] | End:
        if app not in self._apps:
            return self._homeless(delivery, events)
        if delivery.app:
            mine = [event for event in events if self._routes.concerns(app, event)]
        else:
            mine = [event for event in events if app in self._routes.apps(event)]
        if events and not mine and any(self._routes.names(app, event) for event in events):
            # Another image of the app's own repository: nothing was renamed.
            return End(Fate.DONE, "ignored", NO_INTEREST)
        if events and not mine:
            return End(Fate.DONE, "elsewhere", f"{ABOUT}{_subject(events[0])}, which is not {app}'s")
        return [self._accounts.told_apart(app, event) for event in mine]

    async def _events(self, delivery: Delivery) -> tuple[Event, ...]:
        """Read the events of a delivery. Large bodies are read one at a time, because each takes much memory."""
        received = Received(headers=delivery.headers, body=delivery.body, query=delivery.query, at=delivery.received)
        async with self._large if len(delivery.body) >= LARGE else nullcontext():
            return await events_of(delivery.sender, received)

    def _homeless(self, delivery: Delivery, events: Sequence[Event]) -> End:
        """Return the outcome of a delivery that is about no known app."""
        if delivery.app:
            return End(Fate.DONE, "elsewhere", f"{NO_APP}{delivery.app} any more")
        if not events:
            return End(Fate.DONE, "ignored", NO_INTEREST)
        if all(isinstance(event, Ping) for event in events):
            METRICS.events.add(delivery.sender, "ping")
            return End(Fate.DONE, "heard", "a ping")
        return End(Fate.DONE, "elsewhere", f"{ABOUT}{_subject(events[0])}, which belongs to no app here")

    async def _end(self, ends: Sequence[tuple[Delivery, End]]) -> None:
        """Record outcomes for one app. A delivery has ended when it has ended for all its apps."""
        done: list[tuple[Delivery, Fate, str]] = []
        for delivery, end in ends:
            METRICS.webhooks.add(delivery.sender, end.result)
            one = self._open[delivery.number]
            one.left -= 1
            one.ends.append(end)
            if not one.left:
                fate = Fate.FAILED if any(end.fate is Fate.FAILED for end in one.ends) else Fate.DONE
                done.append((delivery, fate, "; ".join(dict.fromkeys(end.made for end in one.ends))))
        if done:
            await until_kept(self._store.write, partial(self._finish, done, self._clock.now()))
        for delivery, _, _ in done:
            self._bytes -= len(delivery.body)
            del self._open[delivery.number]
        self._rest()

    def _finish(self, done: Sequence[tuple[Delivery, Fate, str]], now: float, tables: Tables) -> None:
        """Store the outcomes of deliveries, and report events that do not fit bot.toml."""
        for delivery, fate, made in done:
            tables.deliveries.finish(delivery.number, fate, made, now)
        if self._board is None:
            return
        self._report_unread(tables, self._board, done, now)
        handled = [(delivery, made) for delivery, fate, made in done if fate is Fate.DONE]
        look_at_ends(tables, self._board, handled)
        for delivery, made in handled:
            if delivery.app in self._apps and made.startswith(ABOUT):
                named = made.removeprefix(ABOUT).partition(", which is not ")[0]
                own = self._routes.own(delivery.app)
                self._board.report(tables, renamed_notice(delivery.app, own, delivery.sender, named))

    def _report_unread(
        self, tables: Tables, board: NoticeBoard, done: Sequence[tuple[Delivery, Fate, str]], now: float
    ) -> None:
        day = datetime.fromtimestamp(now, UTC).date().isoformat()
        for delivery, fate, made in done:
            if fate is Fate.FAILED and made.startswith((UNREADABLE, BROKEN)):
                app = delivery.app if delivery.app in self._apps else ""
                board.report(tables, unreadable_notice(app, delivery.sender, made, day))

    def _rest(self) -> None:
        if not (self._open or self._taking or self._changed.is_set()):
            self._bytes = 0
            self._idle.set()


def _subject(event: Event) -> str:
    """Return the name that an event has for its subject."""
    return named_by(event) or "something without a name"
