"""Looking without being called: at once, when it rings, every now and then, and with patience where nobody answers."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from math import inf
from pathlib import Path

import pytest

from deploybot.autodeploy.poller import RETRY, Poller
from deploybot.autodeploy.trigger_records import TriggerRecords
from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.errors import StoreError, Unreachable
from deploybot.settings import App
from deploybot.store.database import Database
from deploybot.testing import FakeClock, memory_store
from tests.autodeploy.conftest import CHANNEL, STAGING, auto_settings

QUICK = Backoff(0.001, 0.02)


class Looks:
    """What looks: it counts, and answers as a test says."""

    def __init__(self) -> None:
        self.count = 0
        self.now = 0
        self.most = 0
        self.problem: Exception | None = None
        self.due = inf
        self.changed = asyncio.Event()
        self.hold = asyncio.Event()
        self.hold.set()

    async def look(self, app: App) -> float:
        del app
        self.count += 1
        self.now += 1
        self.most = max(self.most, self.now)
        self.changed.set()
        try:
            await self.hold.wait()
        finally:
            self.now -= 1
        if self.problem is not None:
            raise self.problem
        return self.due

    async def until(self, count: int) -> None:
        async with asyncio.timeout(10):
            while self.count < count:
                self.changed.clear()
                await self.changed.wait()


def apps(folder: Path, count: int = 1) -> list[App]:
    app = auto_settings(folder, STAGING).apps["shop"]
    return [app.model_copy(update={"name": f"shop{number}"}) for number in range(count)]


class WatchedApps:
    """A poller of apps, and what it looks with."""

    def __init__(self, store: Database, made: list[App], retry: Backoff = QUICK) -> None:
        self.store, self.clock, self.looks = store, FakeClock(), Looks()
        records = TriggerRecords(self.clock, lambda app: app.channel)
        self.watch = Poller(
            made, store=store, clock=self.clock, records=records, jitter=lambda: 0.5, retry=retry, rest=0.0
        )

    async def cards(self) -> list[Card]:
        items = await self.store.read(lambda tables: tables.outbox.due(9e12, 100))
        return [item.card for item in items if item.channel == CHANNEL]


@asynccontextmanager
async def watching_apps(made: list[App], store: Database | None = None) -> AsyncIterator[WatchedApps]:
    async with memory_store() as fresh:
        there = WatchedApps(store or fresh, made)
        task = asyncio.create_task(there.watch.run(there.looks.look))
        try:
            yield there
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def test_it_looks_at_once_and_when_it_rings(tmp_path: Path) -> None:
    async with watching_apps(apps(tmp_path)) as there:
        await there.looks.until(1)
        there.watch.wake("nobody")
        for count in (2, 3):
            there.watch.wake("shop0")
            await there.looks.until(count)


async def test_a_swarm_of_events_is_one_look(tmp_path: Path) -> None:
    async with watching_apps(apps(tmp_path)) as there:
        await there.looks.until(1)
        there.looks.hold.clear()
        there.watch.wake("shop0")
        await there.looks.until(2)
        for _ in range(1000):
            there.watch.wake("shop0")
        there.looks.hold.set()
        await there.looks.until(3)
        await asyncio.sleep(0.02)
        assert there.looks.count == 3


async def test_it_looks_again_after_its_poll_or_when_something_is_due(tmp_path: Path) -> None:
    (often,) = apps(tmp_path)
    async with watching_apps([often.model_copy(update={"poll": 0.02})]) as there:
        await there.looks.until(3)
    async with watching_apps(apps(tmp_path)) as there:
        there.looks.due = 0.01
        await there.looks.until(3)


async def test_all_apps_side_by_side_but_a_few_at_once(tmp_path: Path) -> None:
    async with watching_apps(apps(tmp_path, 30)) as there:
        there.looks.hold.clear()
        await there.looks.until(4)
        await asyncio.sleep(0.02)
        assert (there.looks.count, there.looks.most) == (4, 4)
        there.looks.hold.set()
        await there.looks.until(30)
        assert there.looks.most == 4


async def test_what_does_not_answer_is_reported_once_and_so_is_its_return(tmp_path: Path) -> None:
    made = apps(tmp_path)
    async with watching_apps(made) as there:
        there.looks.problem = Unreachable("the repository of shop", "nothing listens there", hint="Look at it.")
        await there.looks.until(3)
        assert await there.cards() == []
        there.clock.advance(1000)
        for count in (there.looks.count + 3, there.looks.count + 6):
            await there.looks.until(count)
        (card,) = await there.cards()
        assert (card.text, card.hint) == (
            "the repository of shop cannot be reached: nothing listens there.",
            "Look at it.",
        )
        # The bot is started again, and the server answers. The bot before it no longer looks.
        there.looks.hold.clear()
        await there.looks.until(there.looks.count + 1)
        async with watching_apps(made, there.store) as later:
            await later.looks.until(1)
            await eventually(lambda: later.watch._watched["shop0"].known)
            (card,) = await later.cards()
            assert card.title == "shop0 can be checked for changes again."


async def eventually(true: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not true():  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.002)


@pytest.mark.parametrize("problem", [ValueError("a bug"), TimeoutError(), StoreError("disk full")])
async def test_nothing_ends_the_watch(tmp_path: Path, problem: Exception) -> None:
    async with watching_apps(apps(tmp_path)) as there:
        there.looks.problem = problem
        await there.looks.until(3)
        there.looks.problem = None
        await there.looks.until(4)


async def test_pauses_double_up_to_an_hour_and_keep_to_what_was_asked(tmp_path: Path) -> None:
    async with memory_store() as store:
        there = WatchedApps(store, apps(tmp_path), RETRY)
        one = there.watch._watched["shop0"]
        down = Unreachable("the repository", "down")
        pauses = [await there.watch._failed(one, down) for _ in range(11)]
        assert pauses[:4] == [10, 20, 40, 80]
        assert pauses[-1] == 3600
        assert await there.watch._failed(one, Unreachable("the registry", "slow down", retry_after=7200)) == 7200
