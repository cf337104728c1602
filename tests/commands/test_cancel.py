from __future__ import annotations

from deploybot import Follow
from tests.world import V1, World


async def test_a_deployment(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    assert (await world.say("cancel #42", "ben")).title == "Stopping #42."
    assert world.deployments.cancelled == [42]


async def test_a_deployment_of_somebody_elses_app(world: World) -> None:
    world.deployments.put(42, "blog", "live", V1)
    card = await world.say("cancel #42", "ben")
    assert card.title == "There is no deployment #42."
    assert world.deployments.cancelled == []


async def test_a_lock_does_not_keep_from_stopping(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    await world.say("lock shop production because x")
    await world.say("cancel #42", "ben")
    assert world.deployments.cancelled == [42]


async def test_a_followed_log(world: World) -> None:
    world.logs.open["log-3"] = Follow("log-3", "shop", "staging")
    assert (await world.say("cancel log-3", "cem")).title == "log-3 is stopped."
    assert world.logs.open == {}


async def test_a_followed_log_that_one_may_not_read(world: World) -> None:
    world.logs.open["log-3"] = Follow("log-3", "shop", "production")
    card = await world.say("cancel log-3", "cem")
    assert card.title == "No followed log log-3 is running."
    assert "log-3" in world.logs.open


async def test_neither(world: World) -> None:
    assert (await world.say("cancel it")).title == "`it` is not a deployment or followed log."
