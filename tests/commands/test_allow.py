from __future__ import annotations

import pytest

from deploybot.domain import Grant, Identity, Role
from deploybot.ports import Tables
from tests.kit.command_bot import CommandBot

HINT = "Write @NAME for a known person, or PLATFORM:ID:NAME for a new one, as `whoami` shows it to them."

PLATFORMS = "Chats: console, slack, telegram. Git accounts: github, gitlab, gitea, forgejo, gitee, bitbucket, git."


async def grants(bot: CommandBot, name: str) -> set[Grant]:
    def look(tables: Tables) -> set[Grant]:
        person = tables.people.named(name)
        return set(tables.people.grants(person.id)) if person else set()

    return await bot.store.read(look)


@pytest.mark.parametrize(
    ("text", "title", "grant"),
    [
        ("allow @eve viewer", "eve is now viewer on every app.", Grant(5, Role.VIEWER)),
        (
            "allow eve deployer on shop",
            "eve is now deployer on every environment of shop.",
            Grant(5, Role.DEPLOYER, "shop"),
        ),
        (
            "allow @Eve approver on shop/production",
            "eve is now approver on shop/production.",
            Grant(5, Role.APPROVER, "shop", "production"),
        ),
        (
            "allow console:1004 admin on blog",
            "eve is now admin on every environment of blog.",
            Grant(5, Role.ADMIN, "blog"),
        ),
    ],
)
async def test_somebody_known(bot: CommandBot, text: str, title: str, grant: Grant) -> None:
    card = await bot.say(text)
    assert card.title == title
    assert await grants(bot, "eve") == {grant}
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await bot.audit() if row.action == "allow"]
    assert rows == [("ana", "allow", "eve", title.removeprefix("eve is now ").removesuffix("."))]


async def test_a_role_replaces_the_one_before(bot: CommandBot) -> None:
    await bot.say("allow @ben viewer on shop")
    assert await grants(bot, "ben") == {Grant(2, Role.VIEWER, "shop")}


@pytest.mark.parametrize(
    ("who", "identity"),
    [
        ("console:77:fay", Identity("console", "77")),
        ("telegram:987654321:fay", Identity("telegram", "987654321")),
        ("slack:T012/U345:fay", Identity("slack", "U345", "T012")),
        ("Slack:E1.T012/W345:@Fay", Identity("slack", "W345", "E1.T012")),
    ],
)
async def test_somebody_new(bot: CommandBot, who: str, identity: Identity) -> None:
    card = await bot.say(f"allow {who} viewer on shop")
    assert card.title == "fay is now viewer on every environment of shop."
    person = await bot.store.read(lambda tables: tables.people.of(identity))
    assert person
    assert person.name == "fay"


@pytest.mark.parametrize(
    ("who", "title", "hint"),
    [
        ("@evve", "There is no person called `@evve`, did you mean @eve?", ""),
        ("@xyzzy", "There is no person called `@xyzzy`.", ""),
        (
            "@@eve",
            (
                "`@eve` is not a person's name: use up to 40 of a-z, 0-9, `.`, `_` and `-`, "
                "starting with a letter or digit."
            ),
            HINT,
        ),
        ("irc:1:fay", "Unknown platform `irc`.", f"{PLATFORMS} {HINT}"),
        ("console:ana:fay", "`ana` is not a number. On console, people are identified by number, not by name.", HINT),
        ("slack:@fay:fay", "`@fay` is not a Slack id such as T012/U345. Names are not accepted.", HINT),
        ("slack:U345:fay", "`U345` is not a Slack id such as T012/U345. Names are not accepted.", HINT),
        ("console:77", "console:77 is new to me and has no name yet.", "Give one: console:77:NAME"),
        ("console:1004:fay", "console:1004 is @eve already.", "Use @eve."),
    ],
)
async def test_what_is_wrong(bot: CommandBot, who: str, title: str, hint: str) -> None:
    card = await bot.say(f"allow {who} viewer")
    assert (card.title, card.ok) == (title, False)
    assert card.hint == (hint or "Write a new person as PLATFORM:ID:NAME, as `whoami` shows it to them.")
    assert await grants(bot, "fay") == set()


