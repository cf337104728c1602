"""Requests: asked, shown, approved, rejected, void, expired, and the same after a restart."""

from __future__ import annotations

import asyncio
import dataclasses
import re
from collections.abc import Coroutine
from pathlib import Path

import pytest

from deploybot.card import Line, Tone
from deploybot.deployments.cancellation import CancellationWatch
from deploybot.domain import Approval, Changes, Commit, Identity, RequestVerdict, Running, State
from deploybot.ports import Tables
from deploybot.testing import Outcome
from tests.approvals.conftest import Town, make_town
from tests.deployments.conftest import V1, V2, V3, settings_of

HOUR = 3600.0


async def lay_v1(town: Town) -> None:
    """Have v1 run in production."""
    number = await town.ask("deploy shop@v1 to production")
    assert (await town.say(f"approve #{number}", "ben")).title == f"#{number} is approved."
    assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_nothing_is_done_until_somebody_else_approves(town: Town) -> None:
    number = await town.ask()
    assert (await town.deployment(number)).awaits_approval
    assert not town.shop.hosts["web1"].started
    card = await town.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == (f"#{number} is approved.", True)
    ended = await town.end_of(number)
    assert (ended.state, ended.approved > 0) == (State.SUCCEEDED, True)
    assert town.running() == {V2.id}
    assert "approved 1 of 1: ben" in (await town.card(number)).footer


async def test_the_card_says_all_that_an_approver_has_to_know(town: Town) -> None:
    await lay_v1(town)
    commits = tuple(Commit(sha * 40, author, "Change it", 0.0) for sha, author in (("a", "Ada"), ("b", "Bob")))
    changes = Changes(commits=commits, total=2, files=3, warnings=("migrations/1.sql",))
    town.shop.refs.between[V1.id, V2.id] = changes
    number = await town.ask()
    card = await town.card(number)
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


async def test_many_authors_are_counted(town: Town) -> None:
    await lay_v1(town)
    commits = tuple(Commit(f"{n:040x}", f"P{n}", "x", 0.0) for n in range(12))
    town.shop.refs.between[V1.id, V2.id] = Changes(commits=commits, total=12)
    lines = {line.name: line.text for line in (await town.card(await town.ask())).details}
    assert lines["authors"].endswith("P9 and 2 more")


async def test_a_known_host_has_a_page_to_compare(tmp_path: Path) -> None:
    async with make_town(tmp_path) as town:
        town.shop.settings.apps["shop"].__dict__["repo"] = "git@github.com:acme/shop.git"
        await lay_v1(town)
        request = await town.request(await town.ask())
        assert request.compare == f"https://github.com/acme/shop/compare/{V1.id}...{V2.id}"
        assert ("compare", request.compare) in {
            (line.name, line.text) for line in (await town.card(request.deployment)).details
        }


async def test_nobody_approves_their_own_wish_from_any_account(town: Town) -> None:
    number = await town.ask("deploy shop@v2 to production", "dia")
    for platform in ("console", "slack", "telegram"):
        card = await town.say(f"approve #{number}", "dia", platform=platform)
        assert card.title == "You can't approve your own request: someone else has to approve it."
        assert card.hint == "Who may: ben, cem."
    assert (await town.deployment(number)).awaits_approval


@pytest.mark.parametrize(
    ("who", "why"),
    [
        ("eve", "`approve` needs the role approver on shop/production; you are deployer there."),
        ("fay", "There is no deployment #1."),
    ],
)
async def test_who_has_not_the_role_cannot_approve(town: Town, who: str, why: str) -> None:
    number = await town.ask()
    for word in (f"approve #{number}", f"reject #{number} because no"):
        assert (await town.say(word, who)).title.startswith(why.replace("approve", word.split()[0], 1))
    assert (await town.deployment(number)).awaits_approval


