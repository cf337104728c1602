from __future__ import annotations

from dataclasses import replace

from deploybot.domain import State
from tests.world import V1, World


async def test_by_number(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    assert (await world.say("approve #42", "dia")).title == "#42 is approved."
    assert world.deployments.approved == [("dia", 42, "")]


async def test_with_a_code(world: World) -> None:
    world.deployments.rows[42] = replace(world.deployments.put(42, "shop", "production", V1), state=State.WAITING)
    await world.say("/approve 42 code 123456", "dia")
    assert world.deployments.approved == [("dia", 42, "123456")]
    assert not [row for row in await world.audit() if "123456" in row.detail]


async def test_what_is_no_code(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    card = await world.say("approve #42 code 12 34", "dia")
    assert card.title == "A one-time code is six digits."
    assert world.deployments.approved == []


async def test_who_may_not(world: World) -> None:
    world.deployments.put(42, "shop", "production", V1)
    card = await world.say("approve #42", "ben")
    assert card.title == "`approve` needs the role approver on shop/production; you are deployer there."
    assert card.hint == "Who may: ana, dia."
