from __future__ import annotations

from tests.world import World


async def test_the_board_shows_what_one_may_see(world: World) -> None:
    assert (await world.say("status", "cem")).code == ("shop/staging", "wiki/test", "wiki/live")
    assert len((await world.say("status")).code) == 5


async def test_one_app(world: World) -> None:
    card = await world.say("status shop")
    assert (card.title, card.code) == ("shop", ("staging", "production"))
    assert (await world.say("status shop", "cem")).code == ("staging",)


async def test_one_environment(world: World) -> None:
    assert (await world.say("status shop production")).code == ("production",)


async def test_nothing_to_see(world: World) -> None:
    card = await world.say("status", "eve")
    assert card.title == "`status` needs the role viewer on at least one app; you have no role there."
    assert card.hint == "Who may: ana, ben, cem, dia."
