from __future__ import annotations

from tests.kit.command_bot import CommandBot


async def test_only_those_of_what_one_may_see(bot: CommandBot) -> None:
    assert (await bot.say("servers")).code == ("web1", "web2", "web3")
    assert (await bot.say("servers", "ben")).code == ("web1", "web2")
    assert (await bot.say("servers", "cem")).code == ("web1", "web3")
