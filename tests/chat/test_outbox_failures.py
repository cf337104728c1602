"""The outbox, on the real database and a chat that fails: nothing lost, nothing said twice."""

from __future__ import annotations

import asyncio
import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TypeVar

import pytest

from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.delivery_worker import Result
from deploybot.domain import Channel
from deploybot.errors import StoreDown, StoreError, Unreachable, UserError
from deploybot.ports import OutboxItem, Tables
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from tests.chat.outbox_platform import STATES, Platform, drained, put, running, state, waiting
from tests.chat.stub import SystemClock
from tests.kit.seeds import new_seed

CARDS = int(os.environ.get("N", "100"))
T = TypeVar("T")


class BrokenRows(OutboxWorker):
    writes = 0

    def _write(self, tables: Tables, item: OutboxItem, result: Result) -> None:
        del tables, item, result
        type(self).writes += 1
        raise RuntimeError("a bug")


async def test_a_bug_while_a_result_is_stored_is_logged_and_no_busy_loop(
    store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Platform()
    async with running(store, chat, worker=BrokenRows):
        await put(store, Card(title="x"))
        await asyncio.wait_for(chat.arrived.wait(), 5)
        await asyncio.sleep(0.1)
    assert (BrokenRows.writes, chat.calls) == (1, 1)
    assert "storing the result of a delivery failed" in caplog.text


async def test_what_a_chat_refuses_for_good_is_given_up_and_nothing_else(store: Database) -> None:
    faults: list[Exception] = [UserError("no such channel")]
    chat = Platform(fault=lambda moment: faults.pop() if faults and moment == "before" else None)
    async with running(store, chat):
        await put(store, Card(title="refused"))
        await drained(store)
        await put(store, Card(title="taken"))
        await drained(store)
    assert [posted.states[0].title for posted in chat.messages] == ["taken"]


async def test_a_fault_of_the_adapter_is_tried_again_and_bounded(store: Database) -> None:
    faults: list[Exception] = [RuntimeError("bug")] * 3
    chat = Platform(fault=lambda moment: faults.pop() if faults and moment == "before" else None)
    async with running(store, chat):
        await put(store, Card(title="late"))
        await drained(store)
        chat.fault = lambda _: RuntimeError("bug")
        chat.calls = 0
        await put(store, Card(title="never"))
        await drained(store)
    assert chat.messages[0].states[0].title == "late"
    assert chat.calls == 8


async def test_a_message_that_somebody_deleted_is_said_anew(store: Database) -> None:
    class Deleting(Platform):
        async def edit(self, channel: Channel, message: str, card: Card) -> None:
            if message == "0":
                raise UserError("there is no such message")
            await super().edit(channel, message, card)

    chat = Deleting()
    async with running(store, chat):
        for number in range(3):
            await put(store, state("deployment:1", number))
            await drained(store)
    assert [[card.title for card in posted.states] for posted in chat.messages] == [["0"], ["1", "2"]]


@pytest.mark.parametrize("moment", ["first", "edit"])
async def test_buttons_that_cannot_be_written_down_delay_their_message_only(store: Database, moment: str) -> None:
    chat = Platform()
    async with running(store, chat):
        if moment == "edit":
            await put(store, state("deployment:1", 0))
            await drained(store)
        faults = [StoreError("the disk is full")] * 6
        chat.fault = lambda moment: faults.pop() if faults and moment == "before" else None
        await put(store, state("deployment:1", STATES - 1))
        await drained(store)
    (posted,) = chat.messages
    assert posted.states[-1].final
    assert not faults


async def test_a_platform_that_is_not_configured_any_more(store: Database) -> None:
    async with running(store, Platform()):
        await put(store, Card(title="x"), "slack")
        await drained(store)


async def test_what_arrived_but_could_not_be_noted_is_not_sent_again(store: Database) -> None:
    class Full:
        """A store whose writes fail while `full`."""

        full = True

        def __init__(self) -> None:
            self.read = store.read

        async def write(self, work: Callable[[Tables], None]) -> None:
            if self.full:
                raise StoreError("the disk is full")
            await store.write(work)

        @property
        def problem(self) -> str:
            return ""

    chat, full = Platform(), Full()
    await put(store, Card(title="once"))
    worker = OutboxWorker(store, {"console": chat}, SystemClock())
    worker._store = full  # type: ignore[assignment]
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(5):
        await chat.arrived.wait()
    full.full = False
    await drained(store)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert chat.calls == 1


class Storm:
    """Cards that change at random, two chats that fail at random, and a worker that is killed at random."""

    def __init__(self, store: Database, seed: int) -> None:
        self.store = store
        self.dice = random.Random(seed)
        self.kills = 0
        self.chats = [Platform("slack", fault=self.fault), Platform("telegram", fault=self.fault)]
        self.keys = [f"deployment:{number}" for number in range(CARDS)]

    def fault(self, _: str) -> Exception | None:
        """One call in ten fails: half of those after the chat did what it was asked."""
        return Unreachable("chat", "fault") if self.dice.random() < 0.05 else None

    async def feed(self) -> None:
        """Put every state of every card."""
        where = {key: (self.dice.choice(["slack", "telegram"]), self.dice.choice("abc")) for key in self.keys}
        todo = {key: iter(range(STATES)) for key in self.keys}
        while todo:
            key = self.dice.choice(list(todo))
            number = next(todo[key])
            await put(self.store, state(key, number), *where[key])
            if number == STATES - 1:
                del todo[key]

    async def run(self) -> None:
        """Until everything is said: a worker for a moment, then another."""
        feeding = asyncio.create_task(self.feed())
        while not feeding.done() or await waiting(self.store) is not None:
            chats = {chat.platform: chat for chat in self.chats}
            worker = OutboxWorker(self.store, chats, SystemClock(), retry=Backoff(0.002, 60.0))
            self.store.connect_workers(worker.wake)
            task = asyncio.create_task(worker.run())
            await asyncio.sleep(self.dice.uniform(0.01, 0.15))
            await self.kill(worker, task)

    async def kill(self, worker: OutboxWorker, task: asyncio.Task[None]) -> None:
        """As kill -9 does it: nothing that is on its way ends well."""
        lanes = [lane.task for lane in worker._lanes.values() if lane.task is not None]
        for lane in lanes:
            lane.cancel()
        self.kills += 1
        self.chats[0].doubtful += len(lanes)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_a_thousand_messages_over_chats_that_fail_and_a_worker_that_is_killed(store: Database) -> None:
    seed = new_seed()
    storm = Storm(store, seed)
    async with asyncio.timeout(100):
        await storm.run()
    lost = reordered = extra = 0
    for key in storm.keys:
        posted = [one for chat in storm.chats for one in chat.shown(key)]
        shown = [int(card.title) for one in posted for card in one.states]
        lost += not shown or shown[-1] != STATES - 1
        reordered += shown != sorted(shown)
        extra += len(posted) - 1
    calls, doubtful = (sum(getattr(chat, name) for chat in storm.chats) for name in ("calls", "doubtful"))
    sys.stdout.write(
        f"outbox: cards={CARDS} calls={calls} kills={storm.kills} lost={lost} reordered={reordered} "
        f"extra={extra} of {doubtful} doubtful, seed={seed}\n"
    )
    assert (lost, reordered) == (0, 0)
    assert extra <= doubtful
    assert calls >= 1000 * CARDS // 250


class Away:
    """A store that is down for so many reads; each of them has the worker look again at once."""

    problem = ""

    def __init__(self, store: Database, reads: int) -> None:
        self._store = store
        self._left = reads
        self.look = lambda: None

    async def write(self, work: Callable[[Tables], T]) -> T:
        return await self._store.write(work)

    async def read(self, work: Callable[[Tables], T]) -> T:
        if self._left:
            self._left -= 1
            asyncio.get_running_loop().call_soon(self.look)
            raise StoreDown("the disk is full: free some space")
        return await self._store.read(work)


async def test_a_database_that_is_down_is_reported_once_and_waited_for(
    store: Database, caplog: pytest.LogCaptureFixture
) -> None:
    chat = Platform()
    await put(store, Card(title="it waited"))
    away = Away(store, 5)
    worker = OutboxWorker(away, {"console": chat}, SystemClock())
    away.look = worker.wake
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(20):
        await chat.arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    told = [one.message for one in caplog.records if one.levelname == "WARNING"]
    assert told == [
        "the outbox cannot be read, and will retry when the database works: the disk is full: free some space"
    ]
    assert not any(one.exc_info for one in caplog.records)


async def test_a_clock_that_is_set_back_keeps_no_message_waiting(store: Database) -> None:
    chat, clock = Platform(), FakeClock()
    await store.write(lambda tables: tables.outbox.put(Channel("console", "c"), Card(title="it waited"), clock.now()))
    clock.advance(-86400.0)
    worker = OutboxWorker(store, {"console": chat}, clock)
    task = asyncio.create_task(worker.run())
    async with asyncio.timeout(20):
        await chat.arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
