"""Slack and Telegram at once: a deployment that is asked for in one is shown in both, and failures lose none of it."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from deploybot.card import Button, Card
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.ports import Chat, Tables
from tests.chat.stub import SystemClock
from tests.doubles.flaky import make_flaky
from tests.kit.command_bot import CommandBot
from tests.kit.seeds import new_seed
from tests.parity.conftest import connected, furnished
from tests.parity.platforms import SlackWay, TelegramWay
from tests.parity.ways import holds
from tests.test_web import health, serving

CANCEL = Button("Cancel", "cancel #42", danger=True)
COUNT = int(os.environ.get("N", "8"))
WITHIN = 60.0 + 5.0 * COUNT
"""Seconds for all edits: Slack takes fifty a minute."""
STATES = ("waiting", "running", "switching", "done")


@dataclass(frozen=True)
class Both:
    """A bot with both chats and the outbox's worker, who delivers to `chats`."""

    bot: CommandBot
    slack: SlackWay
    telegram: TelegramWay
    worker: OutboxWorker
    chats: dict[str, Chat]

    @property
    def ways(self) -> tuple[SlackWay, TelegramWay]:
        return self.slack, self.telegram

    def rooms(self) -> dict[str, str]:
        """A new room in each, by the names of the ways."""
        return {way.name: way.new_channel() for way in self.ways}

    async def put(self, rooms: Mapping[str, str], card: Card) -> None:
        """What `deployments.card_publisher` does for the channels of a deployment."""
        channels = [way.channel(rooms[way.name]) for way in self.ways]

        def work(tables: Tables) -> None:
            for channel in channels:
                tables.outbox.put(channel, card, self.bot.clock.now())

        await self.bot.store.write(work)
        self.worker.wake()


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[Both]:
    """Everything connected, and the worker at work."""
    async with furnished() as bot, connected(bot, "slack slash", "telegram group limited", folder=folder) as ways:
        slack, telegram = ways
        assert isinstance(slack, SlackWay)
        assert isinstance(telegram, TelegramWay)
        chats: dict[str, Chat] = {way.chat.platform: way.chat for way in (slack, telegram)}
        worker = OutboxWorker(bot.store, chats, SystemClock())
        task = asyncio.create_task(worker.run())
        try:
            yield Both(bot, slack, telegram, worker, chats)
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


def card(number: int, word: str) -> Card:
    final = word == STATES[-1]
    return Card(title=f"#{number} {word}", key=f"deployment:{number}", final=final, buttons=() if final else (CANCEL,))


async def test_one_deployment_in_both_and_one_decision(tmp_path: Path) -> None:
    async with both(tmp_path) as made:
        rooms = made.rooms()
        await made.put(rooms, card(42, "running"))
        for way in made.ways:
            await way.until("ben", rooms[way.name], holds("#42 running"))
        slack, telegram = (way.double.timeline.posts[-1] for way in made.ways)
        await made.telegram.double.press(made.telegram.user("ben"), telegram, "Cancel")
        await made.telegram.next_heard()
        assert made.bot.deployments.cancelled == [42]
        await made.put(rooms, card(42, "done"))
        for way in made.ways:
            sight = await way.until("ben", rooms[way.name], holds("#42 done"))
            assert sight.labels == ()
        await made.slack.press_again("ana", slack, "Cancel")
        await made.slack.until("ana", rooms[made.slack.name], holds("This button does not work any more."))
        assert made.bot.deployments.cancelled == [42]


async def test_after_a_restart_the_same_messages_go_on_and_so_do_their_buttons(tmp_path: Path) -> None:
    async with both(tmp_path) as made:
        rooms = made.rooms()
        await made.put(rooms, card(42, "waiting"))
        for way in made.ways:
            await way.until("ben", rooms[way.name], holds("#42 waiting"))
            await way.restart()
            made.chats[way.chat.platform] = way.chat
        await made.slack.double.press(made.slack.user("ben"), made.slack.double.timeline.posts[-1], "Cancel")
        await made.slack.next_heard()
        assert made.bot.deployments.cancelled == [42]
        await made.put(rooms, card(42, "done"))
        for way in made.ways:
            await way.until("ben", rooms[way.name], holds("#42 done"))
            assert len([post for post in way.double.timeline.posts if post.text.startswith("#42")]) == 1


async def test_a_revoked_token_is_one_line_and_one_word_and_the_other_chat_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as made:
        made.slack.chat_double.web.dead = "token_revoked"
        rooms, telegram = made.rooms(), made.telegram
        with caplog.at_level(logging.WARNING):
            for word in ("running", "done"):
                await made.put(rooms, card(7, word))
                await telegram.until("ben", rooms[telegram.name], holds(f"#7 {word}"))
            await telegram.say("ben", "whoami")
        async with serving({way.chat.platform: way.chat.problem for way in made.ways}) as url:
            told = await health(url)
    assert told == (200, {"status": "degraded"})
    lines = [record.getMessage() for record in caplog.records if "revoked" in record.getMessage()]
    assert len([line for line in lines if line.startswith("Slack:")]) == 1
    assert not any("xoxb" in line for line in lines)


@pytest.mark.timeout(WITHIN + 60)
async def test_no_final_state_is_lost_or_said_twice_while_one_call_in_ten_fails(tmp_path: Path) -> None:
    seed = new_seed()
    dice = random.Random(seed)
    async with both(tmp_path) as made:
        flaky = [make_flaky(way.chat_double, dice) for way in made.ways]
        deployments = [made.rooms() for _ in range(COUNT)]
        for word in STATES:
            for number, rooms in enumerate(deployments):
                await made.put(rooms, card(number, word))
            await asyncio.sleep(0.3)
        await drained(made.bot)
        seen = [way.double.timeline.seen_by("", rooms[way.name]) for rooms in deployments for way in made.ways]
        breaches = [breach for way in made.ways for breach in way.double.violations]
    lost, twice = (
        sum(not posts or "done" not in posts[-1].text for posts in seen),
        sum(len(posts) > 1 for posts in seen),
    )
    sys.stdout.write(
        f"both chats: {lost} of {len(seen)} ends lost, {twice} said twice, {len(breaches)} limits broken, "
        f"{sum(one.failures for one in flaky)} failures, seed={seed}\n"
    )
    assert (lost, twice, breaches) == (0, 0, [])


async def drained(bot: CommandBot) -> None:
    """Until nothing waits any more."""
    async with asyncio.timeout(WITHIN):
        while await bot.store.read(lambda tables: tables.outbox.next_at()) is not None:  # noqa: ASYNC110  a database has no event
            await asyncio.sleep(0.05)
