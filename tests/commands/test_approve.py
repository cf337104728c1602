from __future__ import annotations

from dataclasses import replace

from deploybot.domain import State
from tests.kit.command_bot import V1, CommandBot


async def test_by_number(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    assert (await bot.say("approve #42", "dia")).title == "#42 is approved."
    assert bot.deployments.approved == [("dia", 42, "")]


async def test_with_a_code(bot: CommandBot) -> None:
    bot.deployments.rows[42] = replace(bot.deployments.put(42, "shop", "production", V1), state=State.WAITING)
    await bot.say("/approve 42 code 123456", "dia")
    assert bot.deployments.approved == [("dia", 42, "123456")]
    assert not [row for row in await bot.audit() if "123456" in row.detail]


async def test_what_is_no_code(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    card = await bot.say("approve #42 code 12 34", "dia")
    assert card.title == "A one-time code is six digits."
    assert bot.deployments.approved == []


async def test_who_may_not(bot: CommandBot) -> None:
    bot.deployments.put(42, "shop", "production", V1)
    card = await bot.say("approve #42", "ben")
    assert card.title == "`approve` needs the role approver on shop/production; you are deployer there."
    assert card.hint == "Allowed: ana, dia."
