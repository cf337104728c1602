"""`allow … for`, `confirm`, `unlink`, `who`, announcements and admins' codes, as people type them."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import pyotp
import pytest

from deploybot.access.grant_expiry import GrantEnds
from deploybot.card import Button, Card, Tone
from deploybot.command import Context, command
from deploybot.domain import Action, GrantChange, Identity, Person, Place, Role
from deploybot.errors import Denied, UserError
from deploybot.ports import Tables
from deploybot.settings import Settings
from tests.kit.command_bot import STRANGER, V1, CommandBot, open_command_bot, team_settings

T = TypeVar("T")

HOME = Place("slack", "C0HOME")
SHOP = Place("slack", "C0SHOP12345")
SECRET = "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP"
HOUR = 3600.0


def settings_of(**bot: object) -> Settings:
    """The team's, with Slack and Telegram, a channel of the shop's, and keys of [bot]."""
    slack = {"bot_token": {"env": "BOT_TOKEN"}, "app_token": {"env": "APP_TOKEN"}}
    telegram = {"token": {"env": "TELEGRAM_TOKEN"}}
    return team_settings(shop={"channel": str(SHOP)}, bot=bot, slack=slack, telegram=telegram)


def _chats(tables: Tables) -> None:
    """Ana has Slack, dia has Telegram and Slack; fay is a second admin of everything, at the console alone."""
    tables.people.link(1, Identity("slack", "UANA", "T1"))
    tables.people.link(4, Identity("telegram", "400"))
    tables.people.link(4, Identity("slack", "UDIA", "T1"))
    fay = tables.people.add("fay", Identity("console", "1005"))
    tables.people.grant(fay.id, Role.ADMIN)


async def made(**table: object) -> AsyncIterator[CommandBot]:
    async with open_command_bot(settings=settings_of(**table), homes=(HOME,)) as bot:
        await bot.store.write(_chats)
        yield bot


@pytest.fixture
async def one() -> AsyncIterator[CommandBot]:
    async for bot in made():
        yield bot


@pytest.fixture
async def two() -> AsyncIterator[CommandBot]:
    async for bot in made(grants="two"):
        yield bot


@pytest.fixture
async def coded() -> AsyncIterator[CommandBot]:
    async for bot in made(admin_code="totp"):
        bot.codes.kept[1] = SECRET
        yield bot


YES_OR_NO = (Button("Yes, that is me", "link yes"), Button("No", "link no", danger=True))
FAY = "1005"
CONSOLE = Place("console", "console")
ANA, DIA_SLACK, DIA_TELEGRAM = (
    Place("slack", "UANA", private=True),
    Place("slack", "UDIA", private=True),
    Place("telegram", "400", private=True),
)


async def told(bot: CommandBot) -> list[tuple[Place, str]]:
    """What was said, where."""
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
    return [(item.place, item.card.title) for item in items]


async def cards(bot: CommandBot, place: Place) -> list[Card]:
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 9e9, 1000))
    return [item.card for item in items if item.place == place]


async def role(bot: CommandBot, name: str, app: str = "shop", environment: str = "production") -> bool:
    """Whether somebody may look at a place now, as the policy says."""
    person = await bot.store.read(lambda tables: tables.people.named(name))
    assert person
    asked = await bot.access.ask(person.id, action=Action.VIEW, command="status", app=app, environment=environment)
    return asked.decision.allowed


# Announced


async def test_a_grant_notifies_the_channel_and_all_other_admins(one: CommandBot) -> None:
    assert (await one.say("allow @eve approver on shop/production")).ok
    text = "ana made eve approver on shop/production."
    assert await told(one) == [(SHOP, text), (DIA_SLACK, text), (DIA_TELEGRAM, text), (CONSOLE, text)]


async def test_an_app_admins_grant_notifies_the_admins_above(one: CommandBot) -> None:
    await one.say("allow @eve approver on shop/production", "dia")
    text = "dia made eve approver on shop/production."
    assert await told(one) == [(SHOP, text), (ANA, text), (CONSOLE, text)]


async def test_what_is_about_every_app_goes_home(one: CommandBot) -> None:
    await one.say("allow @eve viewer")
    assert [place for place, _ in await told(one)] == [HOME, CONSOLE]


async def test_a_further_account_is_reported(one: CommandBot) -> None:
    await one.say("allow telegram:77:eve")
    assert (HOME, "ana gave eve the account telegram:77.") in await told(one)


async def test_a_revocation_notifies_also_the_admin_who_loses_it(one: CommandBot) -> None:
    assert (await one.say("deny @dia on shop")).ok
    text = "ana removed 1 role from dia on every environment of shop."
    assert await told(one) == [(SHOP, text), (DIA_SLACK, text), (DIA_TELEGRAM, text), (CONSOLE, text)]


async def test_nothing_is_reported_where_nothing_was_taken(one: CommandBot) -> None:
    await one.say("deny @eve on shop")
    assert await told(one) == []


# For a time


async def test_a_role_for_a_time_ends_at_its_time(one: CommandBot) -> None:
    card = await one.say("allow @eve deployer on shop for 8h")
    assert card.title == "eve is now deployer on every environment of shop, for 8 h."
    assert await role(one, "eve")
    one.clock.advance(8 * HOUR - 1)
    assert (await one.say("deploy shop to production", "eve")).ok
    one.clock.advance(1)
    assert not await role(one, "eve"), "the policy knows the end, whether or not anybody was told"
    assert (await one.say("deploy shop to production", "eve")).title == "There is no app `shop`."


async def test_the_end_is_reported_once(one: CommandBot) -> None:
    await one.say("allow @eve deployer on shop for 8h")
    looking = GrantEnds(one.store, one.clock, one.access.announcer)
    assert await looking.look() == 8 * HOUR
    before = len(await told(one))
    one.clock.advance(8 * HOUR)
    for _ in range(3):
        await looking.look()
    text = "eve is no longer deployer on every environment of shop: the grant by ana has expired."
    assert (await told(one))[before:] == [(place, text) for place in (SHOP, ANA, DIA_SLACK, DIA_TELEGRAM, CONSOLE)]
    assert [row.subject for row in await one.audit() if row.action == "grant ended"] == ["eve"]


async def test_the_end_is_posted_also_after_a_restart(one: CommandBot) -> None:
    await one.say("allow @eve deployer on shop for 8h")
    one.clock.advance(9 * HOUR)
    one.store.full = "no space left"
    ends = GrantEnds(one.store, one.clock, one.access.announcer, look_every=0.001)
    run = asyncio.create_task(ends.run())
    await asyncio.sleep(0.01)
    assert not run.done(), "a full disk is no reason to stop"
    one.store.full = ""
    async with asyncio.timeout(10):
        while not any("has expired" in text for _, text in await told(one)):  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)
    run.cancel()


async def test_an_expired_role_notifies_only_admins_of_the_target(one: CommandBot) -> None:
    """An admin of shop/staging is none of shop/production; the audit says what ended."""
    await one.say("deny @dia on shop")
    await one.say("allow @dia admin on shop/staging")
    await one.say("allow @eve deployer on shop/production for 1h")
    before = len(await told(one))
    one.clock.advance(HOUR)
    await GrantEnds(one.store, one.clock, one.access.announcer).look()
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, ANA, CONSOLE]
    (row,) = [row for row in await one.audit() if row.action == "grant ended"]
    assert (row.actor, row.subject, row.detail) == ("deploybot", "eve", "deployer on shop/production")


async def test_where_nothing_ends_nothing_is_written(one: CommandBot) -> None:
    looking = GrantEnds(one.store, one.clock, one.access.announcer)
    await one.say("allow @eve deployer on shop for 8h")
    await one.say("allow @cem deployer on shop for 2h")
    one.store.full = "no space left"
    assert await looking.look() == 2 * HOUR, "those without an end do not count"
    one.store.full = ""
    one.clock.advance(2 * HOUR)
    assert await looking.look() == 6 * HOUR
    one.clock.advance(6 * HOUR)
    assert await looking.look() == math.inf, "what ends now is over"
    one.store.full = "no space left"
    assert await looking.look() == math.inf


async def test_between_two_looks_the_worker_waits(one: CommandBot) -> None:
    class Counting:
        looks = 0
        problem = ""

        async def read(self, work: Callable[[Tables], T]) -> T:
            self.looks += 1
            return await one.store.read(work)

        async def write(self, work: Callable[[Tables], T]) -> T:
            return await one.store.write(work)

    counting = Counting()
    run = asyncio.create_task(GrantEnds(counting, one.clock, one.access.announcer).run())
    for _ in range(20):
        await one.store.read(lambda tables: tables.people.grants())  # in line behind what the worker reads
    assert counting.looks == 1
    run.cancel()


async def test_a_role_without_an_end_stays_beside_one_with_an_end(one: CommandBot) -> None:
    await one.say("allow @ben admin on shop for 1h")
    assert (await one.say("allow @eve viewer on shop", "ben")).ok
    one.clock.advance(HOUR)
    assert not (await one.say("allow @eve deployer on shop", "ben")).ok
    assert (await one.say("deploy shop to production", "ben")).ok


async def test_what_adds_nothing_or_takes_the_last_admin_is_refused(one: CommandBot) -> None:
    card = await one.say("allow @ben viewer on shop for 1h")
    assert card.title == "That role already exists, without an end time."
    card = await one.say("allow telegram:77:eve for 1h")
    assert (card.title, card.hint) == (
        "Only a role can have an end time.",
        "Like this: `allow @ben deployer on shop for 8h`.",
    )
    await one.say("deny @fay")
    assert not (await one.say("deny @ana")).ok
    await one.say("allow @ben admin for 1h")
    assert not (await one.say("deny @ana")).ok, "an admin for an hour does not make ana dispensable"


async def test_a_role_given_for_good_replaces_what_was_for_a_time(one: CommandBot) -> None:
    await one.say("allow @ben admin on shop for 1h")
    await one.say("allow @ben viewer on shop")
    assert not (await one.say("allow @eve viewer on shop", "ben")).ok


# Two admins


async def test_with_two_a_second_admin_confirms(two: CommandBot) -> None:
    card = await two.say("allow @eve approver on shop/production for 2h", "dia")
    assert (card.title, card.hint) == (
        "A second admin must confirm grant-1 within a day.",
        "They type: confirm grant-1",
    )
    assert not await role(two, "eve")
    asks = "dia requests grant-1: @eve becomes approver on shop/production for 2 h. ana or fay must confirm it."
    assert await told(two) == [(place, asks) for place in (SHOP, ANA, CONSOLE)]
    ((in_slack,), (question,)) = await cards(two, ANA), await cards(two, CONSOLE)
    assert question.buttons == (
        Button("Confirm", "confirm grant-1"),
        Button("Refuse", "confirm grant-1 no", danger=True),
    )
    assert (in_slack.buttons, in_slack.hint) == ((), "Type `confirm grant-1`, or `confirm grant-1 no`.")
    assert (await cards(two, SHOP))[0].buttons == (), "a channel is no place for an admin's button"
    own = await two.say("confirm grant-1", "dia")
    assert own.title == "You can't confirm your own request: a second admin must confirm it."
    assert not await role(two, "eve")
    two.clock.advance(HOUR)
    card = await two.say("confirm grant-1")
    assert card.title == "dia and ana made eve approver on shop/production until 2027-01-15 11:00 UTC."
    assert await role(two, "eve")
    two.clock.advance(2 * HOUR)
    assert not await role(two, "eve"), "its time runs from the confirmation on"
    assert (await two.say("confirm grant-1")).title == "No grant-1 is waiting."


async def test_who_may_not_give_it_may_not_confirm_it(two: CommandBot) -> None:
    await two.say("allow @eve viewer", "ana")
    for who in ("dia", "cem"):
        assert (await two.say("confirm grant-1", who)).title == "No grant-1 is waiting."
    await two.say("allow @eve viewer on shop", "dia")
    await two.say("allow @ben deployer on shop")
    card = await two.say("confirm grant-2", "ben")
    assert card.title == "`confirm` needs the role admin on every environment of shop; you are deployer there."
    assert card.hint == "Who may: ana, dia, fay."
    assert not (await two.say("confirm grant-1", STRANGER)).ok


async def test_an_account_for_somebody_takes_two_admins_of_everything(two: CommandBot) -> None:
    assert not (await two.say("allow telegram:77:eve viewer on shop", "dia")).ok
    await two.say("allow telegram:77:eve viewer on shop")
    assert (await two.say("confirm grant-1", "dia")).title.startswith("@eve already exists")
    assert (await two.say("confirm grant-1", FAY)).ok
    assert (await two.say("whoami", "77", platform="telegram")).title == "You are eve."


async def test_who_has_lost_their_rights_meanwhile_has_asked_for_nothing(two: CommandBot) -> None:
    await two.say("allow @eve viewer on shop", "dia")
    await two.say("deny @dia on shop")
    card = await two.say("confirm grant-1")
    assert card.title.startswith("`allow` needs the role admin on")
    assert not await role(two, "eve")


async def _asked(bot: CommandBot, who: str, text: str) -> tuple[GrantChange, Context]:
    """A change that somebody asked for, and a command of ana's."""
    assert (await bot.say(text, who)).ok
    change = await bot.access.change(1)
    assert change
    ana = await bot.store.read(lambda tables: tables.people.named("ana"))
    return change, Context(incoming=bot.incoming("x"), person=ana, services=bot.services, reply=bot.reply)


