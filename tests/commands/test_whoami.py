from __future__ import annotations

from deploybot import Line, Tone
from tests.world import World


async def test_somebody_with_roles(world: World) -> None:
    card = await world.say("whoami", "cem")
    assert card.title == "You are cem."
    assert card.lines == (Line("shop/staging", "viewer"), Line("every environment of wiki", "viewer"))
    assert (card.text, card.footer, card.private) == ("", "console:1002", True)


async def test_somebody_without_a_role(world: World) -> None:
    card = await world.say("whoami", "eve")
    assert card.text == "You have no role any more: ask an administrator for one."


async def test_a_stranger(world: World) -> None:
    incoming = world.incoming("whoami", "31", platform="telegram", private=True)
    card = await world.dispatcher.handle(incoming, world.reply)
    assert card
    assert card.title == "I do not know you yet: please ask an administrator to type `allow telegram:31:31 viewer`."


async def test_a_stranger_at_the_console_may_help_themselves(world: World) -> None:
    card = await world.dispatcher.handle(world.incoming("whoami", "31", private=True), world.reply)
    assert card
    assert card.hint == "Or in a shell here: `deploybot allow 31 ROLE --identity console:31`."


async def test_roles_that_end_are_shown_while_they_last(world: World) -> None:
    await world.say("allow @eve deployer on shop for 2h")
    assert (await world.say("whoami", "eve")).lines == (
        Line("every environment of shop", "deployer until 2027-01-15 10:00 UTC"),
    )
    world.clock.advance(7200)
    assert (await world.say("whoami", "eve")).lines == ()


async def test_strangers_read_it_in_private_and_as_a_warning(world: World) -> None:
    card = await world.say("whoami", "31", platform="telegram", private=True)
    assert (card.tone, card.private, card.ok, card.hint) == (Tone.WARN, True, False, "")
