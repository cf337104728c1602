"""Break glass: what it passes and what it does not, what it takes, and who hears of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.access import identity_text
from deploybot.card import Card, Tone
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.domain import Action, Grant, Identity, Person, Place, Role, State
from deploybot.metrics import METRICS
from deploybot.policy import PolicyQuestion, WantedAction, decide
from deploybot.ports import Tables
from deploybot.settings import Secret
from tests.approvals.conftest import Town, make_town
from tests.approvals.test_codes import WRONG, code, enrol

BREAK = "deploy shop@v2 to production --break-glass"
DOWN = " because the shop is down"


async def promote(town: Town, *names: str) -> None:
    """Make more admins of production."""

    def grant(tables: Tables) -> None:
        for name in names:
            tables.people.grant(town.people[name].id, Role.ADMIN, "shop", "production")

    await town.store.write(grant)


async def said(town: Town) -> list[tuple[Place, Card]]:
    """All alarms that were queued."""
    rows = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now() + 1))
    return [(row.place, row.card) for row in rows if "used break glass" in row.card.title]


def counted() -> float:
    return METRICS.broken_glass.values.get(("shop", "production"), 0.0)


async def test_it_passes_approvals_the_order_of_environments_and_locks(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=2, after="staging") as town:
        await promote(town, "ben", "cem")
        assert (await town.say("lock shop production because I measure", "cem")).ok
        assert not (await town.say("deploy shop@v2 to production because of it", "dia")).ok
        before = counted()
        number = await town.ask(BREAK + DOWN, "dia")
        ended = await town.end_of(number)
        assert (ended.state, ended.glass) == (State.SUCCEEDED, "lock, approvals, after")
        assert counted() == before + 1
        card = await town.card(number)
        assert "(break glass)" in card.title
        assert ("break glass", "by dia, bypasses: lock, approvals, after") in [
            (one.name, one.text) for one in card.lines
        ]
        (row,) = [one for one in await town.audit() if one.action == "break glass"]
        assert (row.actor, row.subject) == ("dia", f"#{number} shop/production")
        assert row.detail == "bypassed lock, approvals, after, because the shop is down; notified ben, cem"


@pytest.mark.parametrize(("seconds", "woken"), [(3600.0, {"ben"}), (-1.0, set())])
async def test_an_admin_for_some_time_is_woken_while_it_lasts(town: Town, seconds: float, woken: set[str]) -> None:
    until = town.shop.clock.now() + seconds
    ben = town.people["ben"].id
    await town.store.write(lambda tables: tables.people.grant(ben, Role.ADMIN, "shop", "production", until=until))
    await town.ask(BREAK + DOWN, "dia")
    assert {one.name for _, card in await said(town) for one in card.wakes} == woken


async def test_all_other_admins_of_the_place_are_woken(town: Town) -> None:
    await promote(town, "ben")
    number = await town.ask(BREAK + DOWN, "dia")
    alarms = await said(town)
    assert alarms
    for _, card in alarms:
        assert card.title.startswith(f"dia used break glass: #{number} shop/production: v2")
        assert "because the shop is down\nIt bypasses: approvals.\nAdmins notified: ben." in card.text
        assert card.hint == f"`cancel #{number}` stops it."
        assert {(one.name, identity_text(one.identity)) for one in card.wakes} == {
            ("ben", "console:1001"),
            ("ben", "slack:T1/U1001"),
            ("ben", "telegram:1001"),
        }
    await town.end_of(number)
    assert len(await said(town)) == len(alarms), "edits wake nobody, and it is said once"


async def test_an_admin_who_is_alone_is_told_so(town: Town) -> None:
    number = await town.ask(BREAK + DOWN, "dia")
    assert "Admins notified: none: there is no other admin." in (await said(town))[0][1].text
    (row,) = [one for one in await town.audit() if one.action == "break glass"]
    assert row.subject == f"#{number} shop/production"
    assert row.detail.endswith("; notified nobody")


async def test_only_admins_of_the_place_are_woken_and_all_of_them_are_named(town: Town) -> None:
    await promote(town, "ben", "cem")

    def elsewhere(tables: Tables) -> None:
        tables.people.grant(town.people["eve"].id, Role.ADMIN, "blog")
        tables.people.grant(town.people["fay"].id, Role.ADMIN, "shop", "staging")

    await town.store.write(elsewhere)
    await town.ask(BREAK + DOWN, "dia")
    (_, card), *_ = await said(town)
    assert card.tone is Tone.BAD
    assert "Admins notified: ben, cem." in card.text
    assert {one.name for one in card.wakes} == {"ben", "cem"}


@pytest.mark.parametrize("who", ["ana", "ben", "cem", "eve"])
async def test_only_admins_of_the_place_may(town: Town, who: str) -> None:
    card = await town.say(BREAK + DOWN, who)
    assert not card.ok
    assert "Only an admin of shop/production can use break glass." in card.title
    assert card.hint == "Who may: dia."
    assert not await said(town)


async def test_it_needs_a_reason_and_is_for_now(town: Town) -> None:
    why = await town.say(BREAK, "dia")
    assert (why.title, why.hint) == (
        "Break glass needs a reason.",
        "Like this: `deploy shop@v1.4 to production --break-glass because the shop is down`.",
    )
    assert (
        await town.say(f"{BREAK} --at 18:00{DOWN}", "dia")
    ).title == "A break-glass deployment starts now, so it cannot be scheduled."
    assert not await said(town)


async def test_who_has_enrolled_adds_a_code_that_works_once(town: Town) -> None:
    secret = await enrol(town, "dia")
    missing = await town.say(BREAK + DOWN, "dia")
    assert (missing.title, missing.hint) == (
        "Break glass needs a one-time code from your phone.",
        "Add `code 123456`.",
    )
    assert (await town.say(f"{BREAK} code {code(town, secret, 9)}{DOWN}", "dia")).title == WRONG
    assert [row.subject for row in await town.audit() if row.action == "wrong code"] == ["break glass"]
    right = code(town, secret)
    number = await town.ask(f"{BREAK} code {right}{DOWN}", "dia")
    assert (await town.end_of(number)).state is State.SUCCEEDED
    assert (await town.say(f"{BREAK} code {right}{DOWN}", "dia")).title == WRONG
    assert len(await said(town)) == len({place for place, _ in await said(town)})
    assert right not in "".join(one.detail for one in await town.audit())


async def test_a_dry_run_shows_the_plan_and_wakes_nobody(town: Town) -> None:
    card = await town.say(f"{BREAK} --dry-run", "dia")
    assert card.title.startswith("shop/production: v2")
    assert "approval" not in card.footer
    assert not await said(town)


async def test_a_rollback_may_break_it_and_a_deployment_without_need_says_so(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=0) as town:
        first = await town.ask("deploy shop@v1 to production --break-glass" + DOWN, "dia")
        assert (await town.end_of(first)).glass == "nothing"
        await town.end_of(await town.ask("deploy shop@v2 to production"))
        assert (await town.say("lock shop production because I measure", "eve")).ok
        number = await town.ask("rollback shop from production --break-glass" + DOWN, "dia")
        ended = await town.end_of(number)
        assert (ended.state, ended.glass) == (State.SUCCEEDED, "lock")


async def test_an_admin_who_is_none_any_more_when_it_begins_has_broken_nothing(town: Town) -> None:
    await promote(town, "ben")
    async with town.busy():
        number = await town.ask(BREAK + DOWN, "ben")
        await town.store.write(lambda tables: tables.people.revoke(town.people["ben"].id, "shop", "production"))
    ended = await town.end_of(number)
    assert ended.state is State.FAILED
    assert "Only an admin of shop/production can use break glass" in ended.outcome
    assert town.running() == {""}


async def test_it_lasts_over_a_restart_of_the_bot(town: Town) -> None:
    async with town.busy():
        number = await town.ask(BREAK + DOWN, "dia")
        await town.shop.deployments.queue.close()
    await town.restart()
    ended = await town.end_of(number)
    assert (ended.state, ended.glass) == (State.SUCCEEDED, "approvals")


@pytest.mark.parametrize(
    ("command", "itself", "allowed"),
    [("deploy", False, True), ("rollback", False, True), ("restart", False, False), ("deploy", True, False)],
)
def test_neither_the_bot_itself_nor_other_commands_break_it(command: str, *, itself: bool, allowed: bool) -> None:
    person = Person(1, "dia")
    question = PolicyQuestion(
        person=person,
        action=Action.DEPLOY,
        command=command,
        app="shop",
        environment="production",
        grants=(Grant(1, Role.ADMIN),),
        people=(person,),
        wanted=WantedAction(count=1),
        glass=True,
        itself=itself,
    )
    assert decide(question).allowed is allowed
    assert decide(replace(question, glass=False)).allowed


async def test_direct_messages_go_to_chats_that_are_there(town: Town) -> None:
    ben = Identity("telegram", "1001")
    assert town.shop.settings.direct_place(ben) is None
    settings = town.shop.settings.model_copy(update={"telegram": Telegram(token=Secret(env="T"))})
    assert settings.direct_place(ben) == Place("telegram", "1001", private=True)
    assert settings.direct_place(Identity("slack", "U1", "T1")) is None
    assert settings.direct_place(Identity("console", "1001")) is None
