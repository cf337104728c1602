from __future__ import annotations

from tests.world import V1, World


async def test_with_its_reason(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    assert (await world.say("reject #42 because not today", "dia")).title == "#42 is rejected."
    assert world.deployments.rejected == [("dia", 42, "not today")]


async def test_a_reason_is_wanted(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    assert (await world.say("reject #42", "dia")).title == "`reject` needs a reason: add `because …`."


async def test_who_may_not(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    assert not (await world.say("reject #42 because no", "ben")).ok
    assert world.deployments.rejected == []