async def test_n_approvals_are_of_n_different_people(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=3) as town:
        number = await town.ask()
        assert (await town.say(f"approve #{number}", "ben")).title == f"#{number} has 1 of 3 approvals now."
        again = await town.say(f"approve #{number}", "ben", platform="telegram")
        assert again.title == "You already approved it."
        assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} has 2 of 3 approvals now."
        assert (await town.deployment(number)).awaits_approval
        assert (await town.say(f"approve #{number}", "dia")).title == f"#{number} is approved."
        assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_only_those_who_are_named_can(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvers=["@cem", "@eve"]) as town:
        number = await town.ask()
        for who in ("ben", "dia"):
            card = await town.say(f"approve #{number}", who)
            assert card.title == "shop/production needs 1 approval by @cem or @eve: yours does not count."
            assert card.hint == "Who may: cem."
        # A name in bot.toml is no role: that is the database's to say.
        card = await town.say(f"approve #{number}", "eve")
        assert "needs the role approver" in card.title
        assert (await town.say(f"approve #{number}", "cem")).ok


async def test_a_role_can_be_asked_for(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvers="admin") as town:
        number = await town.ask()
        card = await town.say(f"approve #{number}", "ben")
        assert card.title == "shop/production needs 1 approval by an admin: yours does not count."
        assert (await town.say(f"approve #{number}", "dia")).ok


async def test_a_role_taken_away_between_request_and_click_counts(town: Town) -> None:
    number = await town.ask()
    await town.say("deny @ben on shop", "dia")
    card = await town.say(f"approve #{number}", "ben")
    assert card.title == f"There is no deployment #{number}."
    assert (await town.deployment(number)).awaits_approval


async def test_it_waits_for_another_approval_where_one_does_not_count_any_more(town: Town) -> None:
    number = await town.ask()
    async with town.busy():
        await town.say(f"approve #{number}", "ben")
        await town.say("deny @ben", "dia")
    await town.until(number, lambda deployment: deployment.awaits_approval)
    card = await town.card(number)
    assert card.footer.startswith("approved 0 of 1 · ")
    assert "! ben's approval no longer counts" in card.text
    assert "deploy lacks approvals" in [row.action for row in await town.audit()]
    await town.say(f"approve #{number}", "cem")
    assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_who_asked_may_lose_the_right_too(town: Town) -> None:
    number = await town.ask()
    await town.say("deny @ana", "dia")
    await town.say(f"approve #{number}", "ben")
    ended = await town.end_of(number)
    assert ended.state is State.FAILED
    assert ended.outcome == (
        "`deploy` needs the role deployer on shop/production; you have no role there. Nothing was done."
    )
    assert not town.shop.hosts["web1"].started


async def test_somebody_elses_lock_holds_what_is_approved(town: Town) -> None:
    number = await town.ask()
    await town.say("lock shop production because I look at it", "ben")
    await town.say(f"approve #{number}", "ben")
    ended = await town.end_of(number)
    assert ended.state is State.FAILED
    assert "is locked by ben" in ended.outcome


async def test_a_branch_that_moved_makes_it_void(town: Town) -> None:
    number = await town.ask("deploy shop@main to production because new cart")
    town.shop.refs.known["main"] = V3.id
    card = await town.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == (f"#{number} is void, and was not deployed.", False)
    assert card.text == "release: `main` was 2222222222 and is 3333333333"
    assert [one.command for one in card.buttons] == ["deploy shop@main to production/web1,web2 because new cart"]
    ended = await town.end_of(number)
    assert ended.outcome == ("Void: release: `main` was 2222222222 and is 3333333333. Nothing was deployed.")
    shown = await town.card(number)
    assert shown.title.endswith("· void")
    assert shown.buttons == card.buttons
    assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} has already ended: void."
    assert (await town.say(f"cancel #{number}", "cem")).title == f"#{number} has already ended: void."
    table = (await town.say("history shop production", "cem")).table
    assert table
    assert next(row for row in table.rows if row[0] == str(number))[-2:] == ("void", "")
    assert "took" not in shown.footer
    new = await town.ask(card.buttons[0].command)
    assert (await town.say(f"approve #{new}", "ben")).ok
    assert (await town.end_of(new)).plan.release.id == V3.id


