from __future__ import annotations

from tests.kit.command_bot import V1, CommandBot


async def test_with_its_reason(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert (await bot.say("reject #42 because not today", "dia")).title == "#42 is rejected."
    assert bot.deployments.rejected == [("dia", 42, "not today")]


async def test_a_reason_is_wanted(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert (await bot.say("reject #42", "dia")).title == "`reject #42` needs a reason."


async def test_who_may_not(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert not (await bot.say("reject #42 because no", "ben")).ok
    assert bot.deployments.rejected == []