async def test_only_admins_of_the_place_are_asked_to_confirm(two: CommandBot) -> None:
    await two.store.write(lambda tables: tables.people.revoke(4))
    await two.store.write(lambda tables: tables.people.grant(4, Role.ADMIN, "shop", "staging"))
    before = len(await told(two))
    assert (await two.say("allow @eve viewer on shop/production")).ok
    asked = (await told(two))[before:]
    assert [place for place, _ in asked] == [SHOP, CONSOLE]
    assert asked[0][1].endswith("viewer on shop/production. fay must confirm it.")


async def test_what_was_confirmed_in_the_same_moment_is_not_confirmed_again(two: CommandBot) -> None:
    change, ctx = await _asked(two, "dia", "allow @eve viewer on shop")
    await two.access.confirm(ctx, change)
    await two.say("deny @eve on shop")
    for refuse in (False, True):
        with pytest.raises(UserError) as caught:
            await two.access.confirm(ctx, change, refuse=refuse)
        assert (caught.value.sentence, caught.value.hint) == (
            "grant-1 is no longer waiting.",
            "`who` lists who has which role.",
        )
    assert not await role(two, "eve")


async def test_where_no_second_admin_is_left_nobody_may_confirm(two: CommandBot) -> None:
    change, ctx = await _asked(two, "ana", "allow @eve viewer")
    await two.say("deny @fay")
    with pytest.raises(Denied, match="You can't confirm your own request") as caught:
        await two.access.confirm(ctx, change)
    assert caught.value.who_may == "no one on the allowlist"


