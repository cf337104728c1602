"""Fixtures for tests of roles and accounts: a team in Slack, in Telegram and at the console, and what it is sent."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from deploybot.card import Card
from deploybot.domain import Action, Channel, Identity, Role
from deploybot.ports import Tables
from deploybot.settings import Settings
from tests.kit.command_bot import CommandBot, open_command_bot, team_settings

HOME = Channel("slack", "C0HOME")
SHOP = Channel("slack", "C0SHOP12345")
HOUR = 3600.0


def settings_of(**bot: object) -> Settings:
    """The team's, with Slack and Telegram, a channel of the shop's, and keys of [bot]."""
    slack = {"bot_token": {"env": "BOT_TOKEN"}, "app_token": {"env": "APP_TOKEN"}}
    telegram = {"token": {"env": "TELEGRAM_TOKEN"}}
    return team_settings(shop={"channel": str(SHOP)}, bot=bot, slack=slack, telegram=telegram)


def _chats(tables: Tables) -> None:
    """Ana has Slack, dia has Telegram and Slack; fay is a second admin of everything, at the console alone."""
    tables.people.link(1, Identity("slack", "UANA", "T1"))
    tables.people.link(4, Identity("telegram", "400"))
    tables.people.link(4, Identity("slack", "UDIA", "T1"))
    fay = tables.people.add("fay", Identity("console", "1005"))
    tables.people.grant(fay.id, Role.ADMIN)


async def made(**table: object) -> AsyncIterator[CommandBot]:
    async with open_command_bot(settings=settings_of(**table), homes=(HOME,)) as bot:
        await bot.store.write(_chats)
        yield bot


@pytest.fixture
async def one() -> AsyncIterator[CommandBot]:
    async for bot in made():
        yield bot


@pytest.fixture
async def two() -> AsyncIterator[CommandBot]:
    async for bot in made(grants="two"):
        yield bot


FAY = "1005"
CONSOLE = Channel("console", "console")


ANA, DIA_SLACK, DIA_TELEGRAM = (
    Channel("slack", "UANA", private=True),
    Channel("slack", "UDIA", private=True),
    Channel("telegram", "400", private=True),
)


async def told(bot: CommandBot) -> list[tuple[Channel, str]]:
    """What was said, where."""
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
    return [(item.channel, item.card.title) for item in items]


async def cards(bot: CommandBot, channel: Channel) -> list[Card]:
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
    return [item.card for item in items if item.channel == channel]


async def role(bot: CommandBot, name: str, app: str = "shop", environment: str = "production") -> bool:
    """Whether somebody may look at a target now, as the policy says."""
    person = await bot.store.read(lambda tables: tables.people.named(name))
    assert person
    asked = await bot.access.ask(person.id, action=Action.VIEW, command="status", app=app, environment=environment)
    return asked.decision.allowed
