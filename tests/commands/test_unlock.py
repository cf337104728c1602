from __future__ import annotations

from deploybot import App, Environment
from tests.world import World


async def test_ones_own(world: World) -> None:
    await world.say("lock shop production because we measure", "ben")
    assert (await world.say("unlock shop production", "ben")).title == "shop/production is unlocked."
    kept = [(row.actor, row.action, row.detail) for row in await world.audit()]
    assert ("ben", "unlock", "the lock of ben") in kept


async def test_an_admin_may_end_anybodys(world: World) -> None:
    await world.say("lock shop production because we measure", "ben")
    card = await world.say("unlock shop production", "dia")
    assert card.title == "shop/production is unlocked. It was ben's: “we measure”."


async def test_one_that_would_have_ended_later(world: World) -> None:
    await world.say("lock shop production for 2h because we measure", "ben")
    assert (await world.say("unlock shop production", "ben")).title == "shop/production is unlocked."
    await world.say("lock shop production for 2h because we measure", "ben")
    world.clock.advance(7200)
    assert (await world.say("unlock shop production", "ben")).title == "shop/production is not locked."


async def test_nobody_else_may(world: World) -> None:
    await world.say("lock shop production because we measure")
    card = await world.say("unlock shop production", "ben")
    assert card.title == "Only ana, who holds the lock, or an admin can release it."
    assert card.hint == "Who may: ana, dia."
    assert not (await world.say("deploy shop to production", "ben")).ok


async def test_nothing_to_unlock(world: World) -> None:
    assert (await world.say("unlock shop production")).title == "shop/production is not locked."
    assert await world.services.locks.get(*_place(world)) is None


def _place(world: World) -> tuple[App, Environment]:
    app = world.services.settings.apps["shop"]
    return app, app.environments["production"]
