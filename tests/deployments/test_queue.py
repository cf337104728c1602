"""The queue: who comes after whom, what ends without having begun, and what a new bot takes up."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from deploybot.deployments import deployment_queue as module
from deploybot.deployments.deployment_queue import Queue
from deploybot.domain import Deployment, Kind, State
from deploybot.errors import Cancelled, StoreError
from deploybot.ports import Tables
from deploybot.testing import FakeClock, Outcome
from tests.deployments.conftest import V1, V2, V3, Shop, make_shop

HOUR = 3600.0


@pytest.fixture
def still(shop: Shop) -> Shop:
    """The shop, with a clock that stands still."""
    shop.clock = FakeClock()
    shop.start_bot()
    return shop


def queue(shop: Shop) -> Queue:
    return shop.deployments.queue


async def kept(shop: Shop, release: object = V1, *, created: float = 0.0, not_before: float = 0.0) -> Deployment:
    """A deployment that waits in the database, and that no task runs."""
    plan = await shop.deployments._planner.deploy(shop.app, shop.production, release)  # type: ignore[arg-type]
    now = created or shop.clock.now()

    def keep(tables: Tables) -> Deployment:
        return tables.deployments.add(
            plan, requester=shop.person, reason="", place=None, now=now, not_before=not_before
        )

    return await shop.store.write(keep)


async def audited(shop: Shop) -> list[tuple[str, str, str, str]]:
    rows = await shop.store.read(lambda tables: tables.audit.tail(100))
    return [(row.actor, row.action, row.subject, row.detail) for row in rows]


async def test_a_new_bot_takes_up_what_runs_and_then_by_the_time_of_its_wish(still: Shop) -> None:
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
async def test_ten_minutes_late_is_late_enough_to_be_told(still: Shop, seconds: float, state: State) -> None:
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


async def test_one_that_has_begun_is_never_too_late(still: Shop) -> None:
    one = await kept(still, not_before=still.clock.now() - HOUR)
    await still.store.write(
        lambda tables: tables.deployments.move(one.number, State.RUNNING, now=still.clock.now() - HOUR)
    )
    await queue(still).resume()
    assert (await still.end_of(one.number)).state is State.SUCCEEDED


async def test_a_cancel_that_came_before_the_bot_died_counts_after_it(still: Shop) -> None:
    one = await kept(still)
    await still.store.write(lambda tables: tables.deployments.ask_cancel(one.number, "ben"))
    await queue(still).resume()
    ended = await still.end_of(one.number)
    words = "Cancelled by ben. It had not started."
    assert (ended.state, ended.outcome) == (State.CANCELLED, words)
    assert (await audited(still))[-1] == ("deploybot", "deploy cancelled", "#1 shop/production", words)
    assert (await still.card(one.number)).final


async def test_requests_say_that_the_bot_was_started_anew(tmp_path: Path) -> None:
    async with make_shop(tmp_path, approvals=1) as shop:
        await shop.ask(V1)
        await queue(shop).close()
        shop.start_bot()
        await queue(shop).resume()
        request = await shop.store.read(lambda tables: tables.requests.get(1))
        assert request is not None
        assert request.note.startswith("deploybot restarted")


async def test_who_listens_hears_of_every_end(shop: Shop) -> None:
    heard: list[str] = []
    shop.on_end = heard.append
    await shop.deploy(V1)
    await asyncio.sleep(0)
    assert heard == ["shop"]
    shop.hosts["web1"].script("fetch", Outcome(hold=True))
    await shop.ask(V2)
    await shop.started(2, "fetch")
    await queue(shop).close()
    await asyncio.sleep(0)
    assert heard == ["shop", "shop"]


async def test_a_bot_that_stops_leaves_jobs_alone_and_forgets_its_own_wishes(shop: Shop) -> None:
    shop.hosts["web1"].script("fetch", Outcome(hold=True))
    await shop.ask(V1)
    job = await shop.started(1, "fetch")
    await queue(shop).close()
    found = await shop.deployments.get(1)
    assert found is not None
    assert found.state is State.RUNNING
    assert (await shop.hosts["web1"].poll(job, 0)).status.state == "running"
    shop.hosts["web1"].finish(job)
    await queue(shop).resume()
    assert (await shop.end_of(1)).state is State.SUCCEEDED


async def test_nothing_is_waited_for_that_nobody_runs(shop: Shop) -> None:
    async with asyncio.timeout(5):
        await queue(shop).idle(99)


async def test_one_that_waits_can_be_stopped_for_any_reason(shop: Shop) -> None:
    shop.hosts["web1"].script("fetch", Outcome(hold=True))
    await shop.ask(V1)
    job = await shop.started(1, "fetch")
    await shop.ask(V2)
    queue(shop).stop(2, Cancelled("the machine"))
    assert (await shop.end_of(2)).outcome == "Cancelled by the machine. It had not started."
    shop.hosts["web1"].script("fetch", Outcome())
    shop.hosts["web1"].finish(job)
    await shop.end_of(1)


async def test_a_newer_one_comes_in_the_place_of_one_that_waits(still: Shop) -> None:
    one, two = await kept(still), await kept(still)
    await still.store.write(lambda tables: queue(still).replace(tables, one.number, two.number))
    ended = await still.deployments.get(one.number)
    assert ended is not None
    words = "Replaced by the newer #2. Nothing was deployed."
    assert (ended.state, ended.outcome, ended.replaced_by) == (State.CANCELLED, words, 2)
    assert ended.finished == still.clock.now()
    assert (await audited(still))[-1] == ("deploybot", "deploy replaced", "#1 shop/production", words)
    assert (await still.card(one.number)).final


async def test_one_that_was_replaced_while_it_waited_for_its_turn_does_not_begin(still: Shop) -> None:
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


async def test_what_comes_before_is_named_with_who_asked_and_where_it_stands(still: Shop) -> None:
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


async def test_a_database_that_cannot_be_written_is_waited_for(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "STORE_PAUSE", 0.001)
    write, refusals = shop.store.write, 3

    async def full(work: Callable[[Tables], object]) -> object:
        nonlocal refusals
        if refusals:
            refusals -= 1
            raise StoreError("the disk is full")
        return await write(work)

    one = await kept(shop)
    monkeypatch.setattr(shop.store, "write", full)
    queue(shop).launch(one)
    assert (await shop.end_of(one.number)).state is State.SUCCEEDED
    assert refusals == 0


async def test_what_breaks_inside_is_told_with_its_mark_and_in_the_audit(
    shop: Shop, caplog: pytest.LogCaptureFixture
) -> None:
    shop.refs._folder = Path("/nonexistent")
    ended = await shop.deploy(V1)
    mark = ended.outcome.removeprefix("Something broke on my side, id ").removesuffix(". `status` shows what runs now.")
    assert len(mark) == 4
    assert f"#1 failed because of a bug, id {mark}" in caplog.text
    assert (await audited(shop))[-1] == ("deploybot", "deploy unknown", "#1 shop/production", ended.outcome)


async def test_an_app_that_is_gone_from_bot_toml_ends_what_waits_for_it(still: Shop) -> None:
    one = await kept(still)
    del still.settings.apps["shop"]
    queue(still).launch(one)
    ended = await still.end_of(one.number)
    assert (ended.state, ended.plan.kind) == (State.FAILED, Kind.DEPLOY)
    assert ended.outcome.endswith(". Nothing was done.")
    assert ".. " not in ended.outcome


async def test_a_deployment_that_is_gone_or_has_ended_is_left_alone(still: Shop) -> None:
    one = await kept(still)
    await still.store.write(lambda tables: tables.deployments.move(one.number, State.CANCELLED, now=1.0, outcome="no"))
    queue(still).launch(one)
    assert (await still.end_of(one.number)).outcome == "no"
    assert not still.hosts["web1"].started