async def test_a_wrong_code_to_link_is_refused_in_a_sentence(one: CommandBot) -> None:
    ctx = Context(incoming=one.incoming("x"), person=None, services=one.services, reply=one.reply)
    with pytest.raises(UserError) as caught:
        await one.access.link(ctx, "0000-0000")
    assert (caught.value.sentence, caught.value.hint) == (
        "This code is wrong, already used or expired.",
        "Get one first: type `link` in the chat where I know you.",
    )


async def test_a_request_of_somebody_who_is_gone_is_nobodys(two: CommandBot) -> None:
    change, ctx = await _asked(two, "dia", "allow @eve viewer on shop")
    await two.store.write(lambda tables: tables.people.merge(4, Person(2, "ben")))
    with pytest.raises(Denied, match="not on the allowlist"):
        await two.access.confirm(ctx, change)
    assert not await role(two, "eve")


async def test_a_request_of_an_admin_for_a_time_ends_with_their_role(two: CommandBot) -> None:
    until = two.clock.now() + HOUR
    await two.store.write(lambda tables: tables.people.grant(2, Role.ADMIN, "shop", until=until))
    change, ctx = await _asked(two, "ben", "allow @eve viewer on shop")
    two.clock.advance(HOUR)
    with pytest.raises(Denied, match="`allow` needs the role admin on every environment of shop"):
        await two.access.confirm(ctx, change)


