"""A chat that fails as a test says, and the outbox's worker that sends to it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.domain import Channel
from deploybot.ports import Chat, Tables
from deploybot.store.database import Database
from tests.chat.stub import SystemClock

STATES = 10


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