async def test_a_ref_that_is_gone_makes_it_void(town: Town) -> None:
    number = await town.ask("deploy shop@main to production")
    del town.shop.refs.known["main"]
    assert (await town.say(f"approve #{number}", "ben")).text == "release: `main` was 2222222222 and is gone"


async def test_the_newest_of_the_branch_may_move_too(town: Town) -> None:
    number = await town.ask("deploy shop to production")
    town.shop.refs.known = {"main": V3.id}
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == "release: the newest of the branch was 1111111111 and is 3333333333"
    assert card.buttons[0].command == "deploy shop to production/web1,web2"


async def test_a_commit_that_was_named_by_a_number_cannot_move(town: Town) -> None:
    await lay_v1(town)
    number = await town.ask("deploy shop@#1 to production")
    town.shop.refs.known["v1"] = V3.id
    assert (await town.say(f"approve #{number}", "ben")).ok
    assert (await town.end_of(number)).plan.release.id == V1.id


async def test_what_runs_there_is_part_of_it(town: Town) -> None:
    await lay_v1(town)
    number = await town.ask()
    host = town.shop.hosts["web1"]
    host.server_facts = dataclasses.replace(host.server_facts, current=V3.id)
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == "what it replaces: web1 was 1111111111 and is 3333333333"
    assert town.running() == {V1.id, V3.id}


async def test_steps_are_part_of_it(town: Town) -> None:
    """The files of what it replaces are gone: it could not be put back any more."""
    await lay_v1(town)
    number = await town.ask()
    host = town.shop.hosts["web2"]
    host.server_facts = dataclasses.replace(host.server_facts, releases=())
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == "\n".join(f"steps: {name} would run other steps than those shown" for name in ("web1", "web2"))


async def test_bot_toml_is_part_of_it(town: Town) -> None:
    number = await town.ask()
    settings = settings_of(town.shop.settings.bot.data, approvals=1)
    settings.apps["shop"].__dict__["restart"] = "./restart --hard"
    await town.restart(settings)
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == 'config: apps.shop.restart was "./restart" and is "./restart --hard"'


async def test_a_place_that_bot_toml_has_no_more(town: Town) -> None:
    number = await town.ask()
    settings = settings_of(town.shop.settings.bot.data, approvals=1)
    del settings.apps["shop"].environments["production"]
    await town.restart(settings)
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == "config: bot.toml no longer has shop production"


async def test_a_server_that_went_from_bot_toml_is_told_as_that(town: Town) -> None:
    number = await town.ask("deploy shop@v2 to production/web2")
    settings = settings_of(town.shop.settings.bot.data, approvals=1, servers=["web1"])
    await town.restart(settings)
    card = await town.say(f"approve #{number}", "ben")
    assert 'config: apps.shop.environments.production.servers was ["web1", "web2"] and is ["web1"]' in card.text


async def test_what_cannot_be_known_now_is_not_approved(town: Town) -> None:
    number = await town.ask()
    town.shop.hosts["web1"].down = "no answer in 10 s"
    card = await town.say(f"approve #{number}", "ben")
    assert (card.title, card.ok) == ("web1 cannot be reached: no answer in 10 s.", False)
    assert "! ben: web1 cannot be reached: no answer in 10 s (08:" in (await town.card(number)).text
    town.shop.hosts["web1"].down = ""
    assert (await town.say(f"approve #{number}", "ben")).ok


async def test_what_changes_while_it_waits_for_its_turn_makes_it_void(town: Town) -> None:
    async with town.busy():
        number = await town.ask("deploy shop@main to production")
        await town.say(f"approve #{number}", "ben")
        town.shop.refs.known["main"] = V3.id
    ended = await town.end_of(number)
    assert (ended.state, (await town.request(number)).verdict) == (State.CANCELLED, RequestVerdict.VOID)
    assert town.running() == {""}


