from __future__ import annotations

from tests.kit.command_bot import CommandBot


async def test_everything(bot: CommandBot) -> None:
    card = await bot.say("deny @cem")
    assert card.title == "cem has lost all roles and all chat accounts."
    assert (await bot.say("status", "cem")).title.startswith("I do not know you yet")
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await bot.audit() if row.action == "deny"]
    assert rows == [("ana", "deny", "cem", "2 grants on every app, accounts console:1002")]


async def test_a_number_is_answered_with_the_name(bot: CommandBot) -> None:
    """Slack makes the id of a mention, and that is what the command gets."""
    await bot.say("allow slack:T012/U345:eve viewer")
    assert (await bot.say("allow slack:T012/U345")).title == "Which role should `@eve` have?"
    card = await bot.say("deny slack:T012/U345")
    assert card.title == "eve has lost all roles and all chat accounts."
    assert (await bot.say("deny slack:T012/U345")).title == "There is no person called `slack:T012/U345`."
    assert (await bot.say("deny @eve")).title == "eve has no roles."


async def test_an_app(bot: CommandBot) -> None:
    assert (await bot.say("deny @cem on wiki", "ana")).title == "cem has lost a role on wiki."
    assert (await bot.say("status", "cem")).code == ("shop/staging",)


async def test_an_environment(bot: CommandBot) -> None:
    assert (await bot.say("deny @cem on shop/staging", "dia")).title == "cem has lost a role on shop/staging."


async def test_nothing_to_take(bot: CommandBot) -> None:
    card = await bot.say("deny @ben on shop/staging")
    assert card.title == "ben has no role on shop/staging itself."
    assert card.hint == "If ben has a wider role, it still applies to shop/staging."
    card = await bot.say("deny @eve")
    assert card.title == "eve has lost all roles and all chat accounts."


async def test_an_admin_of_one_app(bot: CommandBot) -> None:
    card = await bot.say("deny @ben", "dia")
    assert card.title == "`deny` needs the role admin on every app; you have no role there."
    assert (await bot.say("deny @ben on shop", "dia")).title == "ben has lost a role on shop."


async def test_nobody_and_the_last(bot: CommandBot) -> None:
    assert (await bot.say("deny @bne")).title == "There is no person called `@bne`, did you mean @ben?"
    assert (await bot.say("deny @bne")).hint.startswith("I know @ana, @ben, ")
    assert (await bot.say("deny @ana")).title == "That would remove the last administrator of everything."
    assert (await bot.say("deny console:999")).title == "There is no person called `console:999`."
