"""What runs where, locks, and messages taken already."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from deploybot.domain import Lock, Release, Running
from deploybot.errors import StoreError
from deploybot.ports import Tables
from deploybot.store.database import Database
from tests.store.examples import NOW, ann, commit, plan

LOCK = Lock("shop", "production", 1, "ann", "moving house", NOW, NOW + 60)


@pytest.fixture
async def people(store: Database) -> Database:
    await store.write(lambda tables: (ann(tables), tables.people.add("bob")))
    return store


async def test_the_last_release_on_a_server_is_what_runs(people: Database) -> None:
    await people.write(
        lambda tables: tables.deployments.add(plan(), requester=ann(tables), reason="", channel=None, now=NOW)
    )
    rows = [
        Running("shop", "production", server, Release.of_commit(commit(number), "v"), 1, NOW, healthy)
        for server, number, healthy in (("web2", 1, True), ("web1", 1, True), ("web1", 2, False))
    ]

    def put(tables: Tables) -> None:
        for row in rows:
            tables.running.put(row)

    await people.write(put)
    assert await people.read(lambda tables: tables.running.get("shop", "production")) == (rows[2], rows[0])
    assert await people.read(lambda tables: tables.running.all()) == (rows[2], rows[0])
    assert await people.read(lambda tables: tables.running.get("shop", "staging")) == ()


async def test_what_runs_came_by_a_deployment(people: Database) -> None:
    row = Running("shop", "production", "web1", Release.of_commit(commit(1)), 9, NOW, healthy=True)
    with pytest.raises(StoreError, match="FOREIGN KEY"):
        await people.write(lambda tables: tables.running.put(row))


async def test_a_lock_holds_against_others_until_its_end(people: Database) -> None:
    assert await people.write(lambda tables: tables.locks.take(LOCK)) is None
    other = replace(LOCK, person=2, holder="bob", since=NOW + 59, until=0.0)
    assert await people.write(lambda tables: tables.locks.take(other)) == LOCK
    assert await people.read(lambda tables: tables.locks.get("shop", "production", NOW + 59)) == LOCK
    assert await people.read(lambda tables: tables.locks.get("shop", "production", NOW + 60)) is None
    later = replace(other, since=NOW + 60)
    assert await people.write(lambda tables: tables.locks.take(later)) is None
    assert await people.read(lambda tables: tables.locks.all(NOW + 10**9)) == (later,)


async def test_ones_own_lock_can_be_taken_again(people: Database) -> None:
    longer = replace(LOCK, until=NOW + 600)
    assert await people.write(lambda tables: (tables.locks.take(LOCK), tables.locks.take(longer))) == (None, None)
    assert await people.read(lambda tables: tables.locks.all(NOW + 70)) == (longer,)


async def test_releasing_reports_what_was_there(people: Database) -> None:
    await people.write(lambda tables: tables.locks.take(LOCK))
    release = [await people.write(lambda tables: tables.locks.release("shop", "production")) for _ in range(2)]
    assert release == [LOCK, None]


async def test_of_a_thousand_who_race_for_a_lock_one_wins(people: Database) -> None:
    await people.write(lambda tables: [tables.people.add(f"p{number}") for number in range(1000)])

    async def take(person: int) -> Lock | None:
        return await people.write(lambda tables: tables.locks.take(replace(LOCK, person=person, holder=f"p{person}")))

    found = await asyncio.gather(*map(take, range(1, 1001)))
    assert found.count(None) == 1
    assert len(set(found) - {None}) == 1


async def test_a_message_is_new_once(store: Database) -> None:
    platforms = ("slack", "slack", "telegram", "slack")
    first = await store.write(lambda tables: [tables.seen.first(platform, "17", NOW) for platform in platforms])
    assert first == [True, False, True, False]


async def test_ids_are_forgotten_after_two_days(store: Database) -> None:
    day = 86400
    nows = (NOW, NOW + 2 * day, NOW + 2.1 * day)
    first = await store.write(lambda tables: [tables.seen.first("slack", "17", now) for now in nows])
    assert first == [True, False, True]
