"""The order of the outbox: one message for each card, its newest state, and no channel that holds up another."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Collection, Sequence

import pytest

from deploybot.card import Card
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.chat.slack import slack_api
from deploybot.chat.slack.slack_timeouts import Times as SlackTimes
from deploybot.chat.telegram import telegram_api
from deploybot.delivery_worker import Courier, LaneName
from deploybot.domain import Channel
from deploybot.errors import Unreachable
from deploybot.ports import OutboxItem, Tables
from deploybot.store.database import Database
from tests.chat.outbox_platform import Platform, Posted, drained, put, running, state
from tests.chat.stub import SystemClock


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
