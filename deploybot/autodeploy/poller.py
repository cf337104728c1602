"""Check each app for changes: when the bot starts, when an event arrives, and every `poll` seconds.

Apps are checked in parallel, a few at a time. After a failure the pauses double, up to an hour. If failures go on for
long, they are reported once.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from deploybot.autodeploy.trigger_cards import trouble_card
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.backoff import Backoff, requested_pause
from deploybot.errors import DeploybotError, StoreError
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import App

log = logging.getLogger(__name__)

AT_ONCE = 4
SPREAD = 0.1
LOOK_WITHIN = 1800.0
RETRY = Backoff(10.0, 3600.0)
REST = 0.5
LONG = 900.0
_REPORTED = "trouble reported"


@dataclass(slots=True)
class _Watched:
    """The poller's state of an app: its wake-up event, its failures in a row, and since when (seconds since the epoch).

    `known` is False until the first successful check.
    """

    app: App
    bell: asyncio.Event = field(default_factory=asyncio.Event)
    failures: int = 0
    since: float = 0.0
    known: bool = False


class Poller:
    """Checks apps for changes. `jitter` returns numbers from 0 to 1 that spread the checks over time."""

    def __init__(
        self,
        apps: Iterable[App],
        *,
        store: Store,
        clock: Clock,
        records: TriggerRecords,
        jitter: Callable[[], float] = random.random,
        retry: Backoff = RETRY,
        rest: float = REST,
    ) -> None:
        """Take the apps that have any `auto`, and the ports; `rest` is the pause after each check, in seconds."""
        self._watched = {app.name: _Watched(app) for app in apps}
        self._store = store
        self._clock = clock
        self._records = records
        self._jitter = jitter
        self._retry = retry
        self._rest = rest
        self._few = asyncio.Semaphore(AT_ONCE)

    def wake(self, app: str) -> None:
        """Check an app soon. Ignore apps that are not watched."""
        if app in self._watched:
            self._watched[app].bell.set()

    async def run(self, look: Callable[[App], Awaitable[float]]) -> None:
        """Check apps until cancelled. `look` returns the seconds until the next check is due without an event."""
        async with asyncio.TaskGroup() as group:
            for one in self._watched.values():
                group.create_task(self._watch(one, look), name=f"watch-{one.app.name}")

    async def _watch(self, one: _Watched, look: Callable[[App], Awaitable[float]]) -> None:
        while True:
            one.bell.clear()
            pause = await self._look(one, look)
            # Events come in bursts: all that arrive during this pause cause one check.
            await asyncio.sleep(min(self._rest, pause))
            try:
                async with asyncio.timeout(max(pause - self._rest, 0.0)):
                    await one.bell.wait()
            except TimeoutError:
                continue

    async def _look(self, one: _Watched, look: Callable[[App], Awaitable[float]]) -> float:
        """Check an app once. Return the seconds until the next check, unless an event comes first."""
        try:
            async with self._few, asyncio.timeout(LOOK_WITHIN):
                due = await look(one.app)
            await self._succeeded(one)
        except (DeploybotError, TimeoutError) as problem:
            log.warning("%s could not be checked: %s", one.app.name, problem)
            return await self._failed(one, problem)
        except Exception as problem:
            log.exception("checking %s failed", one.app.name)
            return await self._failed(one, problem)
        return min(self._spread(one.app.poll), due)

    async def _succeeded(self, one: _Watched) -> None:
        """Record a successful check. If the failure was reported, perhaps before a restart, report that it is over."""
        if one.failures or not one.known:
            await self._store.write(lambda tables: self._report_recovery(tables, one.app))
        one.failures, one.since, one.known = 0, 0.0, True

    def _report_recovery(self, tables: Tables, app: App) -> None:
        if _REPORTED in tables.triggers.considered(app.name, ""):
            tables.triggers.forget(app.name, "", _REPORTED)
            self._records.post(tables, app, trouble_card(app.name, ""))

    async def _failed(self, one: _Watched, problem: Exception) -> float:
        """Record a failed check and return the seconds to wait. Report the failure once if it goes on for long."""
        now = self._clock.now()
        one.failures, one.since = one.failures + 1, one.since or now
        if now - one.since >= LONG:
            await self._report_problem(one.app, problem)
        return max(self._spread(self._retry.after(one.failures)), requested_pause(problem))

    def _spread(self, seconds: float) -> float:
        """Return a pause that is longer or shorter by up to a tenth, so that apps are not checked at the same time."""
        return seconds * (1 + SPREAD * (2 * self._jitter() - 1))

    async def _report_problem(self, app: App, problem: Exception) -> None:
        ours = isinstance(problem, DeploybotError)
        why = (
            str(problem) if ours else "no answer in time" if isinstance(problem, TimeoutError) else "see the bot's log"
        )
        fix = str(getattr(problem, "hint", ""))

        def report(tables: Tables) -> None:
            if _REPORTED not in tables.triggers.considered(app.name, ""):
                tables.triggers.consider(app.name, "", _REPORTED, why)
                self._records.post(tables, app, trouble_card(app.name, why, fix))

        try:
            await self._store.write(report)
        except StoreError as trouble:
            log.error("could not report that %s cannot be checked: %s", app.name, trouble)  # noqa: TRY400  the message has all that is needed
