"""`veto`: keep a release that is about to be rolled back."""

from __future__ import annotations

from tests.kit.command_bot import V1, CommandBot


async def test_a_veto_reaches_the_engine(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert (await bot.say("veto #42", "ben")).title == "#42 is kept."
    assert bot.deployments.vetoed == [("ben", 42)]


async def test_a_viewer_cannot_veto(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert not (await bot.say("veto #42", "eve")).ok
    assert bot.deployments.vetoed == []
