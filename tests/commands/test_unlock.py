from __future__ import annotations

from dataclasses import replace

from deploybot import App, Environment
from deploybot.ports import Tables
from tests.kit.command_bot import CommandBot, open_command_bot, team_settings


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


async def test_an_end_by_an_admin_is_shown_in_the_channel_of_the_environment() -> None:
    slack = {"bot_token": {"env": "BOT_TOKEN"}, "app_token": {"env": "APP_TOKEN"}}
    production = {"servers": ["web1"], "channel": "slack:C0PRODUCTION"}
    shop = {"channel": "slack:C0SHOP12345", "environments": {"production": production}}
    async with open_command_bot(settings=team_settings(shop=shop, slack=slack)) as bot:
        await bot.say("lock shop production because we measure", "ben")
        await bot.say("unlock shop production", "dia")
        items = await bot.store.read(lambda tables: tables.outbox.due(9e9, 100))
        assert {str(item.channel) for item in items} == {"slack:C0PRODUCTION", "console"}


async def test_a_lock_without_a_reason_has_no_empty_quotes(bot: CommandBot) -> None:
    """Locks of versions before may have none."""
    await bot.say("lock shop production because we measure", "ben")

    def forget(tables: Tables) -> None:
        lock = tables.locks.get("shop", "production", 0.0)
        assert lock
        tables.locks.release("shop", "production")
        tables.locks.take(replace(lock, reason=""))

    await bot.store.write(forget)
    await bot.say("unlock shop production", "dia")
    (item,) = await bot.store.read(lambda tables: tables.outbox.due(9e9, 100))
    assert item.card.title == "dia removed ben's lock of shop/production"
