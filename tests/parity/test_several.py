"""Slack and Telegram at once: a deployment that is asked for in one is shown in both, and failures lose none of it."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import pytest

from deploybot.card import Button, Card
from deploybot.chat.outbox import OutboxWorker
from deploybot.domain import Place
from deploybot.ports import Tables
from tests.chat.stub import SystemClock
from tests.doubles.flaky import make_flaky
from tests.parity.conftest import connected, furnished
from tests.parity.platforms import SlackWay
from tests.parity.ways import DoubleWay, holds
from tests.test_web import health, serving
from tests.world import World

CANCEL = Button("Cancel", "cancel #42", danger=True)
COUNT = int(os.environ.get("N", "8"))
STATES = ("waiting", "running", "switching", "done")


@asynccontextmanager
async def both(folder: Path) -> AsyncIterator[tuple[World, DoubleWay, DoubleWay, OutboxWorker]]:
    """A world with both chats and the outbox's worker."""
    async with furnished() as world, connected(world, "slack slash", "telegram group limited", folder=folder) as ways:
        slack, telegram = (way for way in ways if isinstance(way, DoubleWay))
        worker = OutboxWorker(world.store, {way.chat.platform: way.chat for way in (slack, telegram)}, SystemClock())
        task = asyncio.create_task(worker.run())
        try:
            yield world, slack, telegram, worker
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task


async def put(world: World, worker: OutboxWorker, places: Sequence[Place], card: Card) -> None:
    """What `deploy.runner.Teller` does for the places of a deployment."""

    def work(tables: Tables) -> None:
        for place in places:
            tables.outbox.put(place, card, world.clock.now())

    await world.store.write(work)
    worker.wake()


def card(number: int, word: str) -> Card:
    final = word == STATES[-1]
    return Card(title=f"#{number} {word}", key=f"deployment:{number}", final=final, buttons=() if final else (CANCEL,))


async def test_one_deployment_in_both_and_one_decision(tmp_path: Path) -> None:
    async with both(tmp_path) as (world, slack, telegram, worker):
        ways, where = (slack, telegram), {way.name: way.new_place() for way in (slack, telegram)}
        places = [way.place(where[way.name]) for way in ways]
        await put(world, worker, places, card(42, "running"))
        for way in ways:
            await way.until("ben", where[way.name], holds("#42 running"))
        shown = {way.name: way.double.scene.posts[-1] for way in ways}
        await telegram.double.press(telegram.user("ben"), shown[telegram.name], "Cancel")
        await telegram.next_heard()
        assert world.deployments.cancelled == [42]
        await put(world, worker, places, card(42, "done"))
        for way in ways:
            sight = await way.until("ben", where[way.name], holds("#42 done"))
            assert sight.labels == ()
        await slack.press_again("ana", shown[slack.name], "Cancel")
        await slack.until("ana", where[slack.name], holds("This button does not work any more."))
        assert world.deployments.cancelled == [42]


async def test_a_revoked_token_is_one_line_and_one_word_and_the_other_chat_goes_on(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with both(tmp_path) as (world, slack, telegram, worker):
        ways = (slack, telegram)
        assert isinstance(slack, SlackWay)
        slack.chat_double.web.dead = "token_revoked"
        with caplog.at_level(logging.WARNING):
            where = {way.name: way.new_place() for way in ways}
            await put(world, worker, [way.place(where[way.name]) for way in ways], card(7, "running"))
            await telegram.until("ben", where[telegram.name], holds("#7 running"))
            await put(world, worker, [way.place(where[way.name]) for way in ways], card(7, "done"))
            await telegram.until("ben", where[telegram.name], holds("#7 done"))
            await telegram.say("ben", "whoami")
        async with serving({way.chat.platform: way.chat.problem for way in ways}) as url:
            told = await health(url)
    assert told == (503, {"status": "ill", "ill": ["slack"]})
    lines = [record.getMessage() for record in caplog.records if "revoked" in record.getMessage()]
    assert len([line for line in lines if line.startswith("Slack:")]) == 1
    assert not any("xoxb" in line for line in lines)


async def test_no_final_state_is_lost_or_said_twice_while_one_call_in_ten_fails(tmp_path: Path) -> None:
    seed = int(os.environ.get("SEED") or random.SystemRandom().randrange(10**6))
    dice = random.Random(seed)  # noqa: S311  a seed repeats what it did
    async with both(tmp_path) as (world, slack, telegram, worker):
        ways = (slack, telegram)
        flaky = [make_flaky(way.double, dice) for way in ways]  # type: ignore[arg-type]
        channels = [(slack.new_place(), telegram.new_place()) for _ in range(COUNT)]
        for word in STATES:
            for number, names in enumerate(channels):
                places = [way.place(name) for way, name in zip(ways, names, strict=True)]
                await put(world, worker, places, card(number, word))
            await asyncio.sleep(0.3)
        await drained(world)
        posts = {
            (way.name, name): way.double.scene.seen_by("", name)
            for names in channels
            for way, name in zip(ways, names, strict=True)
        }
        lost = [key for key, seen in posts.items() if not seen or "done" not in seen[-1].text]
        twice = [key for key, seen in posts.items() if len(seen) > 1]
        failures, breaches = sum(one.failures for one in flaky), [*slack.double.violations, *telegram.double.violations]
    sys.stdout.write(
        f"both chats: {len(lost)} of {len(posts)} ends lost, {len(twice)} said twice, "
        f"{len(breaches)} limits broken, {failures} failures, seed={seed}\n"
    )
    assert (lost, twice, breaches) == ([], [], [])


async def drained(world: World) -> None:
    """Until nothing waits any more."""
    async with asyncio.timeout(60):
        while await world.store.read(lambda tables: tables.outbox.next_at()) is not None:  # noqa: ASYNC110  a database has no event
            await asyncio.sleep(0.05)