async def test_a_rejection_tells_why(town: Town) -> None:
    number = await town.ask()
    usage = await town.say(f"reject #{number}", "ben")
    assert usage.title == "`reject` needs a reason: add `because …`."
    card = await town.say(f"reject #{number} because the migration is not reviewed", "ben")
    assert card.title == f"#{number} (shop/production: v2 · first deployment) is rejected."
    ended = await town.end_of(number)
    assert ended.outcome == "Rejected by ben: the migration is not reviewed. Nothing was deployed."
    shown = await town.card(number)
    assert (shown.title.endswith("· rejected"), shown.buttons) == (True, ())
    assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} has already ended: rejected."


async def test_what_is_approved_can_be_rejected_until_it_begins(town: Town) -> None:
    async with town.busy():
        number = await town.ask()
        await town.say(f"approve #{number}", "ben")
        assert [one.label for one in (await town.card(number)).buttons] == ["Reject", "Cancel"]
        assert (await town.say(f"reject #{number} because I was wrong", "ben")).ok
    assert (await town.end_of(number)).state is State.CANCELLED
    assert not town.shop.hosts["web1"].started


async def test_it_is_cancelled_by_who_asked(town: Town) -> None:
    number = await town.ask()
    await town.say(f"cancel #{number}", "ana")
    assert (await town.end_of(number)).outcome == "Cancelled by ana. It had not started."
    assert (await town.say(f"approve #{number}", "ben")).title == f"#{number} has already ended: cancelled."


@pytest.mark.parametrize("word", ["approve #{}", "reject #{} because no"])
async def test_what_needs_none_and_what_has_begun(town: Town, word: str) -> None:
    staging = await town.ask("deploy shop@v1 to staging")
    await town.end_of(staging)
    assert (await town.say(word.format(staging), "ben")).title == f"#{staging} needs no approval."
    assert (await town.say(word.format(99), "ben")).title == "There is no deployment #99."
    town.shop.hosts["web1"].script("fetch", Outcome(hold=True))
    number = await town.ask()
    await town.say(f"approve #{number}", "ben")
    await town.shop.started(number, "fetch")
    card = await town.say(word.format(number), "cem")
    assert (card.title, card.hint) == (f"#{number} has already started.", f"`cancel #{number}` stops it.")


async def test_the_second_of_two_is_told_that_it_is_approved(town: Town) -> None:
    async with town.busy():
        number = await town.ask()
        await town.say(f"approve #{number}", "ben")
        assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} is already approved, by ben."


async def test_reminded_and_expired(town: Town) -> None:
    number = await town.ask()
    town.shop.clock.advance(3.5 * HOUR)
    async with asyncio.timeout(20):
        while not (await town.request(number)).reminded:  # noqa: ASYNC110 - nobody tells it
            await asyncio.sleep(0.001)
    items = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now(), 100))
    reminder = next(item.card for item in items if item.key == f"reminder:{number}")
    assert reminder.title == f"#{number} shop/production: v2 · first deployment · still waiting for 1 approval"
    assert [one.label for one in reminder.buttons] == ["Approve", "Reject"]
    town.shop.clock.advance(HOUR)
    ended = await town.end_of(number)
    assert ended.outcome == "It expired after 4 h with none of the 1 approvals it needs. Nothing was deployed."
    items = await town.store.read(lambda tables: tables.outbox.due(town.shop.clock.now(), 100))
    reminder = next(item.card for item in items if item.key == f"reminder:{number}")
    assert (reminder.title.endswith("· expired"), reminder.final, reminder.buttons) == (True, True, ())
    assert [one.label for one in (await town.card(number)).buttons] == ["Ask again"]


