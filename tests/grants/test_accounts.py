"""Accounts are linked, given and taken away, as people type it."""

from __future__ import annotations

import pytest

from deploybot.card import Button, Card, Tone
from deploybot.command import Context
from deploybot.domain import Channel, Identity, Role
from deploybot.errors import UserError
from tests.grants.conftest import ANA, CONSOLE, HOME, cards, told
from tests.kit.command_bot import CommandBot

YES_OR_NO = (Button("Yes, that is me", "link yes"), Button("No", "link no", danger=True))


async def test_a_further_account_is_reported(one: CommandBot) -> None:
    await one.say("allow telegram:77:eve")
    assert (HOME, "ana gave eve the account telegram:77.") in await told(one)


async def test_a_wrong_code_to_link_is_refused_in_a_sentence(one: CommandBot) -> None:
    ctx = Context(incoming=one.incoming("x"), person=None, services=one.services, reply=one.reply)
    with pytest.raises(UserError) as caught:
        await one.access.link(ctx, "0000-0000")
    assert (caught.value.sentence, caught.value.hint) == (
        "This code is wrong, used or expired.",
        "Get one first: type `link` in the chat where I know you.",
    )


async def test_accounts_without_roles_that_are_removed_are_reported_too(one: CommandBot) -> None:
    assert (await one.say("deny @eve")).title == "eve has lost all roles and all chat accounts."
    assert (HOME, "ana removed all accounts from eve on every app.") in await told(one)


async def test_which_accounts_were_removed_is_in_the_audit(one: CommandBot) -> None:
    """Those of forges stay: they show whose pushes were whose."""
    await one.say("allow telegram:77:cem")
    await one.say("allow github:5:cem")
    await one.say("deny @cem on wiki")
    await one.say("deny @cem")
    rows = [row.detail for row in await one.audit() if row.action == "deny"]
    assert rows == [
        "1 grant on every environment of wiki",
        "1 grant on every app, accounts console:1002, telegram:77",
    ]


async def test_who_gives_accounts_is_an_admin_of_everything_now(one: CommandBot) -> None:
    await one.store.write(lambda tables: tables.people.grant(4, Role.ADMIN, "*", "staging"))
    card = await one.say("allow telegram:77:ana viewer on shop/staging", "dia")
    assert card.title.startswith("@ana already exists. Only an admin of everything can give a person another account.")
    assert card.hint == "Allowed: ana, fay."
    await one.say("allow @ben admin for 1h")
    assert not (await one.say("allow telegram:77:eve", "ben")).ok, "an account lasts longer than an hour"
    await one.say("allow @ben admin")
    assert (await one.say("allow telegram:77:eve", "ben")).ok
    await one.say("allow @ben viewer")
    assert not (await one.say("allow telegram:78:eve", "ben")).ok


async def test_an_account_that_was_taken_away_is_kept_in_the_audit(one: CommandBot) -> None:
    await one.say("unlink telegram:400")
    rows = [(row.actor, row.subject, row.detail) for row in await one.audit() if row.action == "unlink"]
    assert rows == [("ana", "dia", "telegram:400")]
    again = await one.say("unlink telegram:400")
    assert again.hint == "`who` lists people and their accounts."
    card = await one.say(f"unlink {'x' * 40}")
    assert (card.title, card.hint) == (
        f"`{'x' * 40}` is not an account.",
        "Accounts are PLATFORM:ID, such as slack:T012/U345.",
    )


# Accounts


async def test_an_account_is_taken_away(one: CommandBot) -> None:
    card = await one.say("unlink slack:T1/UDIA")
    assert card.title == "slack:T1/UDIA no longer belongs to dia."
    text = "ana removed the account slack:T1/UDIA from dia."
    assert await told(one) == [(HOME, text), (CONSOLE, text)]
    assert (await one.say("whoami", "dia")).title == "You are dia."
    assert (await one.say("unlink slack:T1/UDIA")).title == "slack:T1/UDIA is not linked to anyone."
    assert (await one.say("unlink dia")).title == "`dia` is not an account."
    assert not (await one.say("unlink telegram:400", "dia")).ok, "an admin of shop is not enough"


async def test_the_last_admin_keeps_an_account(one: CommandBot) -> None:
    await one.say("deny @fay")
    assert (await one.say("unlink slack:T1/UANA")).ok
    card = await one.say("unlink console:1000")
    assert card.title == "That would remove the last account of the last administrator of everything."
    assert (await one.say("whoami")).title == "You are ana."


async def test_denied_is_denied(one: CommandBot) -> None:
    """Accounts stay detached when their person comes back, and no code links them to anybody."""
    await one.say("allow telegram:77:eve viewer")
    await one.say("allow github:5:eve")
    assert (await one.say("deny @eve")).title == "eve has lost all roles and all chat accounts."
    await one.say("allow @eve viewer")
    for who, platform in (("eve", "console"), ("77", "telegram")):
        assert (await one.say("status", who, platform=platform)).title.startswith("I do not know you yet")
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    card = await one.say(f"link {code}", "77", platform="telegram", private=True)
    assert card.title == "An admin removed telegram:77. Only an admin of everything can add it again."
    github = await one.store.read(lambda tables: tables.people.of(Identity("github", "5")))
    assert github, "whose pushes they are stays true"
    assert github.name == "eve"
    new_name = await one.say("allow telegram:77:eva viewer on shop", "dia")
    assert new_name.title.startswith("telegram:77 was removed. Only an admin of everything can add it again.")
    assert (await one.say("allow telegram:77:eve")).ok
    assert (await one.say("whoami", "77", platform="telegram")).title == "You are eve."


