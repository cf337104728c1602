"""Deployments that begin at a time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from datetime import UTC, datetime, time
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from deploybot.deployments.queue_turns import begins, is_in_the_way
from deploybot.deployments.scheduled_starts import next_time
from deploybot.domain import Deployment, Kind, Plan, State
from deploybot.testing import Outcome
from deploybot.units import show_moment
from tests.deployments.conftest import NO_RIGHT
from tests.kit.bot import V1, V2, V3, BotUnderTest

BERLIN = ZoneInfo("Europe/Berlin")
NINE, HOUR = time(9), 3600.0


def at(text: str) -> float:
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


@pytest.mark.parametrize(
    ("now", "clock", "found"),
    [
        ("2027-01-15 16:59:59", time(18), "2027-01-15 17:00"),
        ("2027-01-15 17:00:00", time(18), "2027-01-16 17:00"),
        # It is already the 16th there.
        ("2027-01-15 23:30:00", time(0, 15), "2027-01-16 23:15"),
        # The nights on which 2:30 does not exist, and exists twice.
        ("2027-03-28 00:00:00", time(2, 30), "2027-03-28 01:30"),
        ("2027-10-31 00:00:00", time(2, 30), "2027-10-31 00:30"),
        ("2027-10-31 00:45:00", time(2, 30), "2027-11-01 01:30"),
    ],
)
def test_the_next_time_of_day(now: str, clock: time, found: str) -> None:
    assert next_time(clock, BERLIN, at(now)) == at(found)


def test_the_day_is_that_of_the_zone() -> None:
    # In New York it is still the 15th.
    found = next_time(time(23), ZoneInfo("America/New_York"), at("2027-01-16 03:00:00"))
    assert found == at("2027-01-16 04:00")


def test_a_midnight_that_the_clock_went_back_over_has_passed() -> None:
    # At 0:01 on the 7th, clocks went back to 23:01 on the 6th.
    found = next_time(time(0), ZoneInfo("America/St_Johns"), at("2010-11-07 02:45:00"))
    assert found == at("2010-11-08 03:30")


def test_a_moment_is_reported_with_its_zone() -> None:
    assert show_moment(at("2027-07-01 16:00"), BERLIN) == "2027-07-01 18:00 CEST"


def waiting(**more: Any) -> Deployment:  # noqa: ANN401 - the fields of a deployment
    plan = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V1, servers=())
    first = Deployment(number=1, plan=plan, state=State.WAITING, requester=1, requester_name="ana", created=5.0)
    return replace(first, **more)


def test_a_deployment_begins_with_its_time_its_approval_or_its_request() -> None:
    assert begins(waiting()) == 5.0
    assert begins(waiting(approved=7.0)) == 7.0
    assert begins(waiting(approved=7.0, not_before=6.0)) == 6.0
    assert begins(waiting(not_before=6.0)) == 6.0


def test_what_waits_for_its_time_or_for_approvals_is_in_nobodys_way() -> None:
    assert is_in_the_way(waiting(), 9.0)
    assert not is_in_the_way(waiting(needs_approval=True), 9.0)
    assert not is_in_the_way(waiting(not_before=9.1), 9.0)
    # Its time has come in this very moment.
    assert is_in_the_way(waiting(not_before=9.0), 9.0)


@pytest.fixture(autouse=True)
def _look_often(bot: BotUnderTest) -> None:
    bot.wait(clock_check=0.001)


async def test_it_waits_for_its_time_and_holds_up_nobody(bot: BotUnderTest) -> None:
    card = await bot.request(V2, at=NINE)
    assert "Waits for 2027-01-15 09:00 UTC." in card.text
    assert card.buttons[0].command == "cancel #1"
    assert (await bot.deploy(V1)).state is State.SUCCEEDED
    waiting = await bot.deployments.get(1)
    assert waiting is not None
    assert (waiting.state, waiting.started) == (State.WAITING, 0.0)
    bot.clock.advance(HOUR)
    ended = await bot.end_of(1)
    assert (ended.state, ended.started >= ended.not_before) == (State.SUCCEEDED, True)
    # It was planned anew: it replaces what was deployed meanwhile.
    assert {part.replaces.id for part in ended.plan.servers if part.replaces} == {V1.id}
    assert {row.release.id for row in (await bot.running()).values()} == {V2.id}


async def test_it_is_cancelled_while_it_waits(bot: BotUnderTest) -> None:
    await bot.request(V1, at=NINE)
    await bot.deployments.cancel(bot.ctx(), 1)
    ended = await bot.end_of(1)
    assert (ended.state, ended.outcome) == (State.CANCELLED, "Cancelled by ana. It had not started.")


async def test_a_right_that_was_taken_away_meanwhile_counts(bot: BotUnderTest) -> None:
    await bot.request(V1, at=NINE)
    await bot.lose_right()
    bot.clock.advance(HOUR)
    ended = await bot.end_of(1)
    assert ended.state is State.FAILED
    assert ended.outcome == f"{NO_RIGHT} Nothing was done."
    assert not bot.hosts["web1"].started


async def waits_for_another(bot: BotUnderTest, number: int) -> str:
    """The text of its card, once that names another deployment."""
    async with asyncio.timeout(10):
        while True:
            card = await bot.posted(number)
            if "Waits for #" in card.text:
                return card.text


async def test_its_time_comes_while_another_runs(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1, at=NINE)
    await bot.request(V2)
    job = await bot.started(2, "fetch")
    bot.clock.advance(HOUR)
    assert "Waits for #2 (shop/production: v2" in await waits_for_another(bot, 1)
    third = await bot.request(V3)
    assert "Waits for #1 (shop/production: v1" in third.text
    bot.hosts["web1"].finish(job)
    await bot.end_of(2)
    bot.hosts["web1"].script("fetch", Outcome())
    assert [(await bot.end_of(number)).state for number in (1, 3)] == [State.SUCCEEDED] * 2
    assert {row.release.id for row in (await bot.running()).values()} == {V3.id}


async def test_a_new_bot_keeps_the_time(bot: BotUnderTest) -> None:
    await bot.request(V1, at=NINE)
    await bot.deployments.queue.close()
    bot.start()
    bot.clock.advance(HOUR)
    await bot.deployments.queue.resume()
    assert (await bot.end_of(1)).state is State.SUCCEEDED


async def test_a_time_that_passed_while_the_bot_was_down_is_reported(bot: BotUnderTest) -> None:
    await bot.request(V1, at=NINE)
    await bot.deployments.queue.close()
    bot.start()
    bot.clock.advance(5 * HOUR)
    await bot.deployments.queue.resume()
    ended = await bot.end_of(1)
    assert ended.state is State.FAILED
    assert ended.outcome == (
        "Too late to start automatically: "
        "it was scheduled for 2027-01-15 09:00 UTC, and it is 2027-01-15 13:00 UTC now. "
        "Nothing was done."
    )
    assert (await bot.posted(1)).final
    assert not bot.hosts["web1"].started


async def test_a_dry_run_says_when(bot: BotUnderTest) -> None:
    card = await bot.request(V1, at=NINE, dry_run=True)
    assert card.footer.endswith(", starts at 2027-01-15 09:00 UTC, nothing was done")
    assert await bot.deployments.get(1) is None
