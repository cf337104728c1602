from __future__ import annotations

from deploybot.domain import Kind
from deploybot.testing import AskedService
from tests.world import World


async def test_a_task(world: World) -> None:
    await world.say("run shop migrate production", "ben")
    asked = AskedService(kind=Kind.TASK, app="shop", environment="production", task="migrate", by="ben")
    assert world.deployments.asked == [asked]


async def test_never_free_shell(world: World) -> None:
    for text in ("run shop 'rm -rf /'", "run shop ./migrate", "run shop migrate;id"):
        assert not (await world.say(text)).ok
    card = await world.say("run shop rm -rf /")
    assert world.deployments.asked == []
    assert card.title == "There is no task `rm` of shop."
    assert card.hint == "Tasks of shop: migrate, reindex."
