"""Rights are read again when a change is written, also in commands of one's own."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

import pytest

from deploybot.card import Card
from deploybot.command import Context, command
from deploybot.domain import Person, Role
from deploybot.errors import Denied
from tests.grants.conftest import FAY, HOME, _chats, role, settings_of, told
from tests.kit.command_bot import CommandBot, open_command_bot

# Rights of the moment


@command("boost <word>", needs="view")
async def boost(ctx: Context, word: str) -> Card:
    """Do what only an admin may, as a command of one's own that asks for less."""
    change = await ctx.people.change(1)
    assert change
    work: dict[str, Callable[[], Awaitable[object]]] = {
        "allow": lambda: ctx.people.allow(ctx, "@ben", Role.ADMIN, "*", "*"),
        "deny": lambda: ctx.people.deny(ctx, "@dia", None, None),
        "unlink": lambda: ctx.people.unlink(ctx, "telegram:400"),
        "confirm": lambda: ctx.people.confirm(ctx, change),
        "refuse": lambda: ctx.people.confirm(ctx, change, refuse=True),
    }
    await work[word]()
    return Card(title="done")


@pytest.mark.parametrize(
    ("word", "name", "who_may"),
    [
        ("allow", "allow", "ana, fay"),
        ("deny", "deny", "ana, fay"),
        ("unlink", "unlink", "ana, fay"),
        ("confirm", "confirm", "fay"),
        ("refuse", "confirm", "ana, fay"),
    ],
)
async def test_a_command_of_ones_own_gives_nobody_the_rights_of_an_admin(word: str, name: str, who_may: str) -> None:
    own = boost.__dict__["__command__"]
    async with open_command_bot(own, settings=settings_of(grants="two"), homes=(HOME,)) as bot:
        await bot.store.write(_chats)
        await bot.say("allow @eve admin")
        before = len(await told(bot)), await bot.store.read(lambda tables: tables.people.grants())
        card = await bot.say(f"boost {word}", "ben")
        assert card.title == f"`{name}` needs the role admin on every app; you have no role there."
        assert card.hint == f"Allowed: {who_may}."
        assert (len(await told(bot)), await bot.store.read(lambda tables: tables.people.grants())) == before
        assert (await bot.say("whoami", "400", platform="telegram")).title == "You are dia."
        assert (await bot.say("confirm grant-1", FAY)).ok, "it still waits"


async def test_who_lost_their_role_while_their_command_ran_changes_nothing(one: CommandBot) -> None:
    person = await one.store.read(lambda tables: tables.people.named("dia"))
    late = Context(incoming=one.incoming("x", "dia"), person=person, services=one.services, reply=one.reply)
    assert isinstance(await one.access.allow(late, "@eve", Role.VIEWER, "shop", "*"), Person)
    await one.say("deny @dia on shop")
    with pytest.raises(Denied, match="`allow` needs the role admin on every environment of shop"):
        await one.access.allow(late, "@eve", Role.ADMIN, "shop", "*")
    with pytest.raises(Denied, match="`deny` needs the role admin on every environment of shop") as caught:
        await one.access.deny(late, "@eve", "shop", None)
    assert caught.value.who_may == "ana, fay"
    one.clock.advance(10)
    assert await role(one, "eve"), "a role without seconds has no end"