async def test_an_account_is_given_only_while_who_asked_is_an_admin_of_everything(two: CommandBot) -> None:
    """Fay asks for an account of eve's, and is only an admin of the shop when ana confirms it."""
    change, ctx = await _asked(two, FAY, "allow telegram:77:eve viewer on shop")

    def lower(tables: Tables) -> None:
        fay = tables.people.named("fay")
        assert fay
        tables.people.revoke(fay.id)
        tables.people.grant(fay.id, Role.ADMIN, "shop")

    await two.store.write(lower)
    with pytest.raises(Denied, match="Only an admin of everything can give a person another account"):
        await two.access.confirm(ctx, change)
    assert await two.store.read(lambda tables: tables.people.of(Identity("telegram", "77"))) is None


async def test_what_cannot_be_confirmed_is_not_asked_for(two: CommandBot) -> None:
    await two.say("deny @fay")
    card = await two.say("allow @eve viewer")
    assert (card.title, card.hint) == (
        "You are the only admin on every app, and this change needs two.",
        "`deploybot allow` on the bot's machine adds a second one.",
    )
    await two.say("deny @dia on shop")
    alone = await two.say("allow @eve viewer on shop/production")
    assert alone.title == "You are the only admin on shop/production, and this change needs two."
    assert await two.access.change(1) is None, "nothing waits"
    await two.store.write(lambda tables: tables.people.grant(4, Role.ADMIN, "shop"))
    assert (await two.say("allow @nobody viewer on shop", "dia")).title == "There is no person called `@nobody`."


