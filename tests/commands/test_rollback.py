from __future__ import annotations

from deploybot.domain import Kind
from deploybot.testing import AskedService
from tests.world import V1, V2, World


async def test_to_the_last_good_one(world: World) -> None:
    world.releases.runs["shop", "production"] = V2
    world.releases.good["shop", "production"] = V1
    await world.say("rollback shop from production because it is slow", "ben")
    assert world.deployments.asked == [
        AskedService(
            kind=Kind.ROLLBACK, app="shop", environment="production", release=V1, by="ben", reason="it is slow"
        ),
    ]


async def test_to_one_that_is_named(world: World) -> None:
    await world.say("rollback shop to v1.4")
    assert (world.deployments.asked[0].release, world.deployments.asked[0].environment) == (V2, "staging")


async def test_to_a_deployments_number(world: World) -> None:
    world.deployments.put(41, "shop", "production", V1)
    await world.say("rollback shop from production to #41")
    assert world.deployments.asked[0].release == V1


async def test_nothing_to_go_back_to(world: World) -> None:
    card = await world.say("rollback shop")
    assert card.title == "shop has not run in staging yet, so there is no release to roll back to."
    assert card.hint == "See `history shop`."
    world.releases.runs["shop", "staging"] = world.releases.good["shop", "staging"] = V1
    card = await world.say("rollback shop")
    assert card.title == "shop has only ever run v1.3 (1111111111) in staging, so there is no release to roll back to."
    assert world.deployments.asked == []
