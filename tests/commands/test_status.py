from __future__ import annotations

from tests.kit.command_bot import CommandBot


async def test_the_board_shows_what_one_may_see(bot: CommandBot) -> None:
    assert (await bot.say("status", "cem")).code == ("shop/staging", "wiki/test", "wiki/live")
    assert len((await bot.say("status")).code) == 5


async def test_one_app(bot: CommandBot) -> None:
    card = await bot.say("status shop")
    assert (card.title, card.code) == ("shop", ("staging", "production"))
    assert (await bot.say("status shop", "cem")).code == ("staging",)


async def test_one_environment(bot: CommandBot) -> None:
    assert (await bot.say("status shop production")).code == ("production",)


async def test_nothing_to_see(bot: CommandBot) -> None:
    card = await bot.say("status", "eve")
    assert card.title == "`status` needs the role viewer on at least one app; you have no role there."
    assert card.hint == "Allowed: ana, ben, cem, dia."
