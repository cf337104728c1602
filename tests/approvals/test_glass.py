"""Break glass: what it passes and what it does not, what it takes, and who hears of it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.access import identity_text
from deploybot.card import Card, Tone
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.domain import Action, Channel, Grant, Identity, Person, Role, State
from deploybot.metrics import METRICS
from deploybot.policy import PolicyQuestion, WantedAction, decide
from deploybot.ports import Tables
from deploybot.settings import Secret
from tests.approvals.conftest import open_approval_bot
from tests.approvals.test_codes import WRONG, code, enrol
from tests.kit.bot import BotUnderTest

BREAK = "deploy shop@v2 to production --break-glass"
DOWN = " because the shop is down"


async def promote(bot: BotUnderTest, *names: str) -> None:
    """Make more admins of production."""

    def grant(tables: Tables) -> None:
        for name in names:
            tables.people.grant(bot.people[name].id, Role.ADMIN, "shop", "production")

    await bot.store.write(grant)


async def said(bot: BotUnderTest) -> list[tuple[Channel, Card]]:
    """All alarms that were queued."""
    rows = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1))
    return [(row.channel, row.card) for row in rows if "used break glass" in row.card.title]


def counted() -> float:
    return METRICS.broken_glass.values.get(("shop", "production"), 0.0)


async def test_it_passes_approvals_the_order_of_environments_and_locks(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2, after="staging") as bot:
        await promote(bot, "ben", "cem")
        assert (await bot.say("lock shop production because I measure", "cem")).ok
        assert not (await bot.say("deploy shop@v2 to production because of it", "dia")).ok
        before = counted()
        number = await bot.ask(BREAK + DOWN, "dia")
        ended = await bot.end_of(number)
        assert (ended.state, ended.glass) == (State.SUCCEEDED, "lock, approvals, after")
        assert counted() == before + 1
        card = await bot.card(number)
        assert "(break glass)" in card.title
        assert ("break glass", "by dia, bypasses: lock, approvals, after") in [
            (one.name, one.text) for one in card.lines
        ]
        (row,) = [one for one in await bot.audit() if one.action == "break glass"]
        assert (row.actor, row.subject) == ("dia", f"#{number} shop/production")
        assert row.detail == "bypassed lock, approvals, after, because the shop is down; notified ben, cem"


@pytest.mark.parametrize(("seconds", "woken"), [(3600.0, {"ben"}), (-1.0, set())])
async def test_an_admin_for_some_time_is_woken_while_it_lasts(
    bot: BotUnderTest, seconds: float, woken: set[str]
) -> None:
    until = bot.clock.now() + seconds
    ben = bot.people["ben"].id
    await bot.store.write(lambda tables: tables.people.grant(ben, Role.ADMIN, "shop", "production", until=until))
    await bot.ask(BREAK + DOWN, "dia")
    assert {one.name for _, card in await said(bot) for one in card.wakes} == woken


async def test_all_other_admins_of_the_target_are_woken(bot: BotUnderTest) -> None:
    await promote(bot, "ben")
    number = await bot.ask(BREAK + DOWN, "dia")
    alarms = await said(bot)
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
    await bot.end_of(number)
    assert len(await said(bot)) == len(alarms), "edits wake nobody, and it is said once"


async def test_an_admin_who_is_alone_learns_that(bot: BotUnderTest) -> None:
    number = await bot.ask(BREAK + DOWN, "dia")
    assert "Admins notified: none: there is no other admin." in (await said(bot))[0][1].text
    (row,) = [one for one in await bot.audit() if one.action == "break glass"]
    assert row.subject == f"#{number} shop/production"
    assert row.detail.endswith("; notified no one")


async def test_only_admins_of_the_target_are_woken_and_all_of_them_are_named(bot: BotUnderTest) -> None:
    await promote(bot, "ben", "cem")

    def elsewhere(tables: Tables) -> None:
        tables.people.grant(bot.people["eve"].id, Role.ADMIN, "blog")
        tables.people.grant(bot.people["fay"].id, Role.ADMIN, "shop", "staging")

    await bot.store.write(elsewhere)
    await bot.ask(BREAK + DOWN, "dia")
    (_, card), *_ = await said(bot)
    assert card.tone is Tone.BAD
    assert "Admins notified: ben, cem." in card.text
    assert {one.name for one in card.wakes} == {"ben", "cem"}


@pytest.mark.parametrize("who", ["ana", "ben", "cem", "eve"])
async def test_only_admins_of_the_target_may(bot: BotUnderTest, who: str) -> None:
    card = await bot.say(BREAK + DOWN, who)
    assert not card.ok
    assert "Only an admin of shop/production can use break glass." in card.title
    assert card.hint == "Allowed: dia."
    assert not await said(bot)


async def test_it_needs_a_reason_and_is_for_now(bot: BotUnderTest) -> None:
    why = await bot.say(BREAK, "dia")
    assert (why.title, why.hint) == (f"`{BREAK}` needs a reason.", f"Type it: `{BREAK} because …`.")
    assert [(one.command, one.asks) for one in why.buttons] == [(BREAK, "Why?")]
    assert (
        await bot.say(f"{BREAK} --at 18:00{DOWN}", "dia")
    ).title == "A break-glass deployment starts now, so it cannot be scheduled."
    assert not await said(bot)


async def test_who_has_enrolled_adds_a_code_that_works_once(bot: BotUnderTest) -> None:
    secret = await enrol(bot, "dia")
    missing = await bot.say(BREAK + DOWN, "dia")
    assert (missing.title, missing.hint) == (
        "Break glass needs a one-time code from your phone.",
        "Add `code 123456`.",
    )
    assert (await bot.say(f"{BREAK} code {code(bot, secret, 9)}{DOWN}", "dia")).title == WRONG
    assert [row.subject for row in await bot.audit() if row.action == "wrong code"] == ["break glass"]
    right = code(bot, secret)
    number = await bot.ask(f"{BREAK} code {right}{DOWN}", "dia")
    assert (await bot.end_of(number)).state is State.SUCCEEDED
    assert (await bot.say(f"{BREAK} code {right}{DOWN}", "dia")).title == WRONG
    assert len(await said(bot)) == len({channel for channel, _ in await said(bot)})
    assert right not in "".join(one.detail for one in await bot.audit())


async def test_a_dry_run_shows_the_plan_and_wakes_nobody(bot: BotUnderTest) -> None:
    card = await bot.say(f"{BREAK} --dry-run", "dia")
    assert card.title.startswith("shop/production: v2")
    assert "approval" not in card.footer
    assert not await said(bot)


async def test_a_rollback_may_break_it_and_a_deployment_without_need_says_so(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=0) as bot:
        first = await bot.ask("deploy shop@v1 to production --break-glass" + DOWN, "dia")
        assert (await bot.end_of(first)).glass == "nothing"
        await bot.end_of(await bot.ask("deploy shop@v2 to production"))
        assert (await bot.say("lock shop production because I measure", "eve")).ok
        number = await bot.ask("rollback shop from production --break-glass" + DOWN, "dia")
        ended = await bot.end_of(number)
        assert (ended.state, ended.glass) == (State.SUCCEEDED, "lock")


async def test_an_admin_who_is_none_any_more_when_it_begins_has_broken_nothing(bot: BotUnderTest) -> None:
    await promote(bot, "ben")
    async with bot.busy():
        number = await bot.ask(BREAK + DOWN, "ben")
        await bot.store.write(lambda tables: tables.people.revoke(bot.people["ben"].id, "shop", "production"))
    ended = await bot.end_of(number)
    assert ended.state is State.FAILED
    assert "Only an admin of shop/production can use break glass" in ended.outcome
    assert bot.current() == {""}


async def test_it_lasts_over_a_restart_of_the_bot(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask(BREAK + DOWN, "dia")
        await bot.deployments.queue.close()
    await bot.restart()
    ended = await bot.end_of(number)
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


async def test_direct_messages_go_to_chats_that_are_there(bot: BotUnderTest) -> None:
    ben = Identity("telegram", "1001")
    assert bot.settings.direct_channel(ben) is None
    settings = bot.settings.model_copy(update={"telegram": Telegram(token=Secret(env="T"))})
    assert settings.direct_channel(ben) == Channel("telegram", "1001", private=True)
    assert settings.direct_channel(Identity("slack", "U1", "T1")) is None
    assert settings.direct_channel(Identity("console", "1001")) is None
