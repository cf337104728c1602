from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.card import Tone
from deploybot.command import Context
from deploybot.domain import Grant, Identity, Role
from deploybot.errors import UserError
from tests.kit.command_bot import STRANGER, CommandBot

WRONG = "This code is wrong, used or expired, or you are blocked after too many tries."


async def issue(bot: CommandBot, code: str = "7KQ2-M9XD") -> None:
    await bot.store.write(lambda tables: tables.claims.issue(code, bot.clock.now() + 600))


async def test_a_stranger_becomes_administrator(bot: CommandBot) -> None:
    await issue(bot)
    incoming = replace(bot.incoming("claim 7KQ2-M9XD", STRANGER), name="Zoë  O'Neil <x>")
    card = await bot.dispatcher.handle(incoming, bot.reply)
    assert card
    assert card.title == "Welcome, zo-o-neil-x: you are the administrator of everything now."
    assert card.hint == "Let others in with `allow`; `help allow` shows how."
    person = await bot.store.read(lambda tables: tables.people.of(Identity("console", STRANGER)))
    assert person
    assert await bot.store.read(lambda tables: tables.people.grants(person.id)) == (Grant(person.id, Role.ADMIN),)


async def test_a_name_that_is_taken(bot: CommandBot) -> None:
    await issue(bot)
    incoming = replace(bot.incoming("claim 7KQ2-M9XD", STRANGER), name="Ana")
    card = await bot.dispatcher.handle(incoming, bot.reply)
    assert card
    assert card.title.startswith("Welcome, ana-2:")


async def test_a_name_of_nothing(bot: CommandBot) -> None:
    await issue(bot)
    incoming = replace(bot.incoming("claim 7KQ2-M9XD", STRANGER), name="日本")
    card = await bot.dispatcher.handle(incoming, bot.reply)
    assert card
    assert card.title.startswith("Welcome, somebody:")


async def test_somebody_known(bot: CommandBot) -> None:
    await issue(bot)
    assert (await bot.say("claim 7kq2-m9xd", "eve")).title.startswith("Welcome, eve:")


async def test_wrong_codes_are_counted(bot: CommandBot) -> None:
    await issue(bot)
    for _ in range(5):
        card = await bot.say("claim nonsense", STRANGER)
        assert card.title == WRONG
        assert card.hint == (
            "Five wrong codes block you for 15 minutes. "
            "If there is no administrator yet, restart the bot to get a new code."
        )
    assert (await bot.say("claim 7KQ2-M9XD", STRANGER)).title == WRONG
    bot.clock.advance(60)
    assert (await bot.say("claim 7KQ2-M9XD", STRANGER)).title == WRONG


async def test_strangers_cannot_burn_the_owners_code(bot: CommandBot) -> None:
    """Wrong tries count for the account that made them: a hundred strangers keep nobody from the right code."""
    await issue(bot)
    for number in range(100):
        for _ in range(5):
            await bot.maybe("claim nonsense", str(7000 + number), platform="telegram")
    card = await bot.say("claim 7KQ2-M9XD", STRANGER, platform="telegram")
    assert card.title == "Welcome, 6666: you are the administrator of everything now."


async def test_once_and_in_time(bot: CommandBot) -> None:
    assert (await bot.say("claim 7KQ2-M9XD", STRANGER)).title == WRONG
    await issue(bot)
    bot.clock.advance(601)
    assert (await bot.say("claim 7KQ2-M9XD", STRANGER)).title == WRONG
    await issue(bot)
    assert (await bot.say("claim 7KQ2-M9XD", STRANGER)).ok
    assert (await bot.say("claim 7KQ2-M9XD", "eve")).title == WRONG


async def test_the_code_is_not_kept(bot: CommandBot) -> None:
    await issue(bot)
    await bot.say("claim 7KQ2-M9XE", STRANGER)
    await bot.say("claim 7KQ2-M9XD", STRANGER)
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await bot.audit()]
    assert rows == [("console:6666", "claim", "wrong", ""), ("console:6666", "claim", "right", "")]


async def test_a_long_name_that_is_taken_stays_a_name(bot: CommandBot) -> None:
    long = "x" * 40
    await bot.store.write(lambda tables: (tables.people.add(long), tables.people.add(f"{'x' * 36}-2")))
    await issue(bot)
    incoming = replace(bot.incoming("claim 7KQ2-M9XD", STRANGER), name=long)
    card = await bot.dispatcher.handle(incoming, bot.reply)
    assert card
    assert (card.title, card.tone) == (
        f"Welcome, {'x' * 36}-3: you are the administrator of everything now.",
        Tone.GOOD,
    )


async def test_since_when_and_how_the_first_administrator_is_one(bot: CommandBot) -> None:
    await issue(bot)
    await bot.say("claim 7KQ2-M9XD", STRANGER)
    table = (await bot.say("who")).table
    assert table
    (row,) = [row for row in table.rows if row[0] == "6666"]
    assert row[1:] == (
        *("admin", "every app", "2027-01-15 08:00 UTC", "claim"),
        "console:6666 (since 2027-01-15 08:00 UTC by claim)",
    )


async def test_a_wrong_code_makes_nobody_anything(bot: CommandBot) -> None:
    await issue(bot)
    before = await bot.store.read(lambda tables: (tables.people.everybody(), tables.people.grants()))
    for who in ("eve", STRANGER):
        assert not (await bot.say("claim nonsense", who)).ok
    assert await bot.store.read(lambda tables: (tables.people.everybody(), tables.people.grants())) == before
    assert (await bot.say("claim 7KQ2-M9XD", STRANGER)).ok, "nobody has used it up"


async def test_a_right_code_is_no_wrong_one(bot: CommandBot) -> None:
    """Four wrong tries and a right one do not add up to the five after which no code is accepted."""
    await issue(bot)
    for _ in range(4):
        await bot.say("claim nonsense", "eve")
    assert (await bot.say("claim 7KQ2-M9XD", "eve")).ok
    card = await bot.say("link 7KQ2-M9XD", "eve", private=True)
    assert card.title == "This code is wrong, used or expired."


async def test_nobody_is_named_like_the_bot(bot: CommandBot) -> None:
    await issue(bot)
    incoming = replace(bot.incoming("claim 7KQ2-M9XD", STRANGER), name="Deploybot")
    card = await bot.dispatcher.handle(incoming, bot.reply)
    assert card
    assert card.title.startswith("Welcome, deploybot-2:")


async def test_a_wrong_code_is_refused_in_a_sentence(bot: CommandBot) -> None:
    context = Context(incoming=bot.incoming("x"), person=None, services=bot.services, reply=bot.reply)
    with pytest.raises(UserError) as caught:
        await bot.access.claim(context, "nonsense")
    assert caught.value.sentence == WRONG