async def test_who_has_no_role_links_nothing(one: CommandBot) -> None:
    refused = "You need a role to link accounts: ask an administrator for one first."
    assert (await one.say("link", "eve", private=True)).title == refused
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    assert (await one.say(f"link {code}", "eve", private=True)).title == refused


async def test_who_lost_their_roles_in_the_middle_links_nothing(one: CommandBot) -> None:
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "77", platform="telegram", private=True)
    await one.say("deny @ben on shop")
    assert not (await one.say("link yes", "ben", private=True)).ok
    assert await one.store.read(lambda tables: tables.people.of(Identity("telegram", "77"))) is None


async def test_a_link_notifies_everybody_who_gives_roles_but_not_its_maker(one: CommandBot) -> None:
    code = (await one.say("link", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "77", platform="telegram", private=True)
    before = len(await told(one))
    assert (await one.say("link yes", private=True)).ok
    text = "ana linked telegram:77, a new account: they are one person now, with the roles of both."
    assert (await told(one))[before:] == [(HOME, text), (CONSOLE, text)]
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "400", platform="telegram", private=True)
    await one.say("link yes", "400", platform="telegram", private=True)
    before = len(await told(one))
    assert (await one.say("link yes", "ben", private=True)).ok
    text = "ben linked telegram:400, who was dia: they are one person now, with the roles of both."
    channels = [channel for channel, said in (await told(one))[before:] if said == text]
    assert channels == [HOME, ANA, Channel("telegram", "77", private=True), CONSOLE]


async def test_what_is_asked_before_a_stranger_is_linked(one: CommandBot) -> None:
    first = await one.say("link", "ben", private=True)
    assert first.title.startswith("Type this in the other chat, within 10 min: link ")
    assert (first.text, first.private) == ("I will then ask you here to confirm. Do not share the code.", True)
    code = first.title.rpartition(" ")[2]
    nearly = await one.say(f"link {code}", "77", platform="telegram", private=True)
    assert nearly == Card(
        title="Almost done: now type `link yes` in console, where the code came from.",
        text="After that, you are ben here too.",
        private=True,
    )
    (question,) = await cards(one, Channel("console", "c1", private=True))
    assert question == Card(
        title="telegram:77 (“77”) typed your code. Is that you?",
        text="If you say yes, they are ben, with all roles of both. If you do not know them, say no.",
        tone=Tone.WARN,
        buttons=YES_OR_NO,
    )
    assert await one.say("link yes", "ben", private=True) == Card(
        title="You are ben in telegram, too: one person, with all roles of both.",
        hint="`whoami` shows them.",
        tone=Tone.GOOD,
        private=True,
    )
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await one.audit()]
    assert [row for row in rows if row[1] in {"link code", "link"}] == [
        ("telegram:77", "link code", "ben", ""),
        ("ben", "link", "ben", "telegram:77, a new account"),
    ]


async def test_what_is_asked_before_two_people_become_one(one: CommandBot) -> None:
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    assert await one.say(f"link {code}", "400", platform="telegram", private=True) == Card(
        title="This code belongs to ben, from console:1001. Are you ben too?",
        text="If you say yes, ben may do everything here that you may do as dia. "
        "If someone else gave you the code, say no: they want your roles.",
        tone=Tone.WARN,
        buttons=YES_OR_NO,
        private=True,
    )
    assert await cards(one, Channel("console", "c1", private=True)) == []
    nearly = await one.say("link yes", "400", platform="telegram", private=True)
    assert nearly.text == "After that, you are ben here too."
    (question,) = await cards(one, Channel("console", "c1", private=True))
    assert question.title == "telegram:400 (“400”), whom I know as dia, typed your code. Is that you?"
    rows = [(row.actor, row.action, row.subject) for row in await one.audit()]
    assert [row for row in rows if row[1] == "link agreed"] == [("telegram:400", "link agreed", "ben")]
    assert await one.say("link no", "ben", private=True) == Card(title="Nothing was linked.", private=True)


async def test_a_refused_code_is_used_up(one: CommandBot) -> None:
    """Who has no role, or had the account taken away, leaves no link that waits for a yes."""
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    assert not (await one.say(f"link {code}", "eve", private=True)).ok
    assert (await one.say("link yes", "ben", private=True)).title == (
        "You have no link to confirm here, or it has expired."
    )


async def test_changes_of_accounts_notify_only_admins_of_everything(one: CommandBot) -> None:
    """An admin of one environment of every app may not give accounts, and is not notified of them."""
    await one.store.write(lambda tables: tables.people.grant(4, Role.ADMIN, "*", "staging"))
    for text in ("unlink slack:T1/UANA", "allow telegram:77:eve"):
        before = len(await told(one))
        assert (await one.say(text)).ok
        assert [channel for channel, _ in (await told(one))[before:]] == [HOME, CONSOLE]
    code = (await one.say("link", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "78", platform="telegram", private=True)
    before = len(await told(one))
    assert (await one.say("link yes", private=True)).ok
    assert [channel for channel, _ in (await told(one))[before:]] == [HOME, CONSOLE]


async def test_an_account_that_is_taken_away_in_the_middle_is_not_linked(one: CommandBot) -> None:
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "77", platform="telegram", private=True)
    await one.say("allow telegram:77:zed viewer")
    await one.say("deny @zed")
    card = await one.say("link yes", "ben", private=True)
    assert card.title == "An admin removed telegram:77. Only an admin of everything can add it again."
