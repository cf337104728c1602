from __future__ import annotations

from tests.kit.command_bot import STRANGER, CommandBot


async def test_from_one_chat_to_the_other(bot: CommandBot) -> None:
    code = (await bot.say("link", "ben")).title.rpartition(" ")[2]
    assert (await bot.say(f"link {code}", STRANGER, platform="telegram")).title.startswith("Almost")
    assert (await bot.say("link yes", "ben")).ok
    assert (await bot.say("whoami", STRANGER, platform="telegram")).title == "You are ben."
