"""Requests: what their card shows, who may approve them, and what needs an approval."""

from __future__ import annotations

import asyncio
import re
from pathlib import Path

import pytest

from deploybot.card import Line, Tone
from deploybot.domain import Changes, Commit, Identity, Running, State
from tests.approvals.conftest import lay_v1, open_approval_bot
from tests.kit.bot import V1, V2, V3, BotUnderTest


async def test_nothing_is_done_until_somebody_else_approves(bot: BotUnderTest) -> None:
    number = await bot.ask()
    assert (await bot.deployment(number)).awaits_approval
    assert not bot.hosts["web1"].started
    card = await bot.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == (f"#{number} is approved.", True)
    ended = await bot.end_of(number)
    assert (ended.state, ended.approved > 0) == (State.SUCCEEDED, True)
    assert bot.current() == {V2.id}
    assert "approved 1 of 1: ben" in (await bot.card(number)).footer


async def test_the_card_says_all_that_an_approver_has_to_know(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    commits = tuple(Commit(sha * 40, author, "Change it", 0.0) for sha, author in (("a", "Ada"), ("b", "Bob")))
    changes = Changes(commits=commits, total=2, files=3, warnings=("migrations/1.sql",))
    bot.refs.between[V1.id, V2.id] = changes
    number = await bot.ask()
    card = await bot.card(number)
    lines = {line.name: line.text for line in card.details}
    assert card.title == f"#{number} shop/production: v1 → v2 · waiting for 1 approval"
    assert card.tone is Tone.ASK
    assert lines["release"] == f"v2, {V2.id}"
    assert lines["web1"] == (
        "replaces v1 (1111111111): fetch (at most 15 min) → switch (at most 15 min) → "
        "health: http http://127.0.0.1:8000/healthz within 2.0 s; if it fails: restore"
    )
    assert lines["bbbbbbbbbb"] == "Change it — Bob"
    assert lines["aaaaaaaaaa"] == "Change it — Ada"
    assert re.fullmatch(r"approved 0 of 1 · expires 12:\d\d UTC · an approver other than ana", card.footer)
    assert card.text.split("\n") == [
        "ana asks: because it is time",
        "! touches migrations/1.sql",
        "2 commits, 3 files changed",
        "  Change it",
    ]
    assert card.lines == (Line("web1, web2", "fetch, switch, health"),)
    assert [(one.label, one.command, one.asks) for one in card.buttons] == [
        ("Approve", f"approve #{number}", ""),
        ("Reject", f"reject #{number}", "Why?"),
        ("Cancel", f"cancel #{number}", ""),
    ]


async def test_many_authors_are_counted(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    commits = tuple(Commit(f"{n:040x}", f"P{n}", "x", 0.0) for n in range(12))
    bot.refs.between[V1.id, V2.id] = Changes(commits=commits, total=12)
    lines = {line.name: line.text for line in (await bot.card(await bot.ask())).details}
    assert lines["authors"].endswith("P9 and 2 more")


async def test_a_known_host_has_a_page_to_compare(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        bot.settings.apps["shop"].__dict__["repo"] = "git@github.com:acme/shop.git"
        await lay_v1(bot)
        request = await bot.request_of(await bot.ask())
        assert request.compare == f"https://github.com/acme/shop/compare/{V1.id}...{V2.id}"
        assert ("compare", request.compare) in {
            (line.name, line.text) for line in (await bot.card(request.deployment)).details
        }


async def test_nobody_approves_their_own_wish_from_any_account(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production", "dia")
    for platform in ("console", "slack", "telegram"):
        card = await bot.say(f"approve #{number}", "dia", platform=platform)
        assert card.title == "You can't approve your own request: someone else must approve it."
        assert card.hint == "Allowed: ben, cem."
    assert (await bot.deployment(number)).awaits_approval


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("eve", "`approve` needs the role approver on shop/production; you are deployer there."),
        ("fay", "There is no deployment #1."),
    ],
)
async def test_who_has_not_the_role_cannot_approve(bot: BotUnderTest, who: str, why: str) -> None:
    number = await bot.ask()
    for word in (f"approve #{number}", f"reject #{number} because no"):
        assert (await bot.say(word, who)).title.startswith(why.replace("approve", word.split()[0], 1))
    assert (await bot.deployment(number)).awaits_approval


async def test_n_approvals_are_of_n_different_people(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=3) as bot:
        number = await bot.ask()
        assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} has 1 of 3 approvals now."
        again = await bot.say(f"approve #{number}", "ben", platform="telegram")
        assert again.title == "You already approved it."
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has 2 of 3 approvals now."
        assert (await bot.deployment(number)).awaits_approval
        assert (await bot.say(f"approve #{number}", "dia")).title == f"#{number} is approved."
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_only_those_who_are_named_can(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvers=["@cem", "@eve"]) as bot:
        number = await bot.ask()
        for who in ("ben", "dia"):
            card = await bot.say(f"approve #{number}", who)
            assert card.title == "shop/production needs 1 approval by @cem or @eve: yours does not count."
            assert card.hint == "Allowed: cem."
        # A name in bot.toml is no role: that is the database's to say.
        card = await bot.say(f"approve #{number}", "eve")
        assert "needs the role approver" in card.title
        assert (await bot.say(f"approve #{number}", "cem")).ok


async def test_a_role_can_be_asked_for(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvers="admin") as bot:
        number = await bot.ask()
        card = await bot.say(f"approve #{number}", "ben")
        assert card.title == "shop/production needs 1 approval by an admin: yours does not count."
        assert (await bot.say(f"approve #{number}", "dia")).ok


async def test_a_role_taken_away_between_request_and_click_counts(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say("deny @ben on shop", "dia")
    card = await bot.say(f"approve #{number}", "ben")
    assert card.title == f"There is no deployment #{number}."
    assert (await bot.deployment(number)).awaits_approval


async def test_it_waits_for_another_approval_where_one_does_not_count_any_more(bot: BotUnderTest) -> None:
    number = await bot.ask()
    async with bot.busy():
        await bot.say(f"approve #{number}", "ben")
        await bot.say("deny @ben", "dia")
    await bot.until(number, lambda deployment: deployment.awaits_approval)
    card = await bot.card(number)
    assert card.footer.startswith("approved 0 of 1 · ")
    assert "! ben's approval no longer counts" in card.text
    assert "deploy lacks approvals" in [row.action for row in await bot.audit()]
    await bot.say(f"approve #{number}", "cem")
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_who_asked_may_lose_the_right_too(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say("deny @ana", "dia")
    await bot.say(f"approve #{number}", "ben")
    ended = await bot.end_of(number)
    assert ended.state is State.FAILED
    assert ended.outcome == (
        "`deploy` needs the role deployer on shop/production; you have no role there. Nothing was done."
    )
    assert not bot.hosts["web1"].started


async def test_somebody_elses_lock_holds_what_is_approved(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say("lock shop production because I look at it", "ben")
    await bot.say(f"approve #{number}", "ben")
    ended = await bot.end_of(number)
    assert ended.state is State.FAILED
    assert "is locked by ben" in ended.outcome


async def test_a_task_wants_approvals_and_a_restart_does_not(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask("run shop migrate production because of the new table")
    assert {line.name: line.text for line in (await bot.card(number)).details}["web1"] == (
        "v1 (1111111111) stays: migrate (at most 15 min)"
    )
    bot.settings.apps["shop"].tasks["migrate"] = "./migrate --all"
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == 'config: apps.shop.tasks.migrate was "./migrate", now "./migrate --all"'
    assert card.buttons[0].command == "run shop migrate production because of the new table"
    number = await bot.ask("run shop migrate production")
    await bot.say(f"approve #{number}", "ben")
    assert (await bot.end_of(number)).state is State.SUCCEEDED
    restarted = await bot.ask("restart shop production")
    assert (await bot.end_of(restarted)).state is State.SUCCEEDED


async def test_a_rollback_wants_approvals(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask("deploy shop@v2 to production")
    await bot.say(f"approve #{number}", "ben")
    await bot.end_of(number)
    back = await bot.ask("rollback shop from production")
    bot.refs.known |= {"v1": V3.id, "v1.0": V1.id}
    assert (await bot.request_of(back)).binding.ref is None
    bot.clock.advance(5 * 3600.0)
    await bot.end_of(back)
    again = (await bot.card(back)).buttons[0].command
    assert again == f"rollback shop from production to {V1.id}"
    back = await bot.ask(again)
    assert (await bot.say(f"approve #{back}", "ben")).ok
    assert (await bot.end_of(back)).plan.release.id == V1.id


async def test_after_staging(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, after="staging") as bot:
        card = await bot.say("deploy shop@v2 to production")
        assert card.title == "v2 (2222222222) must be healthy in staging first. There now: web1: nothing."
        staging = await bot.ask("deploy shop@v1 to staging")
        await bot.end_of(staging)
        card = await bot.say("deploy shop@v2 to production")
        assert card.title.endswith("There now: web1: v1 (1111111111).")
        number = await bot.ask("deploy shop@v1 to production")
        v2_there = Running("shop", "staging", "web1", V2, staging, bot.clock.now(), healthy=True)
        await bot.store.write(lambda tables: tables.running.put(v2_there))
        await bot.say(f"approve #{number}", "ben")
        ended = await bot.end_of(number)
        assert ended.state is State.FAILED
        assert "must be healthy in staging first. There now: web1: v2 (2222222222)" in ended.outcome


async def test_a_rollback_to_what_ran_well_does_not_ask_staging(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=0, after="staging") as bot:
        for ref in ("v1", "v2"):
            await bot.end_of(await bot.ask(f"deploy shop@{ref} to staging"))
            await bot.end_of(await bot.ask(f"deploy shop@{ref} to production"))
        card = await bot.say("deploy shop@v1 to production")
        assert "must be healthy in staging first" in card.title
        back = await bot.ask("rollback shop from production")
        assert (await bot.end_of(back)).state is State.SUCCEEDED


async def test_decisions_are_in_the_audit_with_their_card(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say(f"approve #{number}", "ben")
    await bot.end_of(number)
    rows = [(row.actor, row.action, row.subject) for row in await bot.audit()]
    place = f"#{number} shop/production"
    assert ("ana", "deploy asked", place) in rows
    assert ("ben", "approve", place) in rows
    binding = (await bot.request_of(number)).binding.digest[:12]
    details = [row.detail for row in await bot.audit() if row.action in {"deploy asked", "approve"}]
    assert all(f"bound to {binding}" in detail for detail in details)


async def test_a_production_that_wants_approvals_is_never_meant_without_its_name(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        card = await bot.say("deploy shop@v2")
        assert card.title == "Which environment of shop do you mean: production, staging?"


async def test_the_card_does_not_go_on_to_count_whose_role_is_gone(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2) as bot:
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        await bot.say("deny @ben on shop", "dia")
        async with asyncio.timeout(20):
            while "waiting for 2 approvals" not in (await bot.card(number)).title:  # noqa: ASYNC110 - a row, without an event
                await asyncio.sleep(0.001)
        await bot.say("allow @ben approver on shop", "dia")
        assert not (await bot.say(f"approve #{number}", "ben")).ok, "what is given now does not count for it"
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has 1 of 2 approvals now."


async def test_a_request_that_too_few_could_approve_says_so(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=3, approvers=["@ben", "@cem", "@eve"]) as bot:
        note = "too few people can approve it now (ben, cem): give the role with `allow`"
        assert f"! {note}" in (await bot.card(await bot.ask())).text
    (tmp_path / "other").mkdir()
    async with open_approval_bot(tmp_path / "other", approvers=["@zoe"]) as bot:
        note = "too few people can approve it now (no one): give the role with `allow`"
        assert f"! {note}" in (await bot.card(await bot.ask())).text


async def test_a_dry_run_reports_what_it_would_want_and_asks_nobody(bot: BotUnderTest) -> None:
    card = await bot.say("deploy shop@v2 to production --dry-run")
    assert card.footer.endswith(", after 1 approval by an approver, nothing was done")
    assert await bot.store.read(lambda tables: tables.deployments.open()) == ()


async def test_the_card_reports_when_it_would_begin(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production --at 09:00")
    card = await bot.card(number)
    assert "starts no earlier than 2027-01-15 09:00 UTC" in card.text
    lines = {line.name: line.text for line in card.details}
    assert lines["begins"] == "not before 2027-01-15 09:00 UTC"


async def test_of_what_has_ended_it_is_said_how_and_not_who_may(bot: BotUnderTest) -> None:
    number = await bot.ask()
    assert (await bot.say(f"approve #{number}", "ben")).ok
    await bot.end_of(number)
    for who in ("ben", "cem"):
        card = await bot.say(f"approve #{number}", who)
        assert card.title == f"#{number} has already ended: succeeded."
    assert (await bot.say(f"approve #{number}", "eve")).private


async def test_what_waits_for_approvals_is_proposed_at_the_console(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask()
    complete = bot.dispatcher.complete
    assert await complete(bot.identity("ben"), "approve ") == (0, (f"#{number}",))
    assert await complete(bot.identity("ana"), "rollback shop from production to #") == (1, ("#1",))
    assert await complete(Identity("console", "31337"), "approve ") == (0, ())
