"""Requests: asked, shown, approved, rejected, void, expired, and the same after a restart."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from pathlib import Path

import pytest

from deploybot.card import Line, Tone
from deploybot.domain import Approval, Changes, Commit, Identity, RequestVerdict, Running, State
from deploybot.ports import Tables
from deploybot.testing import Outcome
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import V1, V2, V3, BotUnderTest, shop_settings

HOUR = 3600.0


async def lay_v1(bot: BotUnderTest) -> None:
    """Have v1 run in production."""
    number = await bot.ask("deploy shop@v1 to production")
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


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
        assert card.hint == "Who may: ben, cem."
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
            assert card.hint == "Who may: cem."
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


async def test_a_branch_that_moved_makes_it_void(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@main to production because new cart")
    bot.refs.known["main"] = V3.id
    card = await bot.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == (f"#{number} is void, and was not deployed.", False)
    assert card.text == "release: `main` was 2222222222 and is 3333333333"
    assert [one.command for one in card.buttons] == ["deploy shop@main to production/web1,web2 because new cart"]
    ended = await bot.end_of(number)
    assert ended.outcome == ("Void: release: `main` was 2222222222 and is 3333333333. Nothing was deployed.")
    shown = await bot.card(number)
    assert shown.title.endswith("· void")
    assert shown.buttons == card.buttons
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has already ended: void."
    assert (await bot.say(f"cancel #{number}", "cem")).title == f"#{number} has already ended: void."
    table = (await bot.say("history shop production", "cem")).table
    assert table
    assert next(row for row in table.rows if row[0] == str(number))[-2:] == ("void", "")
    assert "took" not in shown.footer
    new = await bot.ask(card.buttons[0].command)
    assert (await bot.say(f"approve #{new}", "ben")).ok
    assert (await bot.end_of(new)).plan.release.id == V3.id


async def test_a_ref_that_is_gone_makes_it_void(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@main to production")
    del bot.refs.known["main"]
    assert (await bot.say(f"approve #{number}", "ben")).text == "release: `main` was 2222222222 and is gone"


async def test_the_newest_of_the_branch_may_move_too(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop to production")
    bot.refs.known = {"main": V3.id}
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "release: the newest of the branch was 1111111111 and is 3333333333"
    assert card.buttons[0].command == "deploy shop to production/web1,web2"


async def test_a_commit_that_was_named_by_a_number_cannot_move(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask("deploy shop@#1 to production")
    bot.refs.known["v1"] = V3.id
    assert (await bot.say(f"approve #{number}", "ben")).ok
    assert (await bot.end_of(number)).plan.release.id == V1.id


async def test_what_runs_there_is_part_of_it(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask()
    host = bot.hosts["web1"]
    host.server_facts = dataclasses.replace(host.server_facts, current=V3.id)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "what it replaces: web1 was 1111111111 and is 3333333333"
    assert bot.current() == {V1.id, V3.id}


async def test_steps_are_part_of_it(bot: BotUnderTest) -> None:
    """The files of what it replaces are gone: it could not be put back any more."""
    await lay_v1(bot)
    number = await bot.ask()
    host = bot.hosts["web2"]
    host.server_facts = dataclasses.replace(host.server_facts, releases=())
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "\n".join(f"steps: {name} would run other steps than those shown" for name in ("web1", "web2"))


async def test_bot_toml_is_part_of_it(bot: BotUnderTest) -> None:
    number = await bot.ask()
    settings = shop_settings(bot.settings.bot.data, approvals=1)
    settings.apps["shop"].__dict__["restart"] = "./restart --hard"
    await bot.restart(settings)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == 'config: apps.shop.restart was "./restart" and is "./restart --hard"'


async def test_a_place_that_bot_toml_has_no_more(bot: BotUnderTest) -> None:
    number = await bot.ask()
    settings = shop_settings(bot.settings.bot.data, approvals=1)
    del settings.apps["shop"].environments["production"]
    await bot.restart(settings)
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == "config: bot.toml no longer has shop production"


async def test_a_server_that_went_from_bot_toml_is_reported_as_that(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production/web2")
    settings = shop_settings(bot.settings.bot.data, approvals=1, servers=["web1"])
    await bot.restart(settings)
    card = await bot.say(f"approve #{number}", "ben")
    assert 'config: apps.shop.environments.production.servers was ["web1", "web2"] and is ["web1"]' in card.text


async def test_what_cannot_be_known_now_is_not_approved(bot: BotUnderTest) -> None:
    number = await bot.ask()
    bot.hosts["web1"].down = "no answer in 10 s"
    card = await bot.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == ("web1 cannot be reached: no answer in 10 s.", False)
    assert "! ben: web1 cannot be reached: no answer in 10 s (08:" in (await bot.card(number)).text
    bot.hosts["web1"].down = ""
    assert (await bot.say(f"approve #{number}", "ben")).ok


async def test_what_changes_while_it_waits_for_its_turn_makes_it_void(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask("deploy shop@main to production")
        await bot.say(f"approve #{number}", "ben")
        bot.refs.known["main"] = V3.id
    ended = await bot.end_of(number)
    assert (ended.state, (await bot.request_of(number)).verdict) == (State.CANCELLED, RequestVerdict.VOID)
    assert bot.current() == {""}


async def test_a_rejection_reports_why(bot: BotUnderTest) -> None:
    number = await bot.ask()
    usage = await bot.say(f"reject #{number}", "ben")
    assert usage.title == f"`reject #{number}` needs a reason."
    card = await bot.say(f"reject #{number} because the migration is not reviewed", "ben")
    assert card.title == f"#{number} (shop/production: v2 · first deployment) is rejected."
    ended = await bot.end_of(number)
    assert ended.outcome == "Rejected by ben: the migration is not reviewed. Nothing was deployed."
    shown = await bot.card(number)
    assert (shown.title.endswith("· rejected"), shown.buttons) == (True, ())
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} has already ended: rejected."


async def test_what_is_approved_can_be_rejected_until_it_begins(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        assert [one.label for one in (await bot.card(number)).buttons] == ["Reject", "Cancel"]
        assert (await bot.say(f"reject #{number} because I was wrong", "ben")).ok
    assert (await bot.end_of(number)).state is State.CANCELLED
    assert not bot.hosts["web1"].started


async def test_it_is_cancelled_by_who_asked(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.say(f"cancel #{number}", "ana")
    assert (await bot.end_of(number)).outcome == "Cancelled by ana. It had not started."
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} has already ended: cancelled."


@pytest.mark.parametrize("word", ["approve #{}", "reject #{} because no"])
async def test_what_needs_none_and_what_has_begun(bot: BotUnderTest, word: str) -> None:
    staging = await bot.ask("deploy shop@v1 to staging")
    await bot.end_of(staging)
    assert (await bot.say(word.format(staging), "ben")).title == f"#{staging} needs no approval."
    assert (await bot.say(word.format(99), "ben")).title == "There is no deployment #99."
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    number = await bot.ask()
    await bot.say(f"approve #{number}", "ben")
    await bot.started(number, "fetch")
    card = await bot.say(word.format(number), "cem")
    assert (card.title, card.hint) == (f"#{number} has already started.", f"`cancel #{number}` stops it.")


async def test_the_second_of_two_learns_that_it_is_approved(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is already approved, by ben."


async def test_reminded_and_expired(bot: BotUnderTest) -> None:
    number = await bot.ask()
    bot.clock.advance(3.5 * HOUR)
    async with asyncio.timeout(20):
        while not (await bot.request_of(number)).reminded:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now(), 100))
    reminder = next(item.card for item in items if item.key == f"reminder:{number}")
    assert reminder.title == f"#{number} shop/production: v2 · first deployment · still waiting for 1 approval"
    assert [one.label for one in reminder.buttons] == ["Approve", "Reject"]
    bot.clock.advance(HOUR)
    ended = await bot.end_of(number)
    assert ended.outcome == "It expired after 4 h with none of the 1 approvals it needs. Nothing was deployed."
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now(), 100))
    reminder = next(item.card for item in items if item.key == f"reminder:{number}")
    assert (reminder.title.endswith("· expired"), reminder.final, reminder.buttons) == (True, True, ())
    assert [one.label for one in (await bot.card(number)).buttons] == ["Ask again"]


async def test_expired_in_the_moment_of_the_click(bot: BotUnderTest) -> None:
    bot.wait(clock_check=1000.0)
    number = await bot.ask()
    for _ in range(5):
        await bot.deployment(number)  # in line behind the waiting task's look at the time
    bot.clock.advance(5 * HOUR)
    assert (await bot.say(f"approve #{number}", "ben")).title.startswith(f"#{number} expired at 2027-")


async def test_a_time_of_day_is_when_the_approvals_have_to_be_there(bot: BotUnderTest) -> None:
    number = await bot.ask("deploy shop@v2 to production --at 09:00")
    request = await bot.request_of(number)
    assert request.expires == (await bot.deployment(number)).not_before
    bot.clock.advance(2 * HOUR)
    ended = await bot.end_of(number)
    assert ended.outcome.startswith("It was scheduled for 2027-01-15 09:00 UTC")


async def test_approved_before_its_time_it_begins_then(bot: BotUnderTest) -> None:
    bot.wait(clock_check=0.001)
    number = await bot.ask("deploy shop@v2 to production --at 09:00")
    await bot.say(f"approve #{number}", "ben")
    assert (await bot.deployment(number)).state is State.WAITING
    bot.clock.advance(HOUR)
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_waits_for_approvals_is_in_nobodys_way(bot: BotUnderTest) -> None:
    first = await bot.ask("deploy shop@v1 to production")
    second = await bot.ask("deploy shop@v2 to production", "eve")
    await bot.say(f"approve #{second}", "ben")
    assert (await bot.end_of(second)).state is State.SUCCEEDED
    card = await bot.say(f"approve #{first}", "ben")
    assert card.text == "\n".join(
        f"what it replaces: {name} was nothing and is 2222222222" for name in ("web1", "web2")
    )


async def test_a_task_wants_approvals_and_a_restart_does_not(bot: BotUnderTest) -> None:
    await lay_v1(bot)
    number = await bot.ask("run shop migrate production because of the new table")
    assert {line.name: line.text for line in (await bot.card(number)).details}["web1"] == (
        "v1 (1111111111) stays: migrate (at most 15 min)"
    )
    bot.settings.apps["shop"].tasks["migrate"] = "./migrate --all"
    card = await bot.say(f"approve #{number}", "ben")
    assert card.text == 'config: apps.shop.tasks.migrate was "./migrate" and is "./migrate --all"'
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
    bot.clock.advance(5 * HOUR)
    await bot.end_of(back)
    again = (await bot.card(back)).buttons[0].command
    assert again == f"rollback shop from production to {V1.id}"
    back = await bot.ask(again)
    assert (await bot.say(f"approve #{back}", "ben")).ok
    assert (await bot.end_of(back)).plan.release.id == V1.id


async def test_after_a_restart_it_waits_as_before(bot: BotUnderTest) -> None:
    number = await bot.ask()
    await bot.restart()
    assert "! deploybot restarted; press again if your answer is missing here (08:" in (await bot.card(number)).text
    assert (await bot.say(f"approve #{number}", "ben")).ok
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_after_a_restart_more_can_be_asked_for_and_never_less(bot: BotUnderTest) -> None:
    number = await bot.ask()
    data = bot.settings.bot.data
    await bot.restart(shop_settings(data, approvals=2))
    assert (await bot.say(f"approve #{number}", "ben")).title == f"#{number} has 1 of 2 approvals now."
    await bot.restart(shop_settings(data, approvals=1))
    assert (await bot.request_of(number)).wanted == 2
    await bot.restart(shop_settings(data))
    assert (await bot.say(f"approve #{number}", "ben")).title == "You already approved it."
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_is_approved_waits_again_where_more_is_wanted_after_a_restart(bot: BotUnderTest) -> None:
    async with bot.busy():
        number = await bot.ask()
        await bot.say(f"approve #{number}", "ben")
        await bot.restart(shop_settings(bot.settings.bot.data, approvals=2))
    await bot.until(number, lambda deployment: deployment.awaits_approval)
    card = await bot.card(number)
    assert card.title.endswith("waiting for 1 approval")
    assert card.footer.startswith("approved 1 of 2: ben · ")
    assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_was_asked_for_before_approvals_were_wanted_has_to_be_asked_again(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=0) as bot:
        bot.hosts["web1"].script("fetch", Outcome(hold=True))
        first = await bot.ask("deploy shop@v1 to production")
        await bot.started(first, "fetch")
        second = await bot.ask("deploy shop@v2 to production")
        await bot.restart(shop_settings(bot.settings.bot.data, approvals=1))
        bot.hosts["web1"].finish(await bot.started(first, "fetch"))
        ended = await bot.end_of(second)
        assert ended.outcome == (
            "It was requested before shop/production needed 1 approval by an approver: request it again. "
            "Nothing was done."
        )


@pytest.mark.parametrize("approved", [True, False])
async def test_one_that_had_begun_without_a_step_is_looked_at_again(bot: BotUnderTest, *, approved: bool) -> None:
    """The bot died right after the row said that it runs; meanwhile the branch moved."""
    number = await bot.ask("deploy shop@main to production")
    await bot.deployments.queue.close()
    now = bot.clock.now()

    def begin(tables: Tables) -> None:
        if approved:
            tables.requests.approve(number, Approval(bot.people["ben"].id, "ben", now))
        tables.deployments.approve(number, now)
        tables.deployments.move(number, State.RUNNING, now=now)

    await bot.store.write(begin)
    bot.refs.known["main"] = V3.id
    await bot.restart()
    ended = await bot.end_of(number)
    assert bot.current() == {""}
    if approved:
        assert (ended.state, (await bot.request_of(number)).verdict) == (State.CANCELLED, RequestVerdict.VOID)
    else:
        assert ended.state is State.FAILED
        assert ended.outcome.startswith("It needs 1 approval by an approver, other than the requester; it has none.")


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
            while "waiting for 2 approvals" not in (await bot.card(number)).title:  # noqa: ASYNC110 - nobody tells it
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
