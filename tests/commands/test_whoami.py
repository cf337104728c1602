from __future__ import annotations

from deploybot import Line, Tone
from tests.kit.command_bot import CommandBot


async def test_somebody_with_roles(bot: CommandBot) -> None:
    card = await bot.say("whoami", "cem")
    assert card.title == "You are cem."
    assert card.lines == (Line("shop/staging", "viewer"), Line("every environment of wiki", "viewer"))
    assert (card.text, card.footer, card.private) == ("", "console:1002", True)


async def test_somebody_without_a_role(bot: CommandBot) -> None:
    card = await bot.say("whoami", "eve")
    assert card.text == "You have no role any more: ask an administrator for one."


async def test_a_stranger(bot: CommandBot) -> None:
    incoming = bot.incoming("whoami", "31", platform="telegram", private=True)
    card = await bot.dispatcher.handle(incoming, bot.reply)
    assert card
    assert card.title == "I do not know you yet: please ask an administrator to type `allow telegram:31:31 viewer`."


async def test_a_stranger_at_the_console_may_help_themselves(bot: CommandBot) -> None:
    card = await bot.dispatcher.handle(bot.incoming("whoami", "31", private=True), bot.reply)
    assert card
    assert card.hint == "Or in a shell here: `deploybot allow 31 ROLE --identity console:31`."


async def test_roles_that_end_are_shown_while_they_last(bot: CommandBot) -> None:
    await bot.say("allow @eve deployer on shop for 2h")
    assert (await bot.say("whoami", "eve")).lines == (
        Line("every environment of shop", "deployer until 2027-01-15 10:00 UTC"),
    )
    bot.clock.advance(7200)
    assert (await bot.say("whoami", "eve")).lines == ()


async def test_strangers_read_it_in_private_and_as_a_warning(bot: CommandBot) -> None:
    card = await bot.say("whoami", "31", platform="telegram", private=True)
    assert (card.tone, card.private, card.ok, card.hint) == (Tone.WARN, True, False, "")
