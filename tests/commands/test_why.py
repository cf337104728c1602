from __future__ import annotations

from tests.world import STRANGER, World


async def test_a_yes_with_its_reasons(world: World) -> None:
    card = await world.say("why deploy shop production", "ben")
    assert card.title == "Yes, you may use `deploy` on shop/production."
    assert [(line.name, line.text) for line in card.lines] == [
        ("allowlist", "You are ben, who is on the allowlist."),
        ("role", "You are deployer on shop/production."),
        ("lock", "shop/production is not locked."),
        ("approvals", "shop/production needs no approvals."),
        ("after", "No other environment has to come first."),
    ]
    assert card.hint == "Who may: ana, ben, dia."


async def test_a_no_with_its_reasons(world: World) -> None:
    await world.say("lock shop production because x")
    card = await world.say("why /deploy shop@v1.3 production", "dia")
    assert card.title == "No, you may not use `deploy` on shop/production."
    assert ("lock", "shop/production is locked by ana.") in {(line.name, line.text) for line in card.lines}
    assert card.hint == "Who may: ana."


async def test_nobody_may(world: World) -> None:
    await world.say("lock shop staging because x", "dia")
    await world.say("deny @dia on shop")
    card = await world.say("why deploy shop staging")
    assert card.hint == "Who may: not on the allowlist."


async def test_only_where_one_may_look(world: World) -> None:
    assert not (await world.say("why deploy shop production", "cem")).ok
    assert (await world.say("why deploy shop staging", "cem")).title.startswith("No, you may not")
    assert not (await world.say("why deploy shop production", STRANGER)).ok


async def test_no_such_command(world: World) -> None:
    card = await world.say("why deplyo shop production")
    assert (card.title, card.hint) == (
        "There is no command `deplyo`, did you mean `deploy`?",
        "`help` lists what I can do.",
    )
    assert (await world.say("why xyzzy shop production")).title == "There is no command `xyzzy`."