async def test_an_admin_of_one_app_may_not_give_more(bot: CommandBot) -> None:
    assert (await bot.say("allow @eve deployer on shop/staging", "dia")).ok
    card = await bot.say("allow @dia admin", "dia")
    assert card.title.startswith("`allow` needs the role admin on")
    assert card.hint == "Allowed: ana."
    for app, place in (("blog", "blog"), ("wiki", "wiki/test"), ("nothing", "nothing")):
        card = await bot.say(f"allow @eve viewer on {place}", "dia")
        assert (card.title, card.hint) == (f"There is no app `{app}`.", "Apps: shop.")
    assert await grants(bot, "dia") == {Grant(4, Role.ADMIN, "shop")}


async def test_a_further_identity_is_a_matter_for_admins_of_all(bot: CommandBot) -> None:
    """With an identity come all rights of the person: an admin of shop must not become ana."""
    card = await bot.say("allow console:5:ana viewer on shop", "dia")
    assert card.title == (
        "@ana already exists. Only an admin of everything can give a person another account. "
        "`allow` needs the role admin on every app; you have no role there."
    )
    assert card.hint == "Allowed: ana."
    assert await bot.store.read(lambda tables: tables.people.of(Identity("console", "5"))) is None
    assert (await bot.say("allow telegram:5:ana admin")).ok
    person = await bot.store.read(lambda tables: tables.people.of(Identity("telegram", "5")))
    assert person
    assert person.name == "ana"


UUID = "0f1e2d3c-4b5a-6978-8796-a5b4c3d2e1f0"


@pytest.mark.parametrize(
    ("who", "identity"),
    [
        ("github:583231:ana", Identity("github", "583231")),
        ("gitlab:7:@Ana", Identity("gitlab", "7")),
        ("git:Ana@Example.com:ana", Identity("git", "ana@example.com")),
        (f"bitbucket:{{{UUID}}}:ana", Identity("bitbucket", f"{{{UUID}}}")),
        (f"bitbucket:{UUID}:ana", Identity("bitbucket", f"{{{UUID}}}")),
    ],
)
async def test_an_identity_alone_leaves_the_roles_as_they_are(bot: CommandBot, who: str, identity: Identity) -> None:
    before = await grants(bot, "ana")
    card = await bot.say(f"allow {who}")
    assert card.title == f"ana now also has the account {who.rpartition(':')[0].lower()}."
    person = await bot.store.read(lambda tables: tables.people.of(identity))
    assert person
    assert person.name == "ana"
    assert await grants(bot, "ana") == before
    detail = next(row.detail for row in await bot.audit() if row.action == "allow")
    assert detail.startswith("identity ")


@pytest.mark.parametrize("who", ["@eve", "github:583231", "eve"])
async def test_a_role_or_an_identity_with_a_name_has_to_be_there(bot: CommandBot, who: str) -> None:
    card = await bot.say(f"allow {who}")
    assert (card.title, card.ok) == (f"Which role should `{who}` have?", False)
    assert card.hint == (
        "viewer, deployer, approver, admin. Without a role, PLATFORM:ID:NAME gives a person another account."
    )


async def test_a_long_name_without_a_role_is_shown_by_its_beginning(bot: CommandBot) -> None:
    account = f"git:{'x' * 60}@example.com"
    assert (await bot.say(f"allow {account}")).title == f"Which role should `{account[:60]}` have?"
    long = f"slack:{'T' * 60}/U1"
    assert (await bot.say(f"deny {long}")).title == f"There is no person called `{long[:60]}`."


async def test_only_an_admin_of_all_gives_an_identity(bot: CommandBot) -> None:
    card = await bot.say("allow github:5:ana", "dia")
    assert not card.ok
    assert await bot.store.read(lambda tables: tables.people.of(Identity("github", "5"))) is None


@pytest.mark.parametrize("who", ["github:ana:ana", "bitbucket:5:ana", "gitlab::ana", "git:ana:ana", "git:a@b@c:ana"])
async def test_on_forges_names_are_no_identities_either(bot: CommandBot, who: str) -> None:
    assert not (await bot.say(f"allow {who}")).ok


async def test_the_last_admin_stays(bot: CommandBot) -> None:
    card = await bot.say("allow @ana viewer")
    assert card.title == "That would remove the last administrator of everything."
    assert card.hint == "Make someone else admin first: `allow @name admin`."
