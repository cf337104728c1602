"""Deployments and steps."""

from __future__ import annotations

import functools
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deploybot.domain import Channel, Deployment, Kind, Phase, State, StepRow, StepState
from deploybot.errors import StoreError
from deploybot.ports import Tables
from deploybot.store.database import Database
from tests.store.examples import CONSOLE, NOW, ann, plan, step_row

OPEN = [State.WAITING, State.RUNNING, State.RESTORING]
ENDS = [state for state in State if state.ended]


async def _add(store: Database, number: int = 1, *, app: str = "shop", kind: Kind = Kind.DEPLOY) -> Deployment:
    return await store.write(
        lambda tables: tables.deployments.add(
            plan(number, app=app, kind=kind), requester=ann(tables), reason="it is time", channel=CONSOLE, now=NOW
        )
    )


async def _move(store: Database, number: int, *states: State) -> Deployment:
    def move(tables: Tables) -> Deployment:
        return [tables.deployments.move(number, state, now=NOW + at) for at, state in enumerate(states, 1)][-1]

    return await store.write(move)


async def test_a_deployment_comes_back_as_it_was_added(store: Database) -> None:
    added = await _add(store)
    assert added.state is State.WAITING
    assert added.plan == plan()
    assert await store.read(lambda tables: tables.deployments.get(added.number)) == added


async def test_one_without_a_channel_has_none(store: Database) -> None:
    added = await store.write(
        lambda tables: tables.deployments.add(plan(), requester=ann(tables), reason="\ud800", channel=None, now=NOW)
    )
    assert (added.channel, added.reason) == (None, "?")
    assert await store.read(lambda tables: tables.deployments.get(1)) == added


async def test_numbers_have_no_gaps_even_where_one_was_undone(store: Database) -> None:
    assert (await _add(store)).number == 1
    with pytest.raises(StoreError, match="refused"):
        await store.write(
            lambda tables: tables.deployments.add(
                plan(), requester=type(ann(tables))(99, "nobody"), reason="", channel=Channel("console", "x"), now=NOW
            )
        )
    assert (await _add(store)).number == 2


async def test_times_are_set_on_the_way(store: Database) -> None:
    await _add(store)
    running = await _move(store, 1, State.RUNNING)
    assert (running.started, running.finished) == (NOW + 1, 0.0)
    ended = await _move(store, 1, State.RUNNING, State.RESTORING, State.RESTORED)
    assert (ended.started, ended.finished) == (NOW + 1, NOW + 3)
    assert await store.read(lambda tables: tables.deployments.get(1)) == ended


async def test_outcome_and_tail_stay_until_there_is_a_better_one(store: Database) -> None:
    await _add(store)
    await _move(store, 1, State.RUNNING)
    await store.write(
        lambda tables: tables.deployments.move(1, State.RESTORING, now=NOW, outcome="It broke.", tail=["a", "b"])
    )
    ended = await store.write(lambda tables: tables.deployments.move(1, State.RESTORED, now=NOW))
    assert (ended.outcome, ended.tail) == ("It broke.", ("a", "b"))


@pytest.mark.parametrize("end", ENDS)
@pytest.mark.parametrize("state", list(State))
async def test_an_ended_one_never_moves(store: Database, end: State, state: State) -> None:
    await _add(store)
    kept = await _move(store, 1, end)
    with pytest.raises(StoreError, match=f"#1 is {end}"):
        await _move(store, 1, state)
    assert await store.read(lambda tables: tables.deployments.get(1)) == kept


@pytest.mark.parametrize("before", OPEN)
@pytest.mark.parametrize("after", OPEN)
async def test_none_moves_back(store: Database, before: State, after: State) -> None:
    await _add(store)
    await _move(store, 1, before)
    if OPEN.index(after) < OPEN.index(before):
        with pytest.raises(StoreError, match="cannot become"):
            await _move(store, 1, after)
    else:
        assert (await _move(store, 1, after)).state is after


async def test_the_database_itself_refuses_to_move_an_ended_one(store: Database, path: Path) -> None:
    await _add(store)
    await _move(store, 1, State.FAILED)
    await store.aclose()
    with closing(sqlite3.connect(path)) as connection, pytest.raises(sqlite3.IntegrityError, match="never moves"):
        connection.execute("UPDATE deployments SET state = 'succeeded'")


async def test_an_unknown_one_cannot_move(store: Database) -> None:
    with pytest.raises(StoreError, match="no deployment #7"):
        await _move(store, 7, State.RUNNING)


async def test_only_a_waiting_one_gets_another_plan(store: Database) -> None:
    await _add(store)
    await store.write(lambda tables: tables.deployments.replan(1, plan(2)))
    kept = await store.read(lambda tables: tables.deployments.get(1))
    assert kept
    assert kept.plan == plan(2)
    await _move(store, 1, State.RUNNING)
    with pytest.raises(StoreError, match="does not wait"):
        await store.write(lambda tables: tables.deployments.replan(1, plan(3)))


