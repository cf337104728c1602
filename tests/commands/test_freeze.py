from __future__ import annotations

import pytest

from deploybot.domain import Channel
from tests.kit.command_bot import SETTINGS, CommandBot, open_command_bot, team_settings


@pytest.mark.parametrize(
    ("until", "end"),
    [
        ("until 18:00", "2027-01-15 18:00 UTC"),
        ("until 7:30", "2027-01-16 07:30 UTC"),
        ("until Mon 08:00", "2027-01-18 08:00 UTC"),
        ("until monday", "2027-01-18 00:00 UTC"),
        ("until fri 09:00", "2027-01-15 09:00 UTC"),
        ("until Fri 07:00", "2027-01-22 07:00 UTC"),
        ("until today 12:00", "2027-01-15 12:00 UTC"),
        ("until tomorrow 8:00", "2027-01-16 08:00 UTC"),
        ("until 2027-02-01 08:00", "2027-02-01 08:00 UTC"),
        ("until 2027-02-01", "2027-02-01 00:00 UTC"),
        ("for 2h", "2027-01-15 10:00 UTC"),
    ],
)
async def test_until_a_time(bot: CommandBot, until: str, end: str) -> None:
    card = await bot.say(f"freeze shop production {until} because we measure", "ben")
    assert card.title == f"shop/production is frozen until {end} (by ben: “we measure”)."
    assert card.hint == "Rollbacks and restarts still work. `unfreeze shop production` ends the freeze."


@pytest.mark.parametrize(
    ("until", "why"),
    [
        ("", "Say when the freeze ends."),
        ("18:00", "Say when the freeze ends."),
        ("until 18:00 for 2h", "Say when the freeze ends."),
        ("until 18:00 19:00", "Say when the freeze ends."),
        ("until today 07:59", "A freeze must end at a time within the next year."),
        ("until 2026-12-31", "A freeze must end at a time within the next year."),
        ("until 2028-12-31", "A freeze must end at a time within the next year."),
        (
            "until next week",
            "`next` is neither a day such as Mon, tomorrow or 2026-12-24, nor a time of day such as",
        ),
        ("until 2027-02-30", "`2027-02-30` is neither a day such as"),
    ],
)
async def test_other_ends_are_refused(bot: CommandBot, until: str, why: str) -> None:
    card = await bot.say(f"freeze shop production {until} because we measure", "ben")
    assert not card.ok
    assert card.title.startswith(why)


async def test_a_reason_is_wanted(bot: CommandBot) -> None:
    card = await bot.say("freeze shop production for 2h")
    assert card.title == "`freeze shop production for 2h` needs a reason."


async def test_only_its_maker_and_admins_change_it(bot: CommandBot) -> None:
    await bot.say("freeze shop production for 2h because we measure", "ben")
    for command in ("freeze shop production for 1h because I want it", "unfreeze shop production"):
        card = await bot.say(command, "eve")
        assert not card.ok
    card = await bot.say("freeze shop production for 1h because it is quick", "ben")
    assert card.title == "shop/production is frozen until 2027-01-15 09:00 UTC (by ben: “it is quick”)."
    card = await bot.say("unfreeze shop production", "ana")
    assert card.title == "The freeze of ben (“it is quick”) is over. shop/production is not frozen any more."
    assert (await bot.say("unfreeze shop production", "ben")).title == "No person has frozen shop/production."


@pytest.mark.parametrize("word", ["from", "on"])
async def test_a_beginning_is_not_taken_for_an_end(bot: CommandBot, word: str) -> None:
    card = await bot.say(f"freeze shop production {word} Fri because we measure", "ben")
    assert not card.ok
    assert "until" not in card.title


async def test_an_admin_who_changes_it_is_named_to_its_maker(bot: CommandBot) -> None:
    await bot.say("freeze shop production until Mon 08:00 because we measure", "ben")
    await bot.say("freeze shop production for 1h because it is quick", "ana")
    (row,) = [row for row in await bot.audit() if row.action == "freeze" and row.actor == "ana"]
    assert row.detail == (
        "until 2027-01-15 09:00 UTC, in place of the freeze of ben until 2027-01-18 08:00 UTC: it is quick"
    )


async def test_it_ends_by_itself(bot: CommandBot) -> None:
    await bot.say("freeze shop production for 2h because we measure", "ben")
    bot.clock.advance(7200)
    assert (await bot.say("unfreeze shop production", "ben")).title == "No person has frozen shop/production."


async def test_the_audit_and_the_channel_have_it() -> None:
    home = Channel("slack", "C1")
    async with open_command_bot(homes=[home], settings=SETTINGS) as bot:
        await bot.say("freeze shop production for 2h because we measure", "ben")
        await bot.say("unfreeze shop production", "ana")
        kept = [(row.actor, row.action, row.subject, row.detail) for row in await bot.audit()]
        assert ("ben", "freeze", "shop/production", "until 2027-01-15 10:00 UTC: we measure") in kept
        assert ("ana", "unfreeze", "shop/production", "the freeze of ben") in kept
        posts = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now(), 10))
        titles = [one.card.title for one in posts if one.channel == home]
        assert titles == [
            "shop/production is frozen until 2027-01-15 10:00 UTC (by ben: “we measure”)",
            "ana ended the freeze of ben. shop/production is not frozen any more.",
        ]


async def test_the_end_of_ones_own_freeze_leaves_that_of_the_file() -> None:
    production = {"servers": ["web1"], "freeze": ["Fri 06:00 - Mon 08:00"]}
    settings = team_settings(shop={"environments": {"production": production}})
    async with open_command_bot(settings=settings) as bot:
        await bot.say("freeze shop production for 2h because we measure", "ben")
        card = await bot.say("unfreeze shop production", "ben")
        left = "shop/production is still frozen until 2027-01-18 08:00 UTC"
        assert card.title.startswith(f"Your freeze is over. {left}")
        card = await bot.say("unfreeze shop production", "ben")
        assert card.title == "No person has frozen shop/production."
        assert card.text.startswith(left)
