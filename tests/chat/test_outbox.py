"""The outbox's worker, on the real database and a chat that fails: nothing lost, nothing out of order."""

from __future__ import annotations

import asyncio
import os
import random
import sys
import time
from collections.abc import AsyncIterator, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import TypeVar

import pytest

from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.chat.slack import slack_api
from deploybot.chat.slack.slack_timeouts import Times as SlackTimes
from deploybot.chat.telegram import telegram_api
from deploybot.delivery_worker import Courier, LaneName, Result
from deploybot.domain import Channel
from deploybot.errors import StoreDown, StoreError, Unreachable, UserError
from deploybot.ports import Chat, OutboxItem, Tables
from deploybot.store.database import Database
from deploybot.testing import FakeClock, memory_store
from tests.chat.stub import SystemClock
from tests.kit.seeds import new_seed

CARDS = int(os.environ.get("N", "100"))
STATES = 10
T = TypeVar("T")


@dataclass
class Posted:
    """A message in the chat, and every state it was shown in."""

    channel: Channel
    states: list[Card]


@dataclass
class Platform:
    """A chat that does as `fault` says before and after each message."""

    platform: str = "console"
    interval: float = 0.0
    fault: Callable[[str], Exception | None] = lambda _: None
    messages: list[Posted] = field(default_factory=list)
    times: list[float] = field(default_factory=list)
    calls: int = 0
    doubtful: int = 0
    arrived: asyncio.Event = field(default_factory=asyncio.Event)

    async def send(self, channel: Channel, card: Card) -> str:
        await self._around("before")
        number = len(self.messages)
        self.messages.append(Posted(channel, [card]))
        await self._around("after")
        return str(number)

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        await self._around("before")
        posted = self.messages[int(message)]
        assert posted.channel == channel
        posted.states.append(card)
        await self._around("after")

    async def _around(self, moment: str) -> None:
        self.calls += moment == "before"
        await asyncio.sleep(0)
        error = self.fault(moment)
        if error is not None:
            self.doubtful += moment == "after"
            raise error
        if moment == "after":
            self.times.append(time.monotonic())
            self.arrived.set()

    def shown(self, key: str) -> list[Posted]:
        return [posted for posted in self.messages if posted.states[-1].key == key]


def state(key: str, number: int, last: int = STATES - 1) -> Card:
    return Card(title=str(number), key=key, final=number == last)


@asynccontextmanager
async def running(
    store: Database, *chats: Chat, pause: float = 0.001, worker: type[OutboxWorker] = OutboxWorker
) -> AsyncIterator[OutboxWorker]:
    running = worker(store, {chat.platform: chat for chat in chats}, SystemClock(), retry=Backoff(pause, 60.0))
    store.connect_workers(running.wake)
    task = asyncio.create_task(running.run())
    try:
        yield running
    finally:
        store.connect_workers(None)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def store() -> AsyncIterator[Database]:
    async with memory_store() as store:
        yield store


async def put(store: Database, card: Card, platform: str = "console", channel: str = "c") -> None:
    def work(tables: Tables) -> None:
        tables.outbox.put(Channel(platform, channel), card, time.time())

    await store.write(work)


async def waiting(store: Database) -> float | None:
    return await store.read(lambda tables: tables.outbox.next_at())


async def drained(store: Database, within: float = 20) -> None:
    async with asyncio.timeout(within):
        while await waiting(store) is not None:  # noqa: ASYNC110  the database has no event for this
            await asyncio.sleep(0.005)


async def test_a_message_is_sent_once_and_then_edited(store: Database) -> None:
    chat = Platform()
    async with running(store, chat):
        for number in range(3):
            await put(store, state("deployment:1", number))
            await drained(store)
        await put(store, Card(title="alone"))
        await drained(store)
    assert [[card.title for card in posted.states] for posted in chat.messages] == [["0", "1", "2"], ["alone"]]


def test_the_outbox_waits_longer_than_a_chat_needs_for_a_message() -> None:
    telegram = telegram_api._TURN_WITHIN + telegram_api._WITHIN
    slack = slack_api._TURN_WITHIN + SlackTimes().answer
    forms, threads, dated = 3, 2, 2
    assert OutboxWorker.send_within > max(telegram * dated * threads, slack * forms * threads)


async def test_a_slow_chat_gets_a_message_once(store: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Courier, "send_within", 0.05)
    chat = Slow()
    async with running(store, chat):
        await put(store, Card(title="x"))
        await drained(store)
    assert chat.calls == 1


class Slow(Platform):
    async def send(self, channel: Channel, card: Card) -> str:
        self.calls += 1
        await asyncio.sleep(0.2)
        self.messages.append(Posted(channel, [card]))
        return "0"


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


async def test_a_chat_that_wants_pauses_does_not_get_outdated_states(store: Database) -> None:
    chat, begun = Platform(interval=0.2), time.monotonic()
    async with running(store, chat):
        for number in range(30):
            await put(store, state("deployment:1", number, last=29))
            await asyncio.sleep(0.02)  # time passes, so that without pauses each state would be sent
        took = time.monotonic() - begun
        await drained(store)
    titles = [card.title for card in chat.messages[0].states]
    assert len(titles) <= 3 + int(took / 0.2)
    assert titles[-1] == "29"
    assert all(b - a >= 0.19 for a, b in zip(chat.times, chat.times[1:], strict=False))


