"""With `admin_code`, commands of admins take a one-time code."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pyotp
import pytest

from deploybot.card import Button
from tests.grants.conftest import CONSOLE, cards, made
from tests.kit.command_bot import V1, CommandBot

SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"


@pytest.fixture
async def coded() -> AsyncIterator[CommandBot]:
    async for bot in made(admin_code="totp"):
        bot.codes.kept[1] = SECRET
        yield bot


# Codes


@pytest.mark.parametrize("text", ["allow @eve viewer", "deny @ben", "unlink console:1001"])
async def test_admin_acts_take_a_code_of_who_has_enrolled(coded: CommandBot, text: str) -> None:
    card = await coded.say(text)
    assert (card.title, card.hint) == (
        "This needs a one-time code from your phone.",
        "Add it at the end: `… code 123456`.",
    )
    assert (await coded.say(f"{text} code 000000")).title == "This code is wrong or was already used."
    code = pyotp.TOTP(SECRET).at(coded.clock.now())
    assert (await coded.say(f"{text} code {code}")).ok
    again = await coded.say(f"allow @cem viewer code {code}")
    assert again.title == "This code is wrong or was already used."
    assert not any(code in row.detail for row in await coded.audit())


async def test_who_has_not_enrolled_needs_no_code(coded: CommandBot) -> None:
    assert (await coded.say("allow @eve viewer on shop", "dia")).ok


async def test_confirming_takes_a_code() -> None:
    async for bot in made(grants="two", admin_code="totp"):
        bot.codes.kept[1] = SECRET
        await bot.say("allow @eve viewer on shop", "dia")
        (question,) = await cards(bot, CONSOLE)
        assert question.buttons == (
            Button("Confirm", "confirm grant-1", asks="Your one-time code?", asks_code=True),
            Button("Refuse", "confirm grant-1 no", danger=True, asks="Your one-time code?", asks_code=True),
        )
        assert (await bot.say("confirm grant-1")).title == "This needs a one-time code from your phone."
        code = pyotp.TOTP(SECRET).at(bot.clock.now())
        assert (await bot.say(f"confirm grant-1 code {code}")).ok


async def test_without_the_key_nobody_needs_a_code(one: CommandBot) -> None:
    one.codes.kept[1] = SECRET
    assert (await one.say("allow @eve viewer on shop")).ok


@pytest.mark.parametrize(("who", "text"), [("ben", "approve #1 code 123456"), ("eva", "TOTP  123456")])
async def test_a_code_that_was_typed_in_vain_is_not_in_the_audit(one: CommandBot, who: str, text: str) -> None:
    one.deployments.put(1, "blog", "live", V1)
    before = len(await one.audit())
    assert not (await one.say(text, who)).ok
    (row,) = (await one.audit())[before:]
    assert (row.action, row.detail) == ("denied", text.replace("  ", " ").replace("123456", "…"))