@pytest.mark.parametrize("who", ["dia", "ana"])
async def test_a_change_can_be_refused_by_whoever_asked_and_by_others(two: CommandBot, who: str) -> None:
    await two.say("allow @eve viewer on shop", "dia")
    card = await two.say("confirm grant-1 no", who)
    assert card.title == (f"{who} refused grant-1: @eve does not become viewer on every environment of shop.")
    assert not (await two.say("confirm grant-1")).ok
    assert not await role(two, "eve")


async def test_a_refusal_is_reported_and_kept(two: CommandBot) -> None:
    await two.say("allow @eve viewer on shop/production for 2h", "dia")
    before = len(await told(two))
    await two.say("confirm grant-1 no")
    text = "ana refused grant-1: @eve does not become viewer on shop/production for 2 h."
    assert (await told(two))[before:] == [(place, text) for place in (SHOP, DIA_SLACK, DIA_TELEGRAM, CONSOLE)]
    rows = [(row.actor, row.action, row.subject, row.detail) for row in await two.audit()]
    assert [row for row in rows if row[1].startswith("allow ")] == [
        ("dia", "allow asked", "@eve", "grant-1: viewer on shop/production for 2 h"),
        ("ana", "allow refused", "@eve", "grant-1: viewer on shop/production for 2 h"),
    ]


async def test_a_refusal_and_a_confirmation_notify_only_admins_of_the_target(two: CommandBot) -> None:
    await two.say("deny @dia on shop")
    await two.say("allow @dia admin on shop/staging")
    await two.say("confirm grant-1", FAY)
    for number, answer in ((2, "no"), (3, "")):
        await two.say("allow @eve viewer on shop/production")
        before = len(await told(two))
        assert (await two.say(f"confirm grant-{number} {answer}", FAY)).ok
        assert [place for place, _ in (await told(two))[before:]] == [SHOP, ANA]


