from __future__ import annotations

from deploybot.domain import Kind
from deploybot.testing import FakeRequest
from tests.kit.command_bot import CommandBot


async def test_restart(bot: CommandBot) -> None:
    card = await bot.say("restart shop production because it leaks", "ben")
    assert card.title == "#1 restart shop in production"
    asked = FakeRequest(kind=Kind.RESTART, app="shop", environment="production", by="ben", reason="it leaks")
    assert bot.deployments.requests == [asked]


async def test_the_default(bot: CommandBot) -> None:
    await bot.say("restart shop")
    assert bot.deployments.requests[0].environment == "staging"
