from __future__ import annotations

import pyotp

from deploybot import Card, Tone
from tests.kit.command_bot import STRANGER, CommandBot


async def test_a_phone_is_enrolled(bot: CommandBot) -> None:
    card = await bot.say("totp", "ben")
    assert card.private
    secret, address = (line.text for line in card.lines)
    assert address == f"otpauth://totp/deploybot:ben?secret={secret}&issuer=deploybot"
    code = pyotp.TOTP(secret).at(int(bot.clock.now()))
    assert (await bot.say(f"totp {code}", "ben")).ok
    assert [*bot.codes.kept.values()] == [secret]


async def test_not_for_strangers(bot: CommandBot) -> None:
    assert not (await bot.say("totp", STRANGER)).ok
    assert bot.codes.new == {}


async def test_each_step_of_the_enrolment_is_private_and_kept(bot: CommandBot) -> None:
    offer = await bot.say("totp", "ben")
    assert (offer.title, offer.text, offer.tone) == (
        "Add this to the authenticator app on your phone:",
        "Then type the first code that it shows: `totp CODE`. Delete this message afterwards.",
        Tone.WARN,
    )
    assert [line.name for line in offer.lines] == ["secret", "or as a link"]
    first = pyotp.TOTP(offer.lines[0].text)
    done = await bot.say(f"totp {first.at(int(bot.clock.now()))}", "ben")
    assert done == Card(
        title="One-time codes are set up: your phone generates them from now on.", tone=Tone.GOOD, private=True
    )
    again = await bot.say("totp", "ben")
    assert (again.title, again.hint) == (
        "Your phone already generates your codes.",
        "To change phones, type a code from the old one: `totp CODE`.",
    )
    bot.clock.advance(60)
    other = await bot.say(f"totp {first.at(int(bot.clock.now()))}", "ben")
    assert other.lines[0].text != offer.lines[0].text, "the old phone lets a new one in"
    unknown = await bot.say("totp 123456", "cem")
    assert (unknown.title, unknown.hint) == ("You have not set up one-time codes yet.", "Type `totp` first.")
    wrong = await bot.say("totp 000000", "ben")
    assert wrong.title == "This code is wrong or was already used."
    rows = [(row.actor, row.action, row.subject) for row in await bot.audit()]
    assert [row for row in rows if row[1] not in {"request", "result"}] == [
        ("ben", "totp offered", "ben"),
        ("ben", "totp", "ben"),
        ("ben", "totp offered", "ben"),
        ("ben", "wrong code", "ben"),
    ]
