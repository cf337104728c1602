from __future__ import annotations

from deploybot.domain import Kind
from deploybot.testing import AskedService
from tests.world import World


async def test_restart(world: World) -> None:
    card = await world.say("restart shop production because it leaks", "ben")
    assert card.title == "#1 restart shop in production"
    asked = AskedService(kind=Kind.RESTART, app="shop", environment="production", by="ben", reason="it leaks")
    assert world.deployments.asked == [asked]


async def test_the_default(world: World) -> None:
    await world.say("restart shop")
    assert world.deployments.asked[0].environment == "staging"
