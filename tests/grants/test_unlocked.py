"""A lock that an admin removes: the app's channel and the holder get a message, wherever the command was typed."""

from __future__ import annotations

from dataclasses import replace

from deploybot.command import Context
from deploybot.domain import Channel
from tests.grants.conftest import CONSOLE, SHOP, told
from tests.kit.command_bot import CommandBot


async def unlock(bot: CommandBot, channel: Channel) -> list[Channel]:
    """Let dia remove ben's lock; return the channels that got a message."""
    await bot.say("lock shop production because we measure", "ben")
    app, dia = bot.services.settings.apps["shop"], await bot.store.read(lambda tables: tables.people.named("dia"))
    incoming = replace(bot.incoming("unlock shop production", "dia"), channel=channel)
    context = Context(incoming=incoming, person=dia, services=bot.services, reply=bot.reply)
    await bot.services.locks.release(context, app, app.environments["production"])
    messages = await told(bot)
    assert {title for _, title in messages} == {"dia removed ben's lock of shop/production: “we measure”"}
    return [one for one, _ in messages]


async def test_in_a_direct_message(one: CommandBot) -> None:
    assert await unlock(one, Channel("slack", "UDIA", private=True)) == [SHOP, CONSOLE]


async def test_in_the_channel_of_the_app_which_has_the_answer(one: CommandBot) -> None:
    assert await unlock(one, SHOP) == [CONSOLE]
