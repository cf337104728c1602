from __future__ import annotations

from deploybot.domain import Kind
from deploybot.testing import FakeRequest
from tests.kit.command_bot import CommandBot


async def test_a_task(bot: CommandBot) -> None:
    await bot.say("run shop migrate production", "ben")
    asked = FakeRequest(kind=Kind.TASK, app="shop", environment="production", task="migrate", by="ben")
    assert bot.deployments.requests == [asked]


async def test_never_free_shell(bot: CommandBot) -> None:
    for text in ("run shop 'rm -rf /'", "run shop ./migrate", "run shop migrate;id"):
        assert not (await bot.say(text)).ok
    card = await bot.say("run shop rm -rf /")
    assert bot.deployments.requests == []
    assert card.title == "There is no task `rm` of shop."
    assert card.hint == "Tasks of shop: migrate, reindex."
