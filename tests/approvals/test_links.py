"""Two accounts become one person: by a code from one side, typed on the other, and a yes on the first."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pyotp
import pytest

from deploybot.card import Card
from deploybot.domain import Grant, Identity, Lock, Role, State
from deploybot.errors import StoreError
from deploybot.ports import Tables
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import BotUnderTest

NEW = "777"
EVES, BENS = "A" * 32, "B" * 32
ASK_FIRST = "Get one first: type `link` in the chat where I know you."


async def code_of(bot: BotUnderTest, who: str = "ben", platform: str = "slack") -> str:
    """Ask for a code."""
    card = await bot.say("link", who, platform=platform)
    assert card.private
    found = re.search(r"link ([0-9A-Z]{4}-[0-9A-Z]{4})$", card.title)
    assert found
    return found[1]


async def link(bot: BotUnderTest, who: str, other: str) -> Card:
    """All four messages, of two persons."""
    code = await code_of(bot, who)
    await bot.say(f"link {code}", other, platform="telegram")
    assert (await bot.say("link yes", other, platform="telegram")).title.startswith("Almost done")
    return await bot.say("link yes", who, platform="slack")


def totp(bot: BotUnderTest, secret: str) -> str:
    """What a phone with this secret shows now."""
    return pyotp.TOTP(secret).at(int(bot.clock.now()))


async def questions(bot: BotUnderTest) -> list[Card]:
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now(), 100))
    return [item.card for item in items if "Is that you?" in item.card.title]


async def test_a_stranger_becomes_somebody_known(bot: BotUnderTest) -> None:
    code = await code_of(bot)
    card = await bot.say(f"link {code.lower()}", NEW, platform="telegram")
    assert (card.title, card.private) == ("Almost done: now type `link yes` in slack, where the code came from.", True)
    (question,) = await questions(bot)
    assert question.title == "telegram:777 (“777”) typed your code. Is that you?"
    assert [one.command for one in question.buttons] == ["link yes", "link no"]
    assert not (await bot.say("approve #1", NEW, platform="telegram")).ok
    card = await bot.say("link yes", "ben", platform="slack")
    assert card.title == "You are ben in telegram, too: one person, with all roles of both."
    assert (await bot.say("whoami", NEW, platform="telegram")).title == "You are ben."
    number = await bot.ask()
    assert (await bot.say(f"approve #{number}", NEW, platform="telegram")).ok
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await bot.audit()]
    assert ("telegram:777", "link code", "ben", "") in rows
    assert ("ben", "link", "ben", "telegram:777, a new account") in rows


async def test_two_persons_become_one(tmp_path: Path) -> None:
    """Roles of both count, the higher one; a lock, a request and an approval are the person's that stays."""
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        await split(bot)
        by_twin = await bot.ask("deploy shop@v2 to production", "777")
        by_eve = await bot.ask("deploy shop@v2 to production", "eve")
        assert (await bot.say(f"approve #{by_eve}", NEW)).title == f"#{by_eve} has 1 of 2 approvals now."
        await bot.say("lock shop staging because x", NEW)
        card = await link(bot, "ben", NEW)
        assert card.ok
        grants = await bot.store.read(lambda tables: tables.people.grants(bot.people["ben"].id))
        assert grants == (
            Grant(bot.people["ben"].id, Role.APPROVER, "shop"),
            Grant(bot.people["ben"].id, Role.ADMIN, "shop", "production"),
        )
        names = await bot.store.read(lambda tables: [one.name for one in tables.people.everybody()])
        assert "twin" not in names
        lock = await bot.store.read(lambda tables: tables.locks.get("shop", "staging", bot.clock.now()))
        assert isinstance(lock, Lock)
        assert (lock.person, lock.holder) == (bot.people["ben"].id, "ben")
        card = await bot.say(f"approve #{by_twin}", "ben")
        assert card.title.startswith("You can't approve your own request")
        assert [one.person for one in (await bot.request_of(by_eve)).approvals] == [bot.people["ben"].id]
        assert (await bot.say(f"approve #{by_eve}", "ben")).title == "You already approved it."