async def test_one_that_has_begun_gets_another_plan_before_its_first_step(store: Database) -> None:
    await _add(store)
    await _move(store, 1, State.RUNNING)
    await store.write(lambda tables: tables.deployments.replan(1, plan(2), begun=True))
    kept = await store.read(lambda tables: tables.deployments.get(1))
    assert kept
    assert (kept.plan, kept.state) == (plan(2), State.RUNNING)
    await store.write(lambda tables: tables.deployments.begin(step_row(1)))
    with pytest.raises(StoreError, match="does not wait"):
        await store.write(lambda tables: tables.deployments.replan(1, plan(3), begun=True))


async def test_one_that_is_being_restored_keeps_its_plan(store: Database) -> None:
    await _add(store)
    await _move(store, 1, State.RESTORING)
    with pytest.raises(StoreError, match="does not wait"):
        await store.write(lambda tables: tables.deployments.replan(1, plan(2), begun=True))


async def test_open_ones_come_in_the_order_of_the_queue(store: Database) -> None:
    for _ in range(4):
        await _add(store)
    await _move(store, 2, State.CANCELLED)
    await _move(store, 1, State.RUNNING)
    found = await store.read(lambda tables: tables.deployments.open())
    assert [deployment.number for deployment in found] == [1, 3, 4]


async def test_recent_ones_come_newest_first(store: Database) -> None:
    for app in ("shop", "blog", "shop", "shop"):
        await _add(store, app=app)
    found = await store.read(
        lambda tables: (
            tables.deployments.recent("shop", limit=2),
            tables.deployments.recent("shop", "production"),
            tables.deployments.recent("shop", "staging"),
        )
    )
    assert [[deployment.number for deployment in some] for some in found] == [[4, 3], [4, 3, 1], []]


async def _add_past(store: Database) -> None:
    """Deployments of every kind: #1, #2 and the rollback #4 are successful releases."""
    for release, kind, end in (
        (1, Kind.DEPLOY, State.SUCCEEDED),
        (2, Kind.DEPLOY, State.SUCCEEDED),
        (3, Kind.DEPLOY, State.RESTORED),
        (1, Kind.ROLLBACK, State.SUCCEEDED),
        (4, Kind.RESTART, State.SUCCEEDED),
        (5, Kind.TASK, State.SUCCEEDED),
        (6, Kind.DEPLOY, State.RUNNING),
    ):
        added = await _add(store, release, kind=kind)
        await _move(store, added.number, end)


async def test_good_ones_are_successful_and_each_release_comes_once(store: Database) -> None:
    await _add_past(store)
    found = await store.read(lambda tables: tables.deployments.good("shop", "production", 10))
    assert [deployment.number for deployment in found] == [4, 2]
    found = await store.read(lambda tables: tables.deployments.good("shop", "production", 1))
    assert [deployment.number for deployment in found] == [4]


async def test_successes_are_those_of_deploys_and_rollbacks_each_of_them(store: Database) -> None:
    await _add_past(store)
    await _move(store, (await _add(store, 7, app="blog")).number, State.SUCCEEDED)
    found = await store.read(lambda tables: tables.deployments.succeeded("shop", "production", 10))
    assert [deployment.number for deployment in found] == [4, 2, 1]
    found = await store.read(lambda tables: tables.deployments.succeeded("shop", "production", 2))
    assert [deployment.number for deployment in found] == [4, 2]
    assert await store.read(lambda tables: tables.deployments.succeeded("shop", "staging", 10)) == ()
    past = await store.read(lambda tables: tables.deployments.past("shop", "production", 2))
    assert past == ((Kind.DEPLOY, found[1].plan.release.id), (Kind.ROLLBACK, found[0].plan.release.id))
    assert await store.read(lambda tables: tables.deployments.past("shop", "staging", 10)) == ()


def _begin(row: StepRow, tables: Tables) -> StepRow:
    return tables.deployments.begin(row)


async def test_healthy_releases_are_those_that_a_server_ran_well(store: Database) -> None:
    for release, kind, end in (
        (1, Kind.DEPLOY, State.SUCCEEDED),
        (2, Kind.ROLLBACK, State.SUCCEEDED),
        (3, Kind.DEPLOY, State.RESTORED),
        (4, Kind.RESTART, State.SUCCEEDED),
        (5, Kind.DEPLOY, State.RUNNING),
        (6, Kind.DEPLOY, State.SUCCEEDED),
        (7, Kind.DEPLOY, State.SUCCEEDED),
        (8, Kind.DEPLOY, State.SUCCEEDED),
    ):
        added = await _add(store, release, kind=kind)
        server, phase = ("web9" if release == 6 else "web1"), (Phase.CLEANUP if release == 7 else Phase.FORWARD)
        row = step_row(added.number, job=f"job-{release}", server=server, phase=phase)
        await store.write(functools.partial(_begin, row))
        if release == 8:  # the server went down, and was skipped
            await store.write(lambda tables: tables.deployments.end("job-8", StepState.FAILED, code=-3, now=1.0))
        await _move(store, added.number, end)
    found = await store.read(lambda tables: tables.deployments.healthy("shop", "production", "web1"))
    plans = await store.read(lambda tables: tables.deployments.recent("shop", "production", 10))
    ids = {one.number: one.plan.release.id for one in plans}
    assert found == {ids[1], ids[2]}
    assert await store.read(lambda tables: tables.deployments.healthy("shop", "staging", "web1")) == set()
    some = [ids[number] for number in (1, 3, 4, 5, 6, 7, 8)]
    pairs = await store.read(lambda tables: tables.deployments.healthy_pairs("shop", "production", some))
    assert pairs == {("web1", ids[1]), ("web9", ids[6])}
    assert await store.read(lambda tables: tables.deployments.healthy_pairs("shop", "staging", some)) == set()


