"""The bot that is spoken to, the ways to it, and a second one just like it in which dispatch is asked directly."""

from __future__ import annotations

import itertools
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import pytest

from deploybot.ports import Tables
from tests.kit.command_bot import TEAM, V1, V2, CommandBot, open_command_bot
from tests.parity.console import ConsoleWay
from tests.parity.platforms import SlackWay, TelegramWay
from tests.parity.ways import Way

_BEGUN = time.time()
PLATFORMS = ("console", "slack slash", "telegram group")
MANNERS = (*PLATFORMS, "slack mention", "slack direct", "telegram name", "telegram private")


@asynccontextmanager
async def furnished() -> AsyncIterator[CommandBot]:
    """A bot with something to see: a deployment, what runs, a log that is followed."""
    async with open_command_bot() as bot:
        # Platforms say when a message was sent by their own clock.
        bot.clock.advance(_BEGUN - bot.clock.now())
        bot.deployments.put(42, "shop", "production", V2)
        for environment in ("staging", "production"):
            bot.releases.runs["shop", environment] = V2
            bot.releases.good["shop", environment] = V1
        yield bot


def way_of(name: str, bot: CommandBot, folder: Path) -> Way:
    platform, _, manner = name.partition(" ")
    if platform == "console":
        return ConsoleWay(bot, folder)
    if platform == "slack":
        return SlackWay(bot, manner)
    place, _, limits = manner.partition(" ")
    return TelegramWay(bot, place, hurried=limits != "limited")


@asynccontextmanager
async def connected(bot: CommandBot, *names: str, folder: Path) -> AsyncIterator[list[Way]]:
    """Ways to a bot, whose people are known on each of them."""
    ways = [way_of(name, bot, folder) for name in names]

    def link(tables: Tables) -> None:
        for way, who in itertools.product(ways, TEAM):
            person = tables.people.named(who)
            assert person is not None
            tables.people.link(person.id, way.identity(who))

    await bot.store.write(link)
    async with AsyncExitStack() as stack:
        for way in ways:
            stack.push_async_callback(way.close)
            await way.start()
        yield ways


@asynccontextmanager
async def one_way(name: str, folder: Path) -> AsyncIterator[Way]:
    """A way to a bot of its own."""
    async with furnished() as bot, connected(bot, name, folder=folder) as (way,):
        yield way


@pytest.fixture(params=PLATFORMS)
async def way(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Way]:
    """The console, Slack and Telegram, one after the other."""
    async with one_way(request.param, tmp_path) as made:
        yield made


@pytest.fixture(params=MANNERS)
async def manner(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[Way]:
    """The same, and the other ways of speaking on each."""
    async with one_way(request.param, tmp_path) as made:
        yield made


@pytest.fixture
async def plain_world() -> AsyncIterator[CommandBot]:
    """The bot whose dispatch is asked directly."""
    async with furnished() as bot:
        yield bot