async def test_expired_in_the_moment_of_the_click(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    number = await town.ask()
    looked = asyncio.Event()

    async def once(_: CancellationWatch, work: Coroutine[object, object, object], **_within: float) -> bool:
        work.close()
        looked.set()
        return await asyncio.Event().wait()

    monkeypatch.setattr(CancellationWatch, "outrun", once)
    await looked.wait()
    town.shop.clock.advance(5 * HOUR)
    assert (await town.say(f"approve #{number}", "ben")).title.startswith(f"#{number} expired at 2027-")


async def test_a_time_of_day_is_when_the_approvals_have_to_be_there(town: Town) -> None:
    number = await town.ask("deploy shop@v2 to production --at 09:00")
    request = await town.request(number)
    assert request.expires == (await town.deployment(number)).not_before
    town.shop.clock.advance(2 * HOUR)
    ended = await town.end_of(number)
    assert ended.outcome.startswith("It was scheduled for 2027-01-15 09:00 UTC")


async def test_approved_before_its_time_it_begins_then(town: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("deploybot.deployments.deployment_queue.CLOCK_LOOKS", 0.001)
    number = await town.ask("deploy shop@v2 to production --at 09:00")
    await town.say(f"approve #{number}", "ben")
    assert (await town.deployment(number)).state is State.WAITING
    town.shop.clock.advance(HOUR)
    assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_what_waits_for_approvals_is_in_nobodys_way(town: Town) -> None:
    first = await town.ask("deploy shop@v1 to production")
    second = await town.ask("deploy shop@v2 to production", "eve")
    await town.say(f"approve #{second}", "ben")
    assert (await town.end_of(second)).state is State.SUCCEEDED
    card = await town.say(f"approve #{first}", "ben")
    assert card.text == "\n".join(
        f"what it replaces: {name} was nothing and is 2222222222" for name in ("web1", "web2")
    )


async def test_a_task_wants_approvals_and_a_restart_does_not(town: Town) -> None:
    await lay_v1(town)
    number = await town.ask("run shop migrate production because of the new table")
    assert {line.name: line.text for line in (await town.card(number)).details}["web1"] == (
        "v1 (1111111111) stays: migrate (at most 15 min)"
    )
    town.shop.settings.apps["shop"].tasks["migrate"] = "./migrate --all"
    card = await town.say(f"approve #{number}", "ben")
    assert card.text == 'config: apps.shop.tasks.migrate was "./migrate" and is "./migrate --all"'
    assert card.buttons[0].command == "run shop migrate production because of the new table"
    number = await town.ask("run shop migrate production")
    await town.say(f"approve #{number}", "ben")
    assert (await town.end_of(number)).state is State.SUCCEEDED
    restarted = await town.ask("restart shop production")
    assert (await town.end_of(restarted)).state is State.SUCCEEDED


async def test_a_rollback_wants_approvals(town: Town) -> None:
    await lay_v1(town)
    number = await town.ask("deploy shop@v2 to production")
    await town.say(f"approve #{number}", "ben")
    await town.end_of(number)
    back = await town.ask("rollback shop from production")
    town.shop.refs.known |= {"v1": V3.id, "v1.0": V1.id}
    assert (await town.request(back)).binding.ref is None
    town.shop.clock.advance(5 * HOUR)
    await town.end_of(back)
    again = (await town.card(back)).buttons[0].command
    assert again == f"rollback shop from production to {V1.id}"
    back = await town.ask(again)
    assert (await town.say(f"approve #{back}", "ben")).ok
    assert (await town.end_of(back)).plan.release.id == V1.id


async def test_after_a_restart_it_waits_as_before(town: Town) -> None:
    number = await town.ask()
    await town.restart()
    assert "! deploybot restarted; press again if your answer is missing here (08:" in (await town.card(number)).text
    assert (await town.say(f"approve #{number}", "ben")).ok
    assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_after_a_restart_more_can_be_asked_for_and_never_less(town: Town) -> None:
    number = await town.ask()
    data = town.shop.settings.bot.data
    await town.restart(settings_of(data, approvals=2))
    assert (await town.say(f"approve #{number}", "ben")).title == f"#{number} has 1 of 2 approvals now."
    await town.restart(settings_of(data, approvals=1))
    assert (await town.request(number)).wanted == 2
    await town.restart(settings_of(data))
    assert (await town.say(f"approve #{number}", "ben")).title == "You already approved it."
    assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
    assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_what_is_approved_waits_again_where_more_is_wanted_after_a_restart(town: Town) -> None:
    async with town.busy():
        number = await town.ask()
        await town.say(f"approve #{number}", "ben")
        await town.restart(settings_of(town.shop.settings.bot.data, approvals=2))
    await town.until(number, lambda deployment: deployment.awaits_approval)
    card = await town.card(number)
    assert card.title.endswith("waiting for 1 approval")
    assert card.footer.startswith("approved 1 of 2: ben · ")
    assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
    assert (await town.end_of(number)).state is State.SUCCEEDED


async def test_what_was_asked_for_before_approvals_were_wanted_has_to_be_asked_again(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=0) as town:
        town.shop.hosts["web1"].script("fetch", Outcome(hold=True))
        first = await town.ask("deploy shop@v1 to production")
        await town.shop.started(first, "fetch")
        second = await town.ask("deploy shop@v2 to production")
        await town.restart(settings_of(town.shop.settings.bot.data, approvals=1))
        town.shop.hosts["web1"].finish(await town.shop.started(first, "fetch"))
        ended = await town.end_of(second)
        assert ended.outcome == (
            "It was requested before shop/production needed 1 approval by an approver: request it again. "
            "Nothing was done."
        )


@pytest.mark.parametrize("approved", [True, False])
async def test_one_that_had_begun_without_a_step_is_looked_at_again(town: Town, *, approved: bool) -> None:
    """The bot died right after the row said that it runs; meanwhile the branch moved."""
    number = await town.ask("deploy shop@main to production")
    await town.shop.deployments.queue.close()
    now = town.shop.clock.now()

    def begin(tables: Tables) -> None:
        if approved:
            tables.requests.approve(number, Approval(town.people["ben"].id, "ben", now))
        tables.deployments.approve(number, now)
        tables.deployments.move(number, State.RUNNING, now=now)

    await town.store.write(begin)
    town.shop.refs.known["main"] = V3.id
    await town.restart()
    ended = await town.end_of(number)
    assert town.running() == {""}
    if approved:
        assert (ended.state, (await town.request(number)).verdict) == (State.CANCELLED, RequestVerdict.VOID)
    else:
        assert ended.state is State.FAILED
        assert ended.outcome.startswith("It needs 1 approval by an approver, other than the requester; it has none.")


async def test_after_staging(tmp_path: Path) -> None:
    async with make_town(tmp_path, after="staging") as town:
        card = await town.say("deploy shop@v2 to production")
        assert card.title == "v2 (2222222222) has to be healthy in staging first. There now: web1: nothing."
        staging = await town.ask("deploy shop@v1 to staging")
        await town.end_of(staging)
        card = await town.say("deploy shop@v2 to production")
        assert card.title.endswith("There now: web1: v1 (1111111111).")
        number = await town.ask("deploy shop@v1 to production")
        v2_there = Running("shop", "staging", "web1", V2, staging, town.shop.clock.now(), healthy=True)
        await town.store.write(lambda tables: tables.running.put(v2_there))
        await town.say(f"approve #{number}", "ben")
        ended = await town.end_of(number)
        assert ended.state is State.FAILED
        assert "has to be healthy in staging first. There now: web1: v2 (2222222222)" in ended.outcome


async def test_a_rollback_to_what_ran_well_does_not_ask_staging(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=0, after="staging") as town:
        for ref in ("v1", "v2"):
            await town.end_of(await town.ask(f"deploy shop@{ref} to staging"))
            await town.end_of(await town.ask(f"deploy shop@{ref} to production"))
        card = await town.say("deploy shop@v1 to production")
        assert "has to be healthy in staging first" in card.title
        back = await town.ask("rollback shop from production")
        assert (await town.end_of(back)).state is State.SUCCEEDED


async def test_decisions_are_in_the_audit_with_their_card(town: Town) -> None:
    number = await town.ask()
    await town.say(f"approve #{number}", "ben")
    await town.end_of(number)
    rows = [(row.actor, row.action, row.subject) for row in await town.audit()]
    place = f"#{number} shop/production"
    assert ("ana", "deploy asked", place) in rows
    assert ("ben", "approve", place) in rows
    binding = (await town.request(number)).binding.digest[:12]
    details = [row.detail for row in await town.audit() if row.action in {"deploy asked", "approve"}]
    assert all(f"bound to {binding}" in detail for detail in details)


async def test_a_production_that_wants_approvals_is_never_meant_without_its_name(tmp_path: Path) -> None:
    async with make_town(tmp_path) as town:
        card = await town.say("deploy shop@v2")
        assert card.title == "Which environment of shop do you mean: production, staging?"


async def test_the_card_does_not_go_on_to_count_whose_role_is_gone(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=2) as town:
        number = await town.ask()
        await town.say(f"approve #{number}", "ben")
        await town.say("deny @ben on shop", "dia")
        async with asyncio.timeout(20):
            while "waiting for 2 approvals" not in (await town.card(number)).title:  # noqa: ASYNC110 - nobody tells it
                await asyncio.sleep(0.001)
        await town.say("allow @ben approver on shop", "dia")
        assert not (await town.say(f"approve #{number}", "ben")).ok, "what is given now does not count for it"
        assert (await town.say(f"approve #{number}", "cem")).title == f"#{number} has 1 of 2 approvals now."


async def test_a_request_that_too_few_could_approve_says_so(tmp_path: Path) -> None:
    async with make_town(tmp_path, approvals=3, approvers=["@ben", "@cem", "@eve"]) as town:
        note = "too few people can approve it now (ben, cem): give the role with `allow`"
        assert f"! {note}" in (await town.card(await town.ask())).text
    (tmp_path / "other").mkdir()
    async with make_town(tmp_path / "other", approvers=["@zoe"]) as town:
        note = "too few people can approve it now (nobody): give the role with `allow`"
        assert f"! {note}" in (await town.card(await town.ask())).text


async def test_a_dry_run_tells_what_it_would_want_and_asks_nobody(town: Town) -> None:
    card = await town.say("deploy shop@v2 to production --dry-run")
    assert card.footer.endswith(", after 1 approval by an approver, nothing was done")
    assert await town.store.read(lambda tables: tables.deployments.open()) == ()


async def test_the_card_tells_when_it_would_begin(town: Town) -> None:
    number = await town.ask("deploy shop@v2 to production --at 09:00")
    card = await town.card(number)
    assert "starts no earlier than 2027-01-15 09:00 UTC" in card.text
    lines = {line.name: line.text for line in card.details}
    assert lines["begins"] == "not before 2027-01-15 09:00 UTC"


async def test_of_what_has_ended_it_is_said_how_and_not_who_may(town: Town) -> None:
    number = await town.ask()
    assert (await town.say(f"approve #{number}", "ben")).ok
    await town.end_of(number)
    for who in ("ben", "cem"):
        card = await town.say(f"approve #{number}", who)
        assert card.title == f"#{number} has already ended: succeeded."
    assert (await town.say(f"approve #{number}", "eve")).private


async def test_what_waits_for_approvals_is_proposed_at_the_console(town: Town) -> None:
    await lay_v1(town)
    number = await town.ask()
    complete = town.dispatcher.complete
    assert await complete(town.identity("ben"), "approve ") == (0, (f"#{number}",))
    assert await complete(town.identity("ana"), "rollback shop from production to #") == (1, ("#1",))
    assert await complete(Identity("console", "31337"), "approve ") == (0, ())
