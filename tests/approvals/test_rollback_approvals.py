"""`rollback_approvals`: fewer approvals for a way back, and for nothing else that calls itself a rollback."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.deployments.policy_lookup import PolicyQuestions
from deploybot.deployments.way_back import terms_of_plan
from deploybot.domain import Changes, Deployment, Kind, State
from deploybot.policy import decide, needed
from deploybot.ports import Tables
from deploybot.store import deployment_rows
from tests.approvals.conftest import open_approval_bot
from tests.kit.bot import V1, V2, V3, BotUnderTest

NEEDED = "waiting for 1 approval"


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[BotUnderTest]:
    """A bot that has deployed v1, v2 and v3; a rollback there needs no other person."""
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as made:
        await lay(made, "v1", "v2", "v3")
        yield made


async def lay(bot: BotUnderTest, *refs: str, to: str = "production", approvers: tuple[str, ...] = ("ben",)) -> None:
    """Deploy refs with their approvals."""
    for ref in refs:
        number = await bot.ask(f"deploy shop@{ref} to {to}")
        for who in approvers:
            assert (await bot.say(f"approve #{number}", who)).ok
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def back(bot: BotUnderTest, to: str = "", who: str = "ana") -> Deployment:
    """Roll back, and see it to its end; it fails if it waits for approvals."""
    ended = await bot.end_of(await bot.ask(f"rollback shop from production{f' to {to}' if to else ''}", who))
    assert ended.state is State.SUCCEEDED, ended.outcome
    return ended


async def waits(bot: BotUnderTest, to: str, why: str) -> int:
    """Return the number of a rollback that waits for approvals, because it counts as a deployment."""
    plan = await bot.say(f"rollback shop from production to {to} --dry-run")
    assert f"counts as a deployment: {why}" in plan.text.split("\n")
    assert "after 1 approval by an approver" in plan.footer
    number = await bot.ask(f"rollback shop from production to {to}")
    card = await bot.card(number)
    assert card.title.endswith(NEEDED)
    assert f"counts as a deployment: {why}" in card.text.split("\n")
    return number


async def verdict(bot: BotUnderTest, what: str) -> str:
    card = await bot.say(f"why {what}")
    return next(line.text for line in card.lines if line.name == "approvals")


async def test_a_way_back_needs_nobody_else_and_says_so(bot: BotUnderTest) -> None:
    counts = "counts as a rollback: 0 approvals, not 1"
    plan = await bot.say("rollback shop from production --dry-run")
    assert counts in plan.text.split("\n")
    assert "approval" not in plan.footer
    ended = await back(bot)
    assert (ended.plan.release, ended.needs_approval, bot.current()) == (V2, False, {V2.id})
    assert counts in (await bot.card(ended.number)).text.split("\n")
    asked = [row.detail for row in await bot.audit() if row.action == "rollback asked"]
    assert len(asked) == 1
    assert counts in asked[0]
    assert (await back(bot)).plan.release == V1


async def test_the_menu_says_which_choices_need_approvals(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v1")
        await lay(bot, "v2", to="production/web1")
        await lay(bot, "v3")
        menu = await bot.say("rollback shop from production ?")
        rows = [row for row in menu.text.split("\n") if "needs" in row]
        assert rows == ["  needs 1 approval: it has not run well…", "  needs no approvals"]
        assert menu.hint.endswith("To skip the plan, type `rollback shop from production to #2`.")
        bot.refs.between[V1.id, V3.id] = Changes(removed=2)  # v1 has commits that v3 lacks
        menu = await bot.say("rollback shop from production ?")
        assert menu.text.endswith("\n  needs 1 approval: its commit is newer…")


async def test_the_menu_promises_nothing_at_once_where_each_rollback_waits(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        await lay(bot, "v1", "v2")
        menu = await bot.say("rollback shop from production ?")
        assert menu.text.endswith("\n  needs 1 approval")
        assert "To skip the plan, type" in menu.hint


async def test_the_menu_says_at_once_where_no_approval_is_needed(bot: BotUnderTest) -> None:
    menu = await bot.say("rollback shop from production ?")
    assert "needs" not in menu.text
    assert "To roll back at once, type" in menu.hint


async def test_what_was_rolled_back_from_is_no_way_back_and_why_says_so(bot: BotUnderTest) -> None:
    none = "A rollback of shop/production needs no approvals. "
    more = "any other needs 1 approval."
    assert await verdict(bot, "rollback shop production") == (
        f"{none}That is for a release that ran well there before; {more}"
    )
    assert await verdict(bot, "rollback shop@v2 production") == (
        f"{none}It goes back to what ran well there before; a deployment needs 1 approval."
    )
    await back(bot)
    number = await waits(bot, "v3", "it was rolled back from")
    waits_for = "It will wait for 1 approval by an approver (not the requester)."
    assert await verdict(bot, "rollback shop@v3 production") == (
        f"{waits_for} It counts as a deployment: it was rolled back from."
    )
    assert await verdict(bot, "deploy shop@v1 production") == waits_for
    assert (await bot.say(f"approve #{number}", "ben")).ok
    assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_what_never_ran_there_is_no_way_back(bot: BotUnderTest) -> None:
    bot.refs.known["evil"] = "9" * 40
    await waits(bot, "evil", "it is not known to have run well there")
    await lay(bot, "evil", to="staging", approvers=())
    number = next(
        one.number for one in await bot.deployments.history(bot.app, None, 9) if one.plan.release.ref == "evil"
    )
    await waits(bot, f"#{number}", "it is not known to have run well there")
    # What runs after a failure was never good: the last good release is a way back from it.
    change_by_hand(bot)
    assert (await back(bot)).plan.release == V3


async def test_a_server_that_runs_something_earlier_makes_it_a_deployment(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v1")
        await lay(bot, "v2", to="production/web1")
        await waits(bot, "v2", "web2 runs an earlier one")
        await back(bot, "v1")
        assert bot.current() == {V1.id}


async def test_a_server_on_which_it_never_ran_makes_it_a_deployment(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v1", to="production/web1")
        await waits(bot, "v1", "it has not run well on web2")


async def test_each_server_must_have_run_it_also_where_a_good_release_runs(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v1")
        await lay(bot, "v2", to="production/web1")
        await lay(bot, "v3")
        assert (await verdict(bot, "rollback shop@v2 production")).endswith("it has not run well on web2.")
        await waits(bot, "v2", "it has not run well on web2")
        await back(bot, "v1")


async def test_why_looks_at_servers_on_which_nothing_is_known_to_run(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v1", "v2", to="production/web1")
        assert (await verdict(bot, "rollback shop@v1 production")).endswith("it has not run well on web2.")


async def test_no_plan_is_read_to_compare_releases(bot: BotUnderTest) -> None:
    """Plans of many servers are long, and each question about a rollback compares 200 successes."""
    plan = (await back(bot)).plan

    def reads(tables: Tables) -> int:
        before = sum(deployment_rows._plan.cache_info()[:2])
        assert terms_of_plan(tables, bot.production, plan)
        return sum(deployment_rows._plan.cache_info()[:2]) - before

    assert await bot.store.read(reads) == 0


def change_by_hand(bot: BotUnderTest) -> None:
    """Have both servers run what the bot does not know."""
    for name in ("web1", "web2"):
        host = bot.hosts[name]
        kept = (*host.server_facts.releases, "9" * 40)
        host.server_facts = replace(host.server_facts, current="9" * 40, releases=kept)


async def test_what_is_unknown_is_compared_like_the_last_good_release(bot: BotUnderTest) -> None:
    """After `deploy shop@v1`, a failure does not open the way to the release that they wanted to leave."""
    await lay(bot, "v1")
    change_by_hand(bot)
    await waits(bot, "v3", "the last good release is an earlier one")
    assert (await back(bot)).plan.release == V1


async def test_what_an_old_release_was_deployed_instead_of_is_no_way_back_from_it(bot: BotUnderTest) -> None:
    """Many people roll back by `deploy`. Then `rollback` alone means the release that they wanted to leave."""
    await lay(bot, "v1")
    await waits(bot, "v3", "web1 runs an earlier one")


async def test_a_newer_commit_is_no_way_back_even_if_it_ran_before(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v2", "v1")
        bot.refs.between[V1.id, V2.id] = Changes(total=2)
        await waits(bot, "v2", "its commit is newer than what runs")
        bot.refs.between[V1.id, V2.id] = Changes(total=2, removed=1)
        assert (await back(bot, "v2")).plan.release == V2


async def test_the_last_good_release_is_a_way_back_from_an_older_commit_that_failed(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=1, rollback_approvals=0) as bot:
        await lay(bot, "v2", "v3")
        for name in ("web1", "web2"):
            host = bot.hosts[name]
            kept = (*host.server_facts.releases, V1.id)
            host.server_facts = replace(host.server_facts, current=V1.id, releases=kept)
        bot.refs.between[V1.id, V3.id] = Changes(total=2)
        ended = await back(bot)
        assert (ended.plan.release, ended.plan.changes.total) == (V3, 2)


async def test_one_that_waited_while_the_target_went_further_back_does_not_start(bot: BotUnderTest) -> None:
    """It needed no approval when it was requested, but by its turn it would move forward."""
    async with bot.deployments.queue._turns["shop", "production"]:
        first = await bot.ask("rollback shop from production to v1")
        second = await bot.ask("rollback shop from production to v2")
    assert (await bot.end_of(first)).state is State.SUCCEEDED
    ended = await bot.end_of(second)
    assert (ended.state, bot.current()) == (State.FAILED, {V1.id})
    assert ended.outcome == (
        "It needs 1 approval by an approver now, which it was requested without. "
        "It counts as a deployment: it was rolled back from. Nothing was done."
    )
    assert "counts as a rollback" not in (await bot.card(second)).text


async def test_broken_glass_lists_approvals_as_it_may_be_a_deployment_by_its_turn(bot: BotUnderTest) -> None:
    async with bot.deployments.queue._turns["shop", "production"]:
        first = await bot.ask("rollback shop from production to v1")
        number = await bot.ask("rollback shop from production to v2 --break-glass because it is down", "dia")
    assert (await bot.end_of(first)).state is State.SUCCEEDED
    ended = await bot.end_of(number)
    assert (ended.state, ended.glass, bot.current()) == (State.SUCCEEDED, "approvals", {V2.id})
    card = await bot.card(number)
    assert "bypasses: approvals" in next(line.text for line in card.lines if line.name == "break glass")
    assert "counts as" not in card.text
    assert [row.detail for row in await bot.audit() if row.action == "break glass"] == [
        "bypassed approvals, because it is down; notified no one"
    ]


async def test_an_approval_of_a_way_back_is_not_enough_once_it_is_none(tmp_path: Path) -> None:
    """Nothing that the fingerprint covers differs, but meanwhile the release was rolled back from."""
    async with open_approval_bot(tmp_path, approvals=2, rollback_approvals=1) as bot:
        both = ("ben", "cem")
        await lay(bot, "v1", "v2", "v3", approvers=both)
        number = await bot.ask("rollback shop from production to v2")
        assert (await bot.request_of(number)).wanted == 1
        asked, questions = await bot.deployment(number), PolicyQuestions(bot.settings, bot.clock)
        ben = bot.people["ben"].id
        decides = await bot.store.read(lambda tables: questions.may_decide(tables, ben, asked, "approve"))
        assert (needed(decides), decide(decides).allowed) == (1, True)
        assert "counts as a rollback: 1 approval, not 2" in (await bot.card(number)).text.split("\n")
        further = await bot.ask("rollback shop from production to v1")
        assert (await bot.say(f"approve #{further}", "ben")).ok
        await bot.end_of(further)
        await lay(bot, "v3", approvers=both)
        answer = await bot.say(f"approve #{number}", "ben")
        assert answer.title == f"#{number} has 1 of 2 approvals now."
        assert "counts as a deployment: it was rolled back from" in (await bot.card(number)).text.split("\n")
        assert bot.current() == {V3.id}
        assert (await bot.say(f"approve #{number}", "cem")).title == f"#{number} is approved."
        assert (await bot.end_of(number)).state is State.SUCCEEDED


async def test_an_open_request_keeps_its_number_unless_more_is_required_now(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path, approvals=2, rollback_approvals=1) as bot:
        await lay(bot, "v1", "v2", approvers=("ben", "cem"))
        number = await bot.ask("rollback shop from production")
        for now, wanted in ((0, 1), (1, 1), (2, 2), (None, 2), (0, 2)):
            changed = bot.production.model_copy(update={"rollback_approvals": now})
            environments = {**bot.app.environments, "production": changed}
            apps = {"shop": bot.app.model_copy(update={"environments": environments})}
            await bot.restart(bot.settings.model_copy(update={"apps": apps}))
            assert (await bot.request_of(number)).wanted == wanted
            counts = f"counts as a rollback: {wanted} approval{'s' * (wanted > 1)}, not 2"
            shown = [row for row in (await bot.card(number)).text.split("\n") if row.startswith("counts as")]
            assert shown == ([counts] if wanted == 1 else [])
        assert (await bot.say(f"approve #{number}", "ben")).ok  # the fingerprint does not cover the rules
        assert (await bot.card(number)).title.endswith(NEEDED)


async def test_without_the_key_a_rollback_needs_what_a_deployment_needs(tmp_path: Path) -> None:
    async with open_approval_bot(tmp_path) as bot:
        await lay(bot, "v1", "v2")
        number = await bot.ask("rollback shop from production")
        card = await bot.card(number)
        assert card.title.endswith(NEEDED)
        assert "counts as" not in card.text
        assert (await bot.deployment(number)).plan.kind is Kind.ROLLBACK
        assert await verdict(bot, "rollback shop production") == (
            "It will wait for 1 approval by an approver (not the requester)."
        )
