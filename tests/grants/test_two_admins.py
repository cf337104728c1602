"""With `grants = "two"`, a second admin confirms what another one requested."""

from __future__ import annotations

import asyncio

import pytest

from deploybot.card import Button, Tone
from deploybot.command import Context
from deploybot.domain import GrantChange, Identity, Person, Role
from deploybot.errors import Denied, UserError
from deploybot.ports import Tables
from tests.grants.conftest import ANA, CONSOLE, DIA_SLACK, DIA_TELEGRAM, FAY, HOUR, SHOP, cards, role, told
from tests.kit.command_bot import STRANGER, CommandBot

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
    assert card.hint == "Allowed: ana, dia, fay."
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


async def test_a_request_of_somebody_who_is_gone_is_nobodys(two: CommandBot) -> None:
    change, ctx = await _asked(two, "dia", "allow @eve viewer on shop")
    await two.store.write(lambda tables: tables.people.merge(4, Person(2, "ben")))
    with pytest.raises(Denied, match="not on the allowlist"):
        await two.access.confirm(ctx, change)
    assert not await role(two, "eve")


async def test_a_request_of_an_admin_for_a_time_ends_with_their_role(two: CommandBot) -> None:
    until = two.clock.now() + HOUR
    await two.store.write(lambda tables: tables.people.grant(2, Role.ADMIN, "shop", until=until))
    change, ctx = await _asked(two, "ben", "allow @eve viewer on shop for 30m")
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


async def test_a_change_waits_for_a_day(two: CommandBot) -> None:
    await two.say("allow @eve viewer on shop", "dia")
    two.clock.advance(24 * HOUR)
    assert (await two.say("confirm grant-1")).title == "No grant-1 is waiting."
    assert (await two.say("confirm it")).title == "`it` is not a change of grants such as grant-3."


async def test_revocations_take_one_admin(two: CommandBot) -> None:
    assert (await two.say("deny @ben on shop", "dia")).ok
    assert not await role(two, "ben")


async def test_of_two_who_confirm_at_once_one_does(two: CommandBot) -> None:
    await two.say("allow telegram:77:eve")
    assert any("telegram:77:eve becomes another account. fay must confirm it." in text for _, text in await told(two))
    await two.say("allow @fay viewer on shop", "dia")
    answers = await asyncio.gather(two.say("confirm grant-2"), two.say("confirm grant-2", FAY))
    assert sorted(card.ok for card in answers) == [False, True]
