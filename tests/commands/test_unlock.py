from __future__ import annotations

from deploybot import App, Environment
from tests.kit.command_bot import CommandBot


async def test_ones_own(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ben")
    assert (await bot.say("unlock shop production", "ben")).title == "shop/production is unlocked."
    kept = [(row.actor, row.action, row.detail) for row in await bot.audit()]
    assert ("ben", "unlock", "the lock of ben") in kept


async def test_an_admin_may_end_anybodys(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ben")
    card = await bot.say("unlock shop production", "dia")
    assert card.title == "shop/production is unlocked. It was ben's: “we measure”."


async def test_an_end_by_an_admin_is_shown_to_the_app_and_the_holder(bot: CommandBot) -> None:
    """The admin may type it in a direct message."""
    await bot.say("lock shop production because we measure", "ben")
    await bot.say("unlock shop production", "dia")
    items = await bot.store.read(lambda tables: tables.outbox.due(9e9, 100))
    assert [(str(item.channel), item.card.title) for item in items] == [
        ("console", "dia removed ben's lock of shop/production: “we measure”")
    ]


async def test_ones_own_end_is_not_announced(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ben")
    await bot.say("unlock shop production", "ben")
    assert await bot.store.read(lambda tables: tables.outbox.due(9e9, 100)) == ()


async def test_one_that_would_have_ended_later(bot: CommandBot) -> None:
    await bot.say("lock shop production for 2h because we measure", "ben")
    assert (await bot.say("unlock shop production", "ben")).title == "shop/production is unlocked."
    await bot.say("lock shop production for 2h because we measure", "ben")
    bot.clock.advance(7200)
    assert (await bot.say("unlock shop production", "ben")).title == "shop/production is not locked."


async def test_nobody_else_may(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure")
    card = await bot.say("unlock shop production", "ben")
    assert card.title == "Only ana, who holds the lock, or an admin can remove it."
    assert card.hint == "Allowed: ana, dia."
    assert not (await bot.say("deploy shop to production", "ben")).ok


async def test_nothing_to_unlock(bot: CommandBot) -> None:
    assert (await bot.say("unlock shop production")).title == "shop/production is not locked."
    assert await bot.services.locks.get(*_place(bot)) is None


def _place(bot: CommandBot) -> tuple[App, Environment]:
    app = bot.services.settings.apps["shop"]
    return app, app.environments["production"]