async def split(bot: BotUnderTest) -> None:
    """Somebody whom the bot takes for two: ben, and a twin in Telegram and at the console."""

    def hire(tables: Tables) -> None:
        twin = tables.people.add("twin", Identity("telegram", NEW))
        tables.people.link(twin.id, Identity("console", NEW))
        tables.people.grant(twin.id, Role.DEPLOYER, "shop")
        tables.people.grant(twin.id, Role.ADMIN, "shop", "production")

    await bot.store.write(hire)


async def test_an_approval_of_ones_own_second_account_is_none_once_they_are_linked(bot: BotUnderTest) -> None:
    """Ben asked, his twin approved, and before it begins they are found to be one."""
    await split(bot)
    number = await bot.ask("deploy shop@v2 to production", "ben")
    async with bot.busy():
        assert (await bot.say(f"approve #{number}", NEW)).ok
        assert (await link(bot, "ben", NEW)).ok
    await bot.until(number, lambda deployment: deployment.awaits_approval)
    assert not bot.hosts["web1"].started
    await bot.say(f"approve #{number}", "cem")
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_the_codes_of_ones_phone_go_along(bot: BotUnderTest) -> None:
    await split(bot)
    twin = await bot.store.read(lambda tables: tables.people.named("twin"))
    assert twin
    bot.codes.kept[twin.id] = "SECRET"
    await bot.store.write(lambda tables: (tables.codes.use(twin.id, 50), tables.codes.use(bot.people["ben"].id, 7)))
    await link(bot, "ben", NEW)
    assert bot.codes.kept == {bot.people["ben"].id: "SECRET"}
    assert not await bot.store.write(lambda tables: tables.codes.use(bot.people["ben"].id, 50))


async def test_phones_are_not_compared_before_both_said_yes(bot: BotUnderTest) -> None:
    """Whether somebody has a phone is nobody else's business, and of one who has not agreed nothing is copied."""
    eve, ben = bot.people["eve"], bot.people["ben"]
    bot.codes.kept |= {eve.id: EVES, ben.id: BENS}
    await bot.say(f"link {await code_of(bot, 'eve')}", "ben", platform="telegram")
    card = await bot.say("link yes", "eve", platform="slack")
    assert "already belongs to somebody, who has not confirmed yet" in card.title
    assert bot.codes.kept == {eve.id: EVES, ben.id: BENS}


async def test_two_people_with_phones_are_not_merged(tmp_path: Path) -> None:
    """Eve has her own phone and ben's session, not ben's phone: no code of hers ever counts as ben's."""
    async with open_approval_bot(tmp_path, approval_code="totp") as bot:
        eve, ben = bot.people["eve"], bot.people["ben"]
        bot.codes.kept |= {eve.id: EVES, ben.id: BENS}
        number = await bot.ask("deploy shop@v2 to production", "ana")
        card = await link(bot, "eve", "ben")
        assert not card.ok
        assert card.title == "ben and eve both have a phone for one-time codes, but one person can have only one."
        assert card.hint == (
            "Ask the administrator of the bot's machine to remove the one that is no longer used: `deploybot "
            "forget-code ben` or `deploybot forget-code eve`. Then type `link yes` again."
        )
        assert bot.codes.kept == {eve.id: EVES, ben.id: BENS}
        card = await bot.say(f"approve #{number} code {totp(bot, EVES)}", "ben", platform="telegram")
        assert card.title == "This code is wrong or was already used."
        assert (await bot.say("whoami", "ben", platform="telegram")).title == "You are ben."
        del bot.codes.kept[eve.id]  # `deploybot forget-code eve`
        assert (await bot.say("link yes", "eve", platform="slack")).ok
        assert bot.codes.kept == {eve.id: BENS}
        card = await bot.say(f"approve #{number} code {totp(bot, BENS)}", "ben", platform="telegram")
        assert card.title == f"#{number} is approved."


async def test_a_phone_that_was_only_offered_never_replaces_the_one_that_comes_along(tmp_path: Path) -> None:
    """Eve was shown a secret before, and types its first code after she was merged with ben."""
    async with open_approval_bot(tmp_path, approval_code="totp") as bot:
        eve, ben = bot.people["eve"], bot.people["ben"]
        bot.codes.kept[ben.id] = BENS
        secret = (await bot.say("totp", "eve", platform="telegram")).lines[0].text
        assert (await link(bot, "eve", "ben")).ok
        card = await bot.say(f"totp {totp(bot, secret)}", "eve", platform="telegram")
        assert card.title == "This code is wrong or was already used."
        assert (bot.codes.kept, bot.codes.new) == ({eve.id: BENS}, {})


