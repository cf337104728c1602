"""`who` in its two forms: the table of the console, and lines for a phone."""

from __future__ import annotations

from deploybot.card import PHONE
from tests.kit.command_bot import CommandBot


async def test_the_console_shows_all_columns(bot: CommandBot) -> None:
    table = (await bot.say("who shop")).table
    assert table
    assert table.columns == ("person", "role", "where", "since", "by", "accounts")
    assert [row[:3] for row in table.rows] == [
        ("ana", "admin", "every app"),
        ("ben", "deployer", "every environment of shop"),
        ("cem", "viewer", "shop/staging"),
        ("dia", "admin", "every environment of shop"),
    ]


async def test_a_phone_shows_a_line_a_role_and_when_it_ends(bot: CommandBot) -> None:
    await bot.say("allow @cem deployer on shop/production for 2h")
    card = await bot.say("who shop")
    assert card.table
    assert card.table.narrow == (
        "ana admin    every app",
        "ben deployer all of shop",
        "cem deployer shop/production",
        "  until 2027-01-15 10:00 UTC",
        "cem viewer   shop/staging",
        "dia admin    all of shop",
    )
    assert max(map(len, card.table.narrow)) <= PHONE
    assert any("by ana" in line.text or "by: ana" in line.text for line in card.folded)
