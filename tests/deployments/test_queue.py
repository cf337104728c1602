"""The queue: who comes after whom, what ends without having begun, and what a new bot takes up."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from deploybot.deployments.deployment_queue import Queue
from deploybot.domain import Deployment, Kind, State
from deploybot.errors import Cancelled
from deploybot.ports import Tables
from deploybot.testing import FakeClock, Outcome
from tests.kit.bot import V1, V2, V3, BotUnderTest, open_bot

HOUR = 3600.0


@pytest.fixture
def still(bot: BotUnderTest) -> BotUnderTest:
    """The shop, with a clock that stands still."""
    bot.clock = FakeClock()
    bot.start()
    return bot


def queue(bot: BotUnderTest) -> Queue:
    return bot.deployments.queue


async def kept(bot: BotUnderTest, release: object = V1, *, created: float = 0.0, not_before: float = 0.0) -> Deployment:
    """A deployment that waits in the database, and that no task runs."""
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, release)  # type: ignore[arg-type]
    now = created or bot.clock.now()

    def keep(tables: Tables) -> Deployment:
        return tables.deployments.add(
            plan, requester=bot.person, reason="", channel=None, now=now, not_before=not_before
        )

    return await bot.store.write(keep)


async def audited(bot: BotUnderTest) -> list[tuple[str, str, str, str]]:
    rows = await bot.store.read(lambda tables: tables.audit.tail(100))
    return [(row.actor, row.action, row.subject, row.detail) for row in rows]


async def test_a_new_bot_takes_up_what_runs_and_then_by_the_time_of_its_wish(still: BotUnderTest) -> None:
    now = still.clock.now()
    late = await kept(still, V1, not_before=now - 10)
    early = await kept(still, V2, created=now - 100)
    runs = await kept(still, V3)
    await still.store.write(lambda tables: tables.deployments.move(runs.number, State.RUNNING, now=now))
    ended: list[int] = []

    async def follow(number: int) -> None:
        await still.end_of(number)
        ended.append(number)

    found = await queue(still).resume()
    assert sorted(one.number for one in found) == [1, 2, 3]
    await asyncio.gather(*(follow(number) for number in (1, 2, 3)))
    assert ended == [runs.number, early.number, late.number]


@pytest.mark.parametrize(("seconds", "state"), [(600, State.SUCCEEDED), (601, State.FAILED)])
async def test_ten_minutes_late_is_late_enough_to_be_reported(
    still: BotUnderTest, seconds: float, state: State
) -> None:
    one = await kept(still, not_before=still.clock.now() - seconds)
    await queue(still).resume()
    ended = await still.end_of(one.number)
    assert ended.state is state
    if state is State.FAILED:
        words = (
            "Too late to start automatically: "
            "it was scheduled for 2027-01-15 07:49 UTC, and it is 2027-01-15 08:00 UTC now. "
            "Nothing was done."
        )
        assert ended.outcome == words
        assert (await audited(still))[-1] == ("deploybot", "deploy failed", "#1 shop/production", words)
        assert ended.finished == still.clock.now()


async def test_one_that_has_begun_is_never_too_late(still: BotUnderTest) -> None:
    one = await kept(still, not_before=still.clock.now() - HOUR)
    await still.store.write(
        lambda tables: tables.deployments.move(one.number, State.RUNNING, now=still.clock.now() - HOUR)
    )
    await queue(still).resume()
    assert (await still.end_of(one.number)).state is State.SUCCEEDED


async def test_a_cancel_that_came_before_the_bot_died_counts_after_it(still: BotUnderTest) -> None:
    one = await kept(still)
    await still.store.write(lambda tables: tables.deployments.ask_cancel(one.number, "ben"))
    await queue(still).resume()
    ended = await still.end_of(one.number)
    words = "Cancelled by ben. It had not started."
    assert (ended.state, ended.outcome) == (State.CANCELLED, words)
    assert (await audited(still))[-1] == ("deploybot", "deploy cancelled", "#1 shop/production", words)
    assert (await still.card(one.number)).final


async def test_requests_say_that_the_bot_was_started_anew(tmp_path: Path) -> None:
    async with open_bot(tmp_path, approvals=1) as bot:
        await bot.request(V1)
        await queue(bot).close()
        bot.start()
        await queue(bot).resume()
        request = await bot.store.read(lambda tables: tables.requests.get(1))
        assert request is not None
        assert request.note.startswith("deploybot restarted")


async def test_listeners_get_every_end(bot: BotUnderTest) -> None:
    received: list[str] = []
    bot.on_end = received.append
    await bot.deploy(V1)
    await asyncio.sleep(0)
    assert received == ["shop"]
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V2)
    await bot.started(2, "fetch")
    await queue(bot).close()
    await asyncio.sleep(0)
    assert received == ["shop", "shop"]


async def test_a_bot_that_stops_leaves_jobs_alone_and_forgets_its_own_wishes(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    await queue(bot).close()
    found = await bot.deployments.get(1)
    assert found is not None
    assert found.state is State.RUNNING
    assert (await bot.hosts["web1"].poll(job, 0)).status.state == "running"
    bot.hosts["web1"].finish(job)
    await queue(bot).resume()
    assert (await bot.end_of(1)).state is State.SUCCEEDED


async def test_nothing_is_waited_for_that_nobody_runs(bot: BotUnderTest) -> None:
    async with asyncio.timeout(20):
        await queue(bot).idle(99)


async def test_one_that_waits_can_be_stopped_for_any_reason(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    await bot.request(V2)
    queue(bot).stop(2, Cancelled("the machine"))
    assert (await bot.end_of(2)).outcome == "Cancelled by the machine. It had not started."
    bot.hosts["web1"].script("fetch", Outcome())
    bot.hosts["web1"].finish(job)
    await bot.end_of(1)


async def test_a_newer_one_comes_in_the_place_of_one_that_waits(still: BotUnderTest) -> None:
    one, two = await kept(still), await kept(still)
    await still.store.write(lambda tables: queue(still).replace(tables, one.number, two.number))
    ended = await still.deployments.get(one.number)
    assert ended is not None
    words = "Replaced by the newer #2. Nothing was deployed."
    assert (ended.state, ended.outcome, ended.replaced_by) == (State.CANCELLED, words, 2)
    assert ended.finished == still.clock.now()
    assert (await audited(still))[-1] == ("deploybot", "deploy replaced", "#1 shop/production", words)
    assert (await still.card(one.number)).final


async def test_one_that_was_replaced_while_it_waited_for_its_turn_does_not_begin(still: BotUnderTest) -> None:
    one, two = await kept(still), await kept(still)
    async with queue(still)._turns["shop", "production"]:
        queue(still).launch(one)
        async with asyncio.timeout(10):
            while not queue(still)._turns["shop", "production"]._waiters:  # noqa: ASYNC110  no event tells it
                await asyncio.sleep(0)
        await still.store.write(lambda tables: queue(still).replace(tables, one.number, two.number))
    ended = await still.end_of(one.number)
    assert ended.outcome == "Replaced by the newer #2. Nothing was deployed."
    assert not still.hosts["web1"].started


async def test_what_comes_before_is_named_with_who_asked_and_where_it_stands(still: BotUnderTest) -> None:
    first, second = await kept(still, V1), await kept(still, V2)
    words = "#1 (shop/production: v1 · first deployment, by ana, waiting)"
    assert queue(still).waits_for(second, [first, second]) == words
    assert queue(still).waits_for(first, [first, second]) == ""
    scheduled = await kept(still, V3, not_before=still.clock.now() + HOUR)
    assert queue(still).waits_for(scheduled, [first, second, scheduled]) == "2027-01-15 09:00 UTC"
    async with queue(still)._turns["shop", "production"]:
        assert queue(still).waits_for(first, [first]) == "the previous deployment's clean-up"
        begun = await still.store.write(lambda tables: tables.deployments.move(1, State.RUNNING, now=1.0))
        assert queue(still).waits_for(begun, [begun]) == ""


async def test_a_database_that_cannot_be_written_is_waited_for(bot: BotUnderTest) -> None:
    bot.wait(store_pause=0.001)
    one = await kept(bot)
    bot.store.refusals = 3
    queue(bot).launch(one)
    assert (await bot.end_of(one.number)).state is State.SUCCEEDED
    assert bot.store.refusals == 0


async def test_what_breaks_inside_is_reported_with_its_mark_and_in_the_audit(
    bot: BotUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    bot.refs._folder = Path("/nonexistent")
    ended = await bot.deploy(V1)
    mark = ended.outcome.removeprefix("Something broke on my side, id ").removesuffix(". `status` shows what runs now.")
    assert len(mark) == 4
    assert f"#1 failed because of a bug, id {mark}" in caplog.text
    assert (await audited(bot))[-1] == ("deploybot", "deploy unknown", "#1 shop/production", ended.outcome)


async def test_an_app_that_is_gone_from_bot_toml_ends_what_waits_for_it(still: BotUnderTest) -> None:
    one = await kept(still)
    del still.settings.apps["shop"]
    queue(still).launch(one)
    ended = await still.end_of(one.number)
    assert (ended.state, ended.plan.kind) == (State.FAILED, Kind.DEPLOY)
    assert ended.outcome.endswith(". Nothing was done.")
    assert ".. " not in ended.outcome


async def test_a_deployment_that_is_gone_or_has_ended_is_left_alone(still: BotUnderTest) -> None:
    one = await kept(still)
    await still.store.write(lambda tables: tables.deployments.move(one.number, State.CANCELLED, now=1.0, outcome="no"))
    queue(still).launch(one)
    assert (await still.end_of(one.number)).outcome == "no"
    assert not still.hosts["web1"].started
