from __future__ import annotations

from tests.world import World


async def test_everything(world: World) -> None:
    card = await world.say("deny @cem")
    assert card.title == "cem has lost all roles and all chat accounts."
    assert (await world.say("status", "cem")).title.startswith("I do not know you yet")
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await world.audit() if row.action == "deny"]
    assert rows == [("ana", "deny", "cem", "2 grants on every app, accounts console:1002")]


async def test_a_number_is_answered_with_the_name(world: World) -> None:
    """Slack makes the id of a mention, and that is what the command gets."""
    await world.say("allow slack:T012/U345:eve viewer")
    assert (await world.say("allow slack:T012/U345")).title == "Which role should `@eve` have?"
    card = await world.say("deny slack:T012/U345")
    assert card.title == "eve has lost all roles and all chat accounts."
    assert (await world.say("deny slack:T012/U345")).title == "There is no person called `slack:T012/U345`."
    assert (await world.say("deny @eve")).title == "eve has no roles."


async def test_an_app(world: World) -> None:
    assert (await world.say("deny @cem on wiki", "ana")).title == "cem has lost a role on wiki."
    assert (await world.say("status", "cem")).code == ("shop/staging",)


async def test_an_environment(world: World) -> None:
    assert (await world.say("deny @cem on shop/staging", "dia")).title == "cem has lost a role on shop/staging."


async def test_nothing_to_take(world: World) -> None:
    card = await world.say("deny @ben on shop/staging")
    assert card.title == "ben has no role on shop/staging itself."
    assert card.hint == "If ben has a wider role, it still applies to shop/staging."
    card = await world.say("deny @eve")
    assert card.title == "eve has lost all roles and all chat accounts."


async def test_an_admin_of_one_app(world: World) -> None:
    card = await world.say("deny @ben", "dia")
    assert card.title == "`deny` needs the role admin on every app; you have no role there."
    assert (await world.say("deny @ben on shop", "dia")).title == "ben has lost a role on shop."


async def test_nobody_and_the_last(world: World) -> None:
    assert (await world.say("deny @bne")).title == "There is no person called `@bne`, did you mean @ben?"
    assert (await world.say("deny @bne")).hint.startswith("I know @ana, @ben, ")
    assert (await world.say("deny @ana")).title == "That would remove the last administrator of everything."
    assert (await world.say("deny console:999")).title == "There is no person called `console:999`."
