"""Who is notified of a grant and of a revocation."""

from __future__ import annotations

from deploybot.card import Tone
from tests.grants.conftest import ANA, CONSOLE, DIA_SLACK, DIA_TELEGRAM, HOME, SHOP, _chats, cards, settings_of, told
from tests.kit.command_bot import CommandBot, open_command_bot

# Announced


async def test_a_grant_notifies_the_channel_and_all_other_admins(one: CommandBot) -> None:
    assert (await one.say("allow @eve approver on shop/production")).ok
    text = "ana made eve approver on shop/production."
    assert await told(one) == [(SHOP, text), (DIA_SLACK, text), (DIA_TELEGRAM, text), (CONSOLE, text)]
    assert [card.tone for card in await cards(one, SHOP)] == [Tone.WARN]


async def test_an_app_admins_grant_notifies_the_admins_above(one: CommandBot) -> None:
    await one.say("allow @eve approver on shop/production", "dia")
    text = "dia made eve approver on shop/production."
    assert await told(one) == [(SHOP, text), (ANA, text), (CONSOLE, text)]


async def test_what_is_about_every_app_goes_home(one: CommandBot) -> None:
    await one.say("allow @eve viewer")
    assert [place for place, _ in await told(one)] == [HOME, CONSOLE]


async def test_a_revocation_notifies_also_the_admin_who_loses_it(one: CommandBot) -> None:
    assert (await one.say("deny @dia on shop")).ok
    text = "ana removed 1 role from dia on every environment of shop."
    assert await told(one) == [(SHOP, text), (DIA_SLACK, text), (DIA_TELEGRAM, text), (CONSOLE, text)]


async def test_nothing_is_reported_where_nothing_was_taken(one: CommandBot) -> None:
    await one.say("deny @eve on shop")
    assert await told(one) == []


async def test_all_that_was_removed_is_reported(one: CommandBot) -> None:
    assert (await one.say("deny @cem")).ok
    assert (HOME, "ana removed 2 roles and all accounts from cem on every app.") in await told(one)
    assert (await one.say("deny @dia on shop/production")).title == "dia has no role on shop/production itself."
    await one.say("allow @dia viewer on shop/production")
    await one.say("deny @dia on shop/production")
    assert (SHOP, "ana removed 1 role from dia on shop/production.") in await told(one)
    rows = [(row.actor, row.subject, row.detail) for row in await one.audit() if row.action == "deny"]
    assert rows == [
        ("ana", "cem", "2 grants on every app, accounts console:1002"),
        ("ana", "dia", "0 grants on shop/production"),
        ("ana", "dia", "1 grant on shop/production"),
    ]


async def test_a_revocation_notifies_admins_of_that_target_now_and_before(one: CommandBot) -> None:
    await one.say("allow @dia admin on shop/production for 1h")
    await one.say("deny @dia on shop")
    before = len(await told(one))
    await one.say("allow @dia admin on shop/staging")
    before = len(await told(one))
    assert (await one.say("deny @ben on shop")).ok
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, CONSOLE]
    await one.say("allow @ben deployer on shop/production")
    before = len(await told(one))
    assert (await one.say("deny @ben on shop/production")).ok
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, CONSOLE]
    await one.say("allow @dia admin on shop for 1h")
    await one.say("allow @ben deployer on shop")
    before = len(await told(one))
    assert (await one.say("deny @ben on shop")).ok
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, DIA_SLACK, DIA_TELEGRAM, CONSOLE]


async def test_if_everybody_is_at_the_console_it_is_posted_once() -> None:
    async with open_command_bot(settings=settings_of(), homes=(CONSOLE,)) as bot:
        await bot.store.write(_chats)
        await bot.say("allow @eve viewer")
        assert await told(bot) == [(CONSOLE, "ana made eve viewer on every app.")]
