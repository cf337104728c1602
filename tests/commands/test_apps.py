from __future__ import annotations

from deploybot import Line
from tests.kit.command_bot import CommandBot


async def test_all(bot: CommandBot) -> None:
    card = await bot.say("apps")
    assert card.title == "3 apps"
    assert card.lines == (
        Line("shop", "staging on web1 (default), production on web1 and web2; tasks: migrate, reindex"),
        Line("blog", "live on web3"),
        Line("wiki", "test on web3, live on web3"),
    )
    assert card.hint == "`status APP` shows what runs."


async def test_only_what_one_may_see(bot: CommandBot) -> None:
    card = await bot.say("apps", "ben")
    assert card.title == "One app"
    assert [line.name for line in card.lines] == ["shop"]