async def test_roles_never_come_along_without_their_phone(bot: BotUnderTest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever fails, the person who stays needs the phone before they have the roles."""
    eve, ben = bot.people["eve"], bot.people["ben"]
    bot.codes.kept[ben.id] = BENS

    async def fail(person: int) -> bool:
        raise StoreError(f"the secret of {person} cannot be deleted")

    monkeypatch.setattr(bot.codes, "forget", fail)
    await link(bot, "eve", "ben")
    assert (await bot.say("whoami", "ben", platform="telegram")).title == "You are eve."
    assert bot.codes.kept[eve.id] == BENS


async def test_of_a_merge_that_is_refused_at_the_end_no_phone_stays(tmp_path: Path) -> None:
    """Somebody else gets the account of the other side, while the phones are compared."""
    async with open_approval_bot(tmp_path) as bot:
        ben, fay = bot.people["ben"], bot.people["fay"]
        bot.codes.kept[ben.id] = BENS
        copy, there = bot.codes.copy, Identity("telegram", str(1000 + list(bot.people).index("ben")))

        def move(tables: Tables) -> None:
            tables.people.detach(there)
            tables.people.link(fay.id, there)

        async def copied(person: int, into: int) -> bool:
            await bot.store.write(move)
            return await copy(person, into)

        bot.codes.copy = copied  # type: ignore[method-assign]
        card = await link(bot, "eve", "ben")
        assert (card.title, card.hint) == ("This has just changed.", "Type `link yes` again.")
        assert bot.codes.kept == {ben.id: BENS}
        bot.codes.copy = copy  # type: ignore[method-assign]
        assert (await bot.say("link yes", "eve", platform="slack")).ok
        assert bot.codes.kept == {ben.id: BENS}, "fay has no phone, so eve needs none"


async def test_a_merge_that_was_interrupted_goes_on(bot: BotUnderTest) -> None:
    eve, ben = bot.people["eve"], bot.people["ben"]
    bot.codes.kept |= {eve.id: BENS, ben.id: BENS}
    assert (await link(bot, "eve", "ben")).ok
    assert bot.codes.kept == {eve.id: BENS}


async def test_nobody_enrols_while_they_are_merged(bot: BotUnderTest) -> None:
    """Eve confirms her phone at the same time: it is the old one that stays, or the merge is refused."""
    eve, ben = bot.people["eve"], bot.people["ben"]
    bot.codes.kept[ben.id] = BENS
    secret = (await bot.say("totp", "eve", platform="telegram")).lines[0].text
    copy, began = bot.codes.copy, asyncio.Event()

    async def copied(person: int, into: int) -> bool:
        began.set()
        enrolling.append(asyncio.create_task(bot.say(f"totp {totp(bot, secret)}", "eve", platform="telegram")))
        for _ in range(50):
            await bot.store.read(lambda tables: tables.people.everybody())  # it has every chance to be first
        return await copy(person, into)

    enrolling: list[asyncio.Task[Card]] = []
    bot.codes.copy = copied  # type: ignore[method-assign]
    assert (await link(bot, "eve", "ben")).ok
    assert not (await enrolling[0]).ok
    assert bot.codes.kept == {eve.id: BENS}


async def test_a_no_ends_it(bot: BotUnderTest) -> None:
    code = await code_of(bot)
    await bot.say(f"link {code}", NEW, platform="telegram")
    assert (await bot.say("link no", "ben", platform="slack")).title == "Nothing was linked."
    assert (await bot.say("link yes", "ben", platform="slack")).hint == ASK_FIRST
    assert not (await bot.say("whoami", NEW, platform="telegram")).ok


async def test_yes_counts_only_where_the_code_came_from(bot: BotUnderTest) -> None:
    """Who typed the code cannot say yes to it, and nobody else can, not even the same person elsewhere."""
    code = await code_of(bot)
    early = await bot.say("link yes", "ben", platform="slack")
    assert (early.title, early.hint) == (
        "Your code has not been used yet.",
        "Type `link CODE` in the other chat first.",
    )
    await bot.say(f"link {code}", NEW, platform="telegram")
    for who, platform in ((NEW, "telegram"), ("ben", "console"), ("cem", "slack")):
        card = await bot.say("link yes", who, platform=platform)
        assert card.title == "You have no link to confirm here, or it has expired."
    assert (await bot.say("link yes", "ben", platform="slack")).ok


async def test_a_code_is_used_once_and_not_for_long(bot: BotUnderTest) -> None:
    code = await code_of(bot)
    await bot.say(f"link {code}", NEW, platform="telegram")
    card = await bot.say(f"link {code}", "778", platform="telegram")
    assert (card.title, card.hint) == ("This code is wrong, used or expired.", ASK_FIRST)
    late = await code_of(bot)
    bot.clock.advance(601)
    assert not (await bot.say(f"link {late}", "779", platform="telegram")).ok
    again = await code_of(bot)
    await bot.say(f"link {again}", "779", platform="telegram")
    bot.clock.advance(601)
    assert not (await bot.say("link yes", "ben", platform="slack")).ok


async def test_guessing_is_stopped(bot: BotUnderTest) -> None:
    code = await code_of(bot)
    for number in range(5):
        assert "wrong" in (await bot.say(f"link {number:04}-AAAA", "fay", platform="telegram")).title
    card = await bot.say(f"link {code}", "fay", platform="telegram")
    assert card.title == "Too many wrong codes. I accept none from you for 15 minutes."
    bot.clock.advance(901)
    fresh = await code_of(bot)
    assert (await bot.say(f"link {fresh}", "fay", platform="telegram")).ok


async def test_codes_are_given_in_private_and_to_people_one_knows(bot: BotUnderTest) -> None:
    card = await bot.say("link", NEW, platform="telegram")
    assert card.title == "I do not know you here. Start in a chat where I do: type `link` there."
    card = await bot.say("link", "ben", platform="slack", private=False)
    assert (card.title, card.hint) == ("Others would see a code here.", "Type it to me in a direct message.")


async def test_a_person_who_is_linked_already_learns_that(bot: BotUnderTest) -> None:
    code = await code_of(bot)
    assert (await bot.say(f"link {code}", "ben", platform="telegram")).title == "You are ben here already."
    assert not (await bot.say("link yes", "ben", platform="slack")).ok


async def test_linked_by_an_admin_meanwhile(bot: BotUnderTest) -> None:
    code = await code_of(bot)
    await bot.say(f"link {code}", NEW, platform="telegram")
    await bot.say(f"allow telegram:{NEW}:ben viewer on shop", "dia")
    bot.codes.new[bot.people["ben"].id] = "OFFERED"
    assert (await bot.say("link yes", "ben", platform="slack")).ok
    assert bot.codes.new == {bot.people["ben"].id: "OFFERED"}, "nobody was merged, so no secret moves"
    assert (await bot.say("whoami", NEW, platform="telegram")).title == "You are ben."


async def test_the_last_admin_stays_one(bot: BotUnderTest) -> None:
    """Dia is the only one: taken in by somebody, her roles go along."""

    def hire(tables: Tables) -> None:
        tables.people.grant(tables.people.add("new", Identity("telegram", NEW)).id, Role.VIEWER, "shop")

    await bot.store.write(hire)
    code = (await bot.say("link", NEW, platform="telegram")).title.rpartition(" ")[2]
    await bot.say(f"link {code}", "dia", platform="slack")
    assert (await bot.say("link yes", "dia", platform="slack")).ok
    assert (await bot.say("link yes", NEW, platform="telegram")).ok
    grants = await bot.store.read(lambda tables: tables.people.grants())
    new = await bot.store.read(lambda tables: tables.people.named("new"))
    assert new
    assert Grant(new.id, Role.ADMIN) in grants


async def test_who_types_the_code_of_another_gives_nothing_away(bot: BotUnderTest) -> None:
    """Eve, who may deploy the shop, talks dia, who may do everything, into typing eve's code."""
    code = await code_of(bot, "eve")
    card = await bot.say(f"link {code}", "dia", platform="telegram")
    assert card.title == "This code belongs to eve, from slack:T1/U1004. Are you eve too?"
    assert card.private
    assert "eve may do everything here that you may do as dia" in card.text
    assert [one.command for one in card.buttons] == ["link yes", "link no"]
    assert not await questions(bot)
    early = await bot.say("link yes", "eve", platform="slack")
    assert early.title == "telegram:1003 already belongs to somebody, who has not confirmed yet."
    assert (await bot.say("link no", "dia", platform="telegram")).title == "Nothing was linked."
    assert not (await bot.say("link yes", "eve", platform="slack")).ok
    everybody = await bot.store.read(lambda tables: {one.name for one in tables.people.everybody()})
    assert {"eve", "dia"} <= everybody
    refused = [(row.actor, row.subject) for row in await bot.audit() if row.action == "link refused"]
    assert refused == [("telegram:1003", "eve")]


async def test_a_yes_is_for_one_thing(bot: BotUnderTest) -> None:
    """Dia typed eve's code, and then wants something else with a yes: that gives eve nothing."""
    await bot.say(f"link {await code_of(bot, 'eve')}", "dia", platform="telegram")
    own = await code_of(bot, "dia", "telegram")
    await bot.say(f"link {own}", NEW, platform="telegram")
    card = await bot.say("link yes", "dia", platform="telegram")
    assert card.title == "You are dia in telegram, too: one person, with all roles of both."
    assert not (await bot.say("link yes", "eve", platform="slack")).ok
    # And the other way round: typing a code ends what waits for her own yes.
    own = await code_of(bot, "dia", "telegram")
    await bot.say(f"link {own}", "778", platform="telegram")
    await bot.say(f"link {await code_of(bot, 'eve')}", "dia", platform="telegram")
    await bot.say("link no", "dia", platform="telegram")
    assert not (await bot.say("link yes", "dia", platform="telegram")).ok
    assert not (await bot.say("whoami", "778", platform="telegram")).ok


async def test_who_became_somebody_meanwhile_is_asked(bot: BotUnderTest) -> None:
    code = await code_of(bot, "eve")
    await bot.say(f"link {code}", NEW, platform="telegram")
    await bot.say(f"allow telegram:{NEW}:new admin", "dia")
    card = await bot.say("link yes", "eve", platform="slack")
    assert (card.title, card.hint) == (
        "telegram:777 already belongs to somebody, who has not confirmed yet.",
        "Type `link yes` there first.",
    )
    assert (await bot.say("link yes", NEW, platform="telegram")).ok
    assert (await bot.say("link yes", "eve", platform="slack")).ok


@pytest.mark.parametrize("word", ["yes", "no"])
async def test_nothing_to_confirm(bot: BotUnderTest, word: str) -> None:
    for who in ("ben", NEW):
        card = await bot.say(f"link {word}", who, platform="telegram")
        assert card.title == "You have no link to confirm here, or it has expired."


async def test_a_link_is_confirmed_once_and_says_who_gave_the_account(bot: BotUnderTest) -> None:
    await bot.say(f"link {await code_of(bot)}", NEW, platform="telegram")
    assert (await bot.say("link yes", "ben", platform="slack")).ok
    again = await bot.say("link yes", "ben", platform="slack")
    assert again.title == "You have no link to confirm here, or it has expired."
    table = (await bot.say("who shop", "dia")).table
    assert table
    (accounts,) = [row[5] for row in table.rows if row[0] == "ben"]
    assert f"telegram:{NEW} (since 2027-01-15 08:00 UTC by ben)" in accounts


@pytest.mark.parametrize("who", ["ben", "fay"])
async def test_who_has_no_role_any_more_when_it_is_confirmed_links_nothing(bot: BotUnderTest, who: str) -> None:
    """One of both sides had a role for a time that ends before the last yes."""
    await bot.say(f"deny @{who} on shop", "dia")
    await bot.say(f"allow @{who} viewer on shop for 5m", "dia")
    await bot.say(f"link {await code_of(bot)}", "fay", platform="telegram")
    await bot.say("link yes", "fay", platform="telegram")
    bot.clock.advance(301)
    card = await bot.say("link yes", "ben", platform="slack")
    assert card.title == "You need a role to link accounts: ask an administrator for one first."
    assert (await bot.say("whoami", "fay", platform="telegram")).title == "You are fay."
