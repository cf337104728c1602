from __future__ import annotations

from tests.world import World


async def test_for_a_time(world: World) -> None:
    card = await world.say("lock shop production for 2h because we measure", "ben")
    assert card.title == "shop/production is locked by ben until 2027-01-15 10:00 UTC: “we measure”."
    assert card.hint == "`unlock shop production` removes the lock."
    world.clock.advance(7201)
    assert (await world.say("deploy shop to production")).ok


async def test_without_an_end(world: World) -> None:
    card = await world.say("lock shop production because we measure")
    assert card.title == "shop/production is locked by ana until somebody unlocks it: “we measure”."


async def test_somebody_elses(world: World) -> None:
    await world.say("lock shop production because we measure", "ben")
    card = await world.say("lock shop production because I want it")
    assert card.title == (
        "shop/production is locked by ben since 2027-01-15 08:00 UTC (0.0 s): “we measure”. "
        "ben or an admin can release it: `unlock shop production`."
    )
    assert not card.ok


async def test_ones_own_again(world: World) -> None:
    await world.say("lock shop production because we measure", "ben")
    card = await world.say("lock shop production for 1h because it takes longer", "ben")
    assert card.title == "shop/production is locked by ben until 2027-01-15 09:00 UTC: “it takes longer”."


async def test_a_reason_is_wanted(world: World) -> None:
    card = await world.say("lock shop production for 2h")
    assert card.title == "`lock` needs a reason: add `because …`."


async def test_the_audit_keeps_it(world: World) -> None:
    await world.say("lock shop production because we measure", "ben")
    kept = [(row.actor, row.action, row.subject, row.detail) for row in await world.audit()]
    assert ("ben", "lock", "shop/production", "we measure") in kept
    assert not (await world.say("lock shop production because I want it")).ok
    locked = [row.actor for row in await world.audit() if row.action == "lock"]
    assert locked == ["ben"], "who was refused has locked nothing"
