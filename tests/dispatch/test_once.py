"""A message runs once, and not if it waited too long."""

from __future__ import annotations

import asyncio

from tests.kit.command_bot import CommandBot

# Once


async def test_a_repeated_message_runs_once(bot: CommandBot) -> None:
    cards = await asyncio.gather(*(bot.maybe("deploy shop", ident="one") for _ in range(50)))
    assert [card is not None for card in cards].count(True) == 1
    assert len(bot.deployments.requests) == 1


async def test_a_repeated_message_runs_once_across_a_restart(bot: CommandBot) -> None:
    await bot.say("deploy shop", ident="one")
    bot.restart()
    assert await bot.maybe("deploy shop", ident="one") is None
    assert len(bot.deployments.requests) == 1
    assert await bot.maybe("deploy shop", ident="two") is not None


async def test_messages_without_an_id_are_all_taken(bot: CommandBot) -> None:
    incoming = bot.incoming("deploy shop")
    for _ in range(2):
        again = type(incoming)(
            identity=incoming.identity, channel=incoming.channel, text=incoming.text, id="", at=incoming.at
        )
        assert await bot.dispatcher.handle(again, bot.reply) is not None
    assert len(bot.deployments.requests) == 2


async def test_what_waited_too_long_is_not_run(bot: CommandBot) -> None:
    card = await bot.say("deploy shop", age=7200)
    assert card.title == "This `deploy` reached me 2 h after it was sent, so I did not run it."
    assert card.hint == "Send it again if you still want it."
    assert bot.deployments.requests == []
    assert (await bot.say("status", age=7200)).ok