async def test_both_admins_are_named_with_what_they_gave(two: CommandBot) -> None:
    await two.say("allow slack:T1/UGUS:gus deployer on shop", "dia")
    before = len(await told(two))
    card = await two.say("confirm grant-1")
    text = "dia and ana made gus (slack:T1/UGUS) deployer on every environment of shop."
    assert (card.title, card.tone) == (text, Tone.GOOD)
    assert (await told(two))[before:] == [(place, text) for place in (SHOP, DIA_SLACK, DIA_TELEGRAM, CONSOLE)]
    rows = [(row.actor, row.subject, row.detail) for row in await two.audit() if row.action == "allow"]
    assert rows == [("dia and ana", "gus", "deployer on every environment of shop")]
    roles = (await two.say("who shop")).table
    assert roles
    assert [row[4] for row in roles.rows if row[0] == "gus"] == ["dia and ana"]


async def test_all_that_was_removed_is_reported(one: CommandBot) -> None:
    assert (await one.say("deny @cem")).ok
    assert (HOME, "ana removed 2 roles and all accounts from cem on every app.") in await told(one)
    assert (await one.say("deny @dia on shop/production")).title == "dia has no role on shop/production itself."
    await one.say("allow @dia viewer on shop/production")
    await one.say("deny @dia on shop/production")
    assert (SHOP, "ana removed 1 role from dia on shop/production.") in await told(one)
    rows = [(row.actor, row.subject, row.detail) for row in await one.audit() if row.action == "deny"]
    assert rows == [
        ("ana", "cem", "2 grants on every app, accounts console:1002"),
        ("ana", "dia", "0 grants on shop/production"),
        ("ana", "dia", "1 grant on shop/production"),
    ]


async def test_a_revocation_notifies_admins_of_that_target_now_and_before(one: CommandBot) -> None:
    await one.say("allow @dia admin on shop/production for 1h")
    await one.say("deny @dia on shop")
    before = len(await told(one))
    await one.say("allow @dia admin on shop/staging")
    before = len(await told(one))
    assert (await one.say("deny @ben on shop")).ok
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, CONSOLE]
    await one.say("allow @ben deployer on shop/production")
    before = len(await told(one))
    assert (await one.say("deny @ben on shop/production")).ok
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, CONSOLE]
    await one.say("allow @dia admin on shop for 1h")
    await one.say("allow @ben deployer on shop")
    before = len(await told(one))
    assert (await one.say("deny @ben on shop")).ok
    assert [place for place, _ in (await told(one))[before:]] == [SHOP, DIA_SLACK, DIA_TELEGRAM, CONSOLE]


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
    assert card.hint == "Who may: ana, fay."
    await one.say("allow @ben admin for 1h")
    assert (await one.say("allow telegram:77:eve", "ben")).ok
    one.clock.advance(HOUR)
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


async def test_an_unknown_name_is_answered_with_the_first_dozen_known_ones(one: CommandBot) -> None:
    def hire(number: int) -> Callable[[Tables], Person]:
        return lambda tables: tables.people.add(f"p{number:02}")

    for number in range(6):  # beside ana, ben, cem, dia, eve and fay
        await one.store.write(hire(number))
    twelve = "@ana, @ben, @cem, @dia, @eve, @fay, @p00, @p01, @p02, @p03, @p04, @p05"
    assert (await one.say("deny @xyzzy")).hint == f"I know {twelve}."
    await one.store.write(hire(6))
    assert (await one.say("deny @xyzzy")).hint == f"I know {twelve} and more."


async def test_a_change_waits_for_a_day(two: CommandBot) -> None:
    await two.say("allow @eve viewer on shop", "dia")
    two.clock.advance(24 * HOUR)
    assert (await two.say("confirm grant-1")).title == "No grant-1 is waiting."
    assert (await two.say("confirm it")).title == "`it` is not a change of grants such as grant-3."


async def test_revocations_take_one_admin(two: CommandBot) -> None:
    assert (await two.say("deny @ben on shop", "dia")).ok
    assert not await role(two, "ben")


# Codes


@pytest.mark.parametrize("text", ["allow @eve viewer", "deny @ben", "unlink console:1001"])
async def test_admin_acts_take_a_code_of_who_has_enrolled(coded: CommandBot, text: str) -> None:
    card = await coded.say(text)
    assert (card.title, card.hint) == (
        "This needs a one-time code from your phone.",
        "Add it at the end: `… code 123456`.",
    )
    assert (await coded.say(f"{text} code 000000")).title == "This code is wrong or was already used."
    code = pyotp.TOTP(SECRET).at(coded.clock.now())
    assert (await coded.say(f"{text} code {code}")).ok
    again = await coded.say(f"allow @cem viewer code {code}")
    assert again.title == "This code is wrong or was already used."
    assert not any(code in row.detail for row in await coded.audit())