async def test_the_first_who_cancels_is_kept(store: Database) -> None:
    await _add(store)
    asked = await store.write(lambda tables: [tables.deployments.ask_cancel(1, by) for by in ("ann", "bob")])
    assert asked == [True, False]
    kept = await store.read(lambda tables: tables.deployments.get(1))
    assert kept
    assert kept.cancel_by == "ann"


async def test_an_ended_one_cannot_be_cancelled(store: Database) -> None:
    await _add(store)
    await _move(store, 1, State.SUCCEEDED)
    assert not await store.write(lambda tables: tables.deployments.ask_cancel(1, "ann"))


async def test_a_step_that_was_begun_keeps_its_job(store: Database) -> None:
    await _add(store)
    first = step_row(job="1-first")
    assert await store.write(lambda tables: tables.deployments.begin(first)) == first
    again = await store.write(lambda tables: tables.deployments.begin(step_row(job="1-second")))
    assert again == first
    assert await store.read(lambda tables: tables.deployments.steps(1)) == (first,)


async def test_steps_come_in_the_order_they_were_made(store: Database) -> None:
    await _add(store)
    rows = (
        step_row(position=1, job="a"),
        step_row(position=0, job="b"),
        step_row(position=0, job="c", phase=Phase.RESTORE),
    )
    await store.write(lambda tables: [tables.deployments.begin(row) for row in rows])
    assert await store.read(lambda tables: tables.deployments.steps(1)) == rows


async def test_two_steps_never_share_a_job(store: Database) -> None:
    await _add(store)
    await store.write(lambda tables: tables.deployments.begin(step_row(job="same")))
    with pytest.raises(StoreError, match=r"UNIQUE.*job"):
        await store.write(lambda tables: tables.deployments.begin(step_row(position=1, job="same")))


async def test_a_step_needs_its_deployment(store: Database) -> None:
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        await store.write(lambda tables: tables.deployments.begin(step_row(9)))


async def test_a_log_is_only_ever_kept_further(store: Database) -> None:
    await _add(store)
    job = (await store.write(lambda tables: tables.deployments.begin(step_row()))).job
    await store.write(lambda tables: tables.deployments.progress(job, offset=10, size=30))
    with pytest.raises(StoreError, match="cannot be kept"):
        await store.write(lambda tables: tables.deployments.progress(job, offset=9, size=31))
    with pytest.raises(StoreError, match="cannot be kept"):
        await store.write(lambda tables: tables.deployments.progress("unknown", offset=11, size=31))
    (kept,) = await store.read(lambda tables: tables.deployments.steps(1))
    assert (kept.offset, kept.size) == (10, 30)


async def test_a_step_ends_once(store: Database) -> None:
    await _add(store)
    job = (await store.write(lambda tables: tables.deployments.begin(step_row()))).job

    def end(tables: Tables) -> None:
        for now in (NOW + 5, NOW + 9):
            tables.deployments.end(job, StepState.FAILED, code=3, now=now, detail="no")

    await store.write(end)
    with pytest.raises(StoreError, match="cannot end as done"):
        await store.write(lambda tables: tables.deployments.end(job, StepState.DONE, code=0, now=NOW))
    (kept,) = await store.read(lambda tables: tables.deployments.steps(1))
    assert (kept.state, kept.code, kept.finished, kept.detail) == (StepState.FAILED, 3, NOW + 5, "no")


async def test_an_unknown_job_cannot_end(store: Database) -> None:
    with pytest.raises(StoreError, match="no job"):
        await store.write(lambda tables: tables.deployments.end("x", StepState.DONE, code=0, now=NOW))


async def test_a_plan_that_cannot_be_read_any_more_says_so(store: Database, path: Path) -> None:
    await _add(store)
    await store.aclose()
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("UPDATE deployments SET plan = '{}'")
    async with Database(path, durable=False) as again:
        with pytest.raises(StoreError, match="does not hold a Plan"):
            await again.read(lambda tables: tables.deployments.get(1))