async def test_it_sleeps_while_there_is_nothing_to_do(store: Database) -> None:
    chat = Platform()
    async with running(store, chat):
        await put(store, Card(title="one"))
        await drained(store)
        before = time.process_time()
        await asyncio.sleep(0.5)
        assert time.process_time() - before < 0.1
        chat.arrived.clear()
        await put(store, Card(title="two"))
        async with asyncio.timeout(5):
            await chat.arrived.wait()


async def test_a_chat_is_left_alone_for_as_long_as_it_asked(store: Database) -> None:
    faults = [Unreachable("slack", "429", retry_after=0.5)]
    chat = Platform(fault=lambda moment: faults.pop() if faults and moment == "before" else None)
    start = time.monotonic()
    async with running(store, chat):
        await put(store, Card(title="one"))
        await put(store, Card(title="two"))
        await drained(store)
    assert [posted.states[0].title for posted in chat.messages] == ["one", "two"]
    assert chat.times[0] - start >= 0.5
    assert chat.calls == 3


async def test_a_dead_chat_does_not_hold_another(store: Database) -> None:
    dead = Platform("slack", fault=lambda _: Unreachable("slack", "down"))
    alive = Platform("telegram")
    async with running(store, dead, alive, pause=0.05):
        for number in range(200):
            await put(store, Card(title=str(number)), "slack")
        await put(store, Card(title="hello"), "telegram")
        async with asyncio.timeout(10):
            await alive.arrived.wait()
    assert dead.messages == []


async def test_a_chat_that_hangs_does_not_hold_another_channel(store: Database) -> None:
    gate = asyncio.Event()

    class Hanging(Platform):
        async def send(self, channel: Channel, card: Card) -> str:
            if channel.id == "hangs":
                await gate.wait()
            return await super().send(channel, card)

    chat = Hanging()
    async with running(store, chat):
        await put(store, Card(title="first"), channel="hangs")
        await put(store, Card(title="second"), channel="hangs")
        await put(store, Card(title="other"), channel="other")
        async with asyncio.timeout(5):
            await chat.arrived.wait()
        assert [posted.states[0].title for posted in chat.messages] == ["other"]
        gate.set()
        await drained(store)
    assert [posted.states[0].title for posted in chat.messages] == ["other", "first", "second"]


async def test_what_waits_for_a_busy_channel_is_not_read_with_every_message(store: Database) -> None:
    gate, read = asyncio.Event(), 0

    class Hanging(Platform):
        async def send(self, channel: Channel, card: Card) -> str:
            if channel.id == "hangs":
                await gate.wait()
            return await super().send(channel, card)

    class Counting(OutboxWorker):
        def _due(self, tables: Tables, until: float, limit: int, shut: Collection[LaneName]) -> Sequence[OutboxItem]:
            nonlocal read
            items = super()._due(tables, until, limit, shut)
            read += len(items)
            return items

    def burst(tables: Tables) -> None:
        for number in range(1000):
            tables.outbox.put(Channel("console", "hangs"), Card(title=str(number)), time.time())

    chat = Hanging()
    async with running(store, chat, worker=Counting):
        await put(store, Card(title="first"), channel="hangs")
        await store.write(burst)
        for number in range(20):
            chat.arrived.clear()
            await put(store, Card(title=f"other {number}"), channel="other")
            async with asyncio.timeout(20):
                await chat.arrived.wait()
        assert read < 1000
        gate.set()
        await drained(store, within=90)
    assert len(chat.messages) == 1021


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


async def test_what_another_program_queues_is_sent_soon(store: Database) -> None:
    chat = Platform()
    worker = OutboxWorker(store, {"console": chat}, SystemClock(), looks=0.05)
    task = asyncio.create_task(worker.run())
    async with Database(store.path, durable=False) as other, asyncio.timeout(10):
        await put(other, Card(title="mallory is admin now"))
        await chat.arrived.wait()
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    assert [posted.states[0].title for posted in chat.messages] == ["mallory is admin now"]


async def test_a_card_does_not_wait_for_the_notifications_of_its_channel(store: Database) -> None:
    held, sent = asyncio.Event(), asyncio.Event()

    class Slow(Platform):
        async def send(self, channel: Channel, card: Card) -> str:
            if card.notification:
                await held.wait()
            else:
                sent.set()
            return await super().send(channel, card)

    chat = Slow()
    async with running(store, chat):
        for number in range(3):
            await put(store, Card(title=f"alert {number}", notification=True))
        await put(store, Card(title="an answer"))
        async with asyncio.timeout(10):
            await sent.wait()
        held.set()
        async with asyncio.timeout(10):
            while await store.read(lambda tables: tables.outbox.waiting()):  # noqa: ASYNC110  a row tells nobody
                await asyncio.sleep(0.01)
    assert [posted.states[0].title for posted in chat.messages] == ["an answer", "alert 0", "alert 1", "alert 2"]