async def test_who_has_not_enrolled_needs_no_code(coded: CommandBot) -> None:
    assert (await coded.say("allow @eve viewer on shop", "dia")).ok


async def test_confirming_takes_a_code() -> None:
    async for bot in made(grants="two", admin_code="totp"):
        bot.codes.kept[1] = SECRET
        await bot.say("allow @eve viewer on shop", "dia")
        (question,) = await cards(bot, CONSOLE)
        assert question.buttons == (
            Button("Confirm", "confirm grant-1", asks="Your one-time code?", asks_code=True),
            Button("Refuse", "confirm grant-1 no", danger=True, asks="Your one-time code?", asks_code=True),
        )
        assert (await bot.say("confirm grant-1")).title == "This needs a one-time code from your phone."
        code = pyotp.TOTP(SECRET).at(bot.clock.now())
        assert (await bot.say(f"confirm grant-1 code {code}")).ok


async def test_without_the_key_nobody_needs_a_code(one: CommandBot) -> None:
    one.codes.kept[1] = SECRET
    assert (await one.say("allow @eve viewer on shop")).ok


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
        assert card.hint == f"Who may: {who_may}."
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
    places = [place for place, said in (await told(one))[before:] if said == text]
    assert places == [HOME, ANA, Place("telegram", "77", private=True), CONSOLE]


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
    (question,) = await cards(one, Place("console", "c1", private=True))
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
    assert await cards(one, Place("console", "c1", private=True)) == []
    nearly = await one.say("link yes", "400", platform="telegram", private=True)
    assert nearly.text == "After that, you are ben here too."
    (question,) = await cards(one, Place("console", "c1", private=True))
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
    """An admin of one environment of every app may not give accounts, and is not told of them."""
    await one.store.write(lambda tables: tables.people.grant(4, Role.ADMIN, "*", "staging"))
    for text in ("unlink slack:T1/UANA", "allow telegram:77:eve"):
        before = len(await told(one))
        assert (await one.say(text)).ok
        assert [place for place, _ in (await told(one))[before:]] == [HOME, CONSOLE]
    code = (await one.say("link", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "78", platform="telegram", private=True)
    before = len(await told(one))
    assert (await one.say("link yes", private=True)).ok
    assert [place for place, _ in (await told(one))[before:]] == [HOME, CONSOLE]


async def test_who_without_an_app_lists_all_that_one_may_see(one: CommandBot) -> None:
    ana = await one.store.read(lambda tables: tables.people.named("ana"))
    ctx = Context(incoming=one.incoming("x"), person=ana, services=one.services, reply=one.reply)
    card = await one.access.who(ctx)
    assert card.title == "5 people have a role."


# Who


async def test_who_lists_people_roles_and_accounts(one: CommandBot) -> None:
    await one.say("allow slack:T1/UGUS:gus deployer on shop for 8h")
    card = await one.say("who shop", "dia")
    assert card.title == "6 people have a role on shop."
    assert card.table
    assert card.table.columns == ("person", "role", "where", "since", "by", "accounts")
    rows = {row[0]: row[1:] for row in card.table.rows}
    assert rows["ben"] == ("deployer", "every environment of shop", "unknown", "unknown", "console:1001")
    assert rows["gus"] == (
        "deployer until 2027-01-15 16:00 UTC",
        "every environment of shop",
        "2027-01-15 08:00 UTC",
        "ana",
        "slack:T1/UGUS (since 2027-01-15 08:00 UTC by ana)",
    )
    assert rows["cem"][1] == "shop/staging", "what they are on wiki does not belong here"
    one.clock.advance(8 * HOUR)
    assert (await one.say("who shop", "dia")).title == "5 people have a role on shop."


async def test_who_says_by_whom_an_account_was_given(one: CommandBot) -> None:
    assert (await one.say("allow console:1001:ben deployer on shop/staging")).ok, "that account is ben's already"
    await one.say("allow telegram:5:ben")
    table = (await one.say("who shop", "dia")).table
    assert table
    accounts = {row[5] for row in table.rows if row[0] == "ben"}
    assert accounts == {"console:1001, telegram:5 (since 2027-01-15 08:00 UTC by ana)"}


async def test_who_shows_only_what_one_may_see(one: CommandBot) -> None:
    table = (await one.say("who", "cem")).table
    assert table
    assert {row[2] for row in table.rows} == {
        "every app",
        "every environment of shop",
        "shop/staging",
        "every environment of wiki",
    }
    assert (await one.say("who blog", "cem")).title == "There is no app `blog`."


# Unknown and forbidden


@pytest.mark.parametrize("who", ["cem", "eve", "ben"])
@pytest.mark.parametrize(
    ("there", "nowhere"),
    [
        ("status blog", "status blug"),
        ("cancel #42", "cancel #43"),
        ("approve #42", "approve #43"),
        ("reject #42 because no", "reject #43 because no"),
        ("deploy blog@v1.4 to live", "deploy blug@v1.4 to live"),
        ("allow @eve viewer on blog", "allow @eve viewer on blug"),
        ("why deploy blog live", "why deploy blug live"),
        ("lock blog live because x", "lock blug live because x"),
        ("who blog", "who blug"),
        ("confirm grant-1", "confirm grant-2"),
    ],
)
async def test_unknown_and_forbidden_look_alike(two: CommandBot, who: str, there: str, nowhere: str) -> None:
    two.deployments.put(42, "blog", "live", V1)
    await two.say("allow @eve viewer on blog")
    one, other = await two.say(there, who), await two.say(nowhere, who)
    assert not one.ok
    same = repr(other).replace("blug", "blog").replace("#43", "#42").replace("grant-2", "grant-1")
    assert repr(one) == same


async def test_what_was_tried_in_vain_is_in_the_audit(one: CommandBot) -> None:
    await one.say("status blog", "ben")
    assert [(row.actor, row.action, row.detail) for row in await one.audit()] == [("ben", "denied", "status blog")]
    await one.say("status blug", "ben")
    assert len(await one.audit()) == 1


@pytest.mark.parametrize(("who", "text"), [("ben", "approve #1 code 123456"), ("eva", "TOTP  123456")])
async def test_a_code_that_was_typed_in_vain_is_not_in_the_audit(one: CommandBot, who: str, text: str) -> None:
    one.deployments.put(1, "blog", "live", V1)
    before = len(await one.audit())
    assert not (await one.say(text, who)).ok
    (row,) = (await one.audit())[before:]
    assert (row.action, row.detail) == ("denied", text.replace("  ", " ").replace("123456", "…"))


async def test_if_everybody_is_at_the_console_it_is_posted_once() -> None:
    async with open_command_bot(settings=settings_of(), homes=(CONSOLE,)) as bot:
        await bot.store.write(_chats)
        await bot.say("allow @eve viewer")
        assert await told(bot) == [(CONSOLE, "ana made eve viewer on every app.")]


async def test_of_two_who_confirm_at_once_one_does(two: CommandBot) -> None:
    await two.say("allow telegram:77:eve")
    assert any("telegram:77:eve becomes another account. fay must confirm it." in text for _, text in await told(two))
    await two.say("allow @fay viewer on shop", "dia")
    answers = await asyncio.gather(two.say("confirm grant-2"), two.say("confirm grant-2", FAY))
    assert sorted(card.ok for card in answers) == [False, True]


async def test_an_account_that_is_taken_away_in_the_middle_is_not_linked(one: CommandBot) -> None:
    code = (await one.say("link", "ben", private=True)).title.rpartition(" ")[2]
    await one.say(f"link {code}", "77", platform="telegram", private=True)
    await one.say("allow telegram:77:zed viewer")
    await one.say("deny @zed")
    card = await one.say("link yes", "ben", private=True)
    assert card.title == "An admin removed telegram:77. Only an admin of everything can add it again."
