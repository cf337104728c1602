from __future__ import annotations

from tests.kit.command_bot import CommandBot


async def test_for_a_time(bot: CommandBot) -> None:
    card = await bot.say("lock shop production for 2h because we measure", "ben")
    assert card.title == "shop/production is locked by ben until 2027-01-15 10:00 UTC: “we measure”."
    assert card.hint == "`unlock shop production` removes the lock."
    bot.clock.advance(7201)
    assert (await bot.say("deploy shop to production")).ok


async def test_without_an_end(bot: CommandBot) -> None:
    card = await bot.say("lock shop production because we measure")
    assert card.title == "shop/production is locked by ana until somebody unlocks it: “we measure”."


async def test_somebody_elses(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ben")
    card = await bot.say("lock shop production because I want it")
    assert card.title == (
        "shop/production is locked by ben since 2027-01-15 08:00 UTC (0.0 s): “we measure”. "
        "ben or an admin can remove it: `unlock shop production`."
    )
    assert not card.ok


async def test_ones_own_again(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ben")
    card = await bot.say("lock shop production for 1h because it takes longer", "ben")
    assert card.title == "shop/production is locked by ben until 2027-01-15 09:00 UTC: “it takes longer”."


async def test_a_reason_is_wanted(bot: CommandBot) -> None:
    card = await bot.say("lock shop production for 2h")
    assert card.title == "`lock shop production for 2h` needs a reason."


async def test_the_audit_keeps_it(bot: CommandBot) -> None:
    await bot.say("lock shop production because we measure", "ben")
    kept = [(row.actor, row.action, row.subject, row.detail) for row in await bot.audit()]
    assert ("ben", "lock", "shop/production", "we measure") in kept
    assert not (await bot.say("lock shop production because I want it")).ok
    locked = [row.actor for row in await bot.audit() if row.action == "lock"]
    assert locked == ["ben"], "who was refused has locked nothing"
