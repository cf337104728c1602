"""One thread, one connection, shared commits."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager, closing
from pathlib import Path

import pytest

from deploybot.domain import Person
from deploybot.errors import StoreError, UserError
from deploybot.ports import Store, Tables
from deploybot.store.database import Database
from tests.store.examples import NOW, ann, eventually


async def _add(store: Database, name: str) -> Person:
    return await store.write(lambda tables: tables.people.add(name))


async def _names(store: Database) -> list[str]:
    return [person.name for person in await store.read(lambda tables: tables.people.everybody())]


@asynccontextmanager
async def _held(store: Database) -> AsyncIterator[None]:
    """Hold the database's thread inside a read, so that what is asked for meanwhile waits together."""
    begun, go = asyncio.Event(), threading.Event()
    loop = asyncio.get_running_loop()

    def hold(_: Tables) -> None:
        loop.call_soon_threadsafe(begun.set)
        assert go.wait(20)

    task = asyncio.create_task(store.read(hold))
    await begun.wait()
    try:
        yield
        await asyncio.sleep(0)  # what was made a task asks now
    finally:
        go.set()
    await task


def test_it_is_a_store(path: Path) -> None:
    store: Store = Database(path)
    assert not store.problem


async def test_a_write_gives_what_the_work_gives(store: Database) -> None:
    assert await store.write(ann) == Person(1, "ann")
    assert await store.read(lambda tables: tables.people.named("ann")) == Person(1, "ann")


async def test_what_the_work_raises_is_raised_and_undoes_it(store: Database) -> None:
    def work(tables: Tables) -> None:
        ann(tables)
        raise UserError("changed my mind")

    with pytest.raises(UserError, match="changed my mind"):
        await store.write(work)
    assert await _names(store) == []


async def test_writes_that_wait_together_share_a_commit(store: Database) -> None:
    before = store.commits
    async with _held(store):
        writes = [asyncio.create_task(_add(store, f"p{number}")) for number in range(200)]
    people = await asyncio.gather(*writes)
    assert [person.id for person in people] == list(range(1, 201))
    assert store.commits == before + 1


async def test_in_a_shared_commit_one_that_fails_undoes_only_itself(store: Database) -> None:
    before = store.commits
    async with _held(store):
        writes = [asyncio.create_task(_add(store, name)) for name in ("ann", "ann", "bad name", "bob")]
    found = await asyncio.gather(*writes, return_exceptions=True)
    assert [type(one) for one in found] == [Person, UserError, UserError, Person]
    assert await _names(store) == ["ann", "bob"]
    assert store.commits == before + 1


async def test_a_thousand_writes_at_once_are_all_kept_in_few_commits(store: Database) -> None:
    before = store.commits
    async with _held(store):
        writes = [asyncio.create_task(_add(store, f"p{number}")) for number in range(1000)]
    await asyncio.gather(*writes)
    assert len(await _names(store)) == 1000
    assert store.commits - before <= 5


async def test_each_is_posted_only_after_the_commit(store: Database, path: Path) -> None:
    with closing(sqlite3.connect(path)) as other:
        for number in range(20):
            await _add(store, f"p{number}")
            assert other.execute("SELECT count(*) FROM persons").fetchone() == (number + 1,)


async def test_a_read_between_writes_sees_those_before_it(store: Database) -> None:
    async with _held(store):
        first = asyncio.create_task(_add(store, "ann"))
        names = asyncio.create_task(_names(store))
        second = asyncio.create_task(_add(store, "bob"))
    assert (await first, await names, await second) == (Person(1, "ann"), ["ann"], Person(2, "bob"))


async def test_a_read_cannot_write(store: Database) -> None:
    with pytest.raises(StoreError, match="a read tried to change"):
        await store.read(ann)
    assert store.healthy
    assert await store.write(ann) == Person(1, "ann")


async def test_what_was_cancelled_while_it_waited_is_not_done(store: Database) -> None:
    async with _held(store):
        write = asyncio.create_task(_add(store, "ann"))
        await asyncio.sleep(0)
        write.cancel()
    assert await _names(store) == []


async def test_a_caller_waits_no_longer_than_the_deadline(path: Path) -> None:
    async with Database(path, durable=False, answer_within=0.05) as store:
        release = threading.Event()
        with pytest.raises(StoreError, match="did not answer within"):
            await store.read(lambda _: release.wait(20))
        with pytest.raises(StoreError, match="it is unknown whether this was saved"):
            await _add(store, "late")
        release.set()


@pytest.mark.parametrize("error", [TimeoutError("mine"), asyncio.CancelledError(), KeyboardInterrupt(), SystemExit(3)])
async def test_whatever_the_work_raises_the_thread_lives_on(store: Database, error: BaseException) -> None:
    def work(_: Tables) -> None:
        raise error

    for ask in (store.write, store.read):
        task = asyncio.create_task(_caught(ask(work)))
        assert await task is error
    assert await store.write(ann) == Person(1, "ann")


async def _caught(asked: Coroutine[object, object, None]) -> BaseException | None:
    try:
        await asked
    except BaseException as error:  # noqa: BLE001 - it is what is looked at
        return error
    return None


async def test_a_work_that_runs_out_says_so(store: Database) -> None:
    with pytest.raises(RuntimeError, match="ran out"):
        await store.write(lambda _: next(iter(())))


async def test_what_was_asked_for_before_closing_is_done(store: Database, path: Path) -> None:
    writes = [asyncio.create_task(_add(store, f"p{number}")) for number in range(50)]
    await asyncio.sleep(0)
    await store.aclose()
    await asyncio.gather(*writes)
    async with Database(path, durable=False) as again:
        assert len(await _names(again)) == 50


async def test_a_closed_one_says_so(store: Database) -> None:
    await store.aclose()
    await store.aclose()
    with pytest.raises(StoreError, match="closed"):
        await _names(store)


async def test_one_that_was_never_opened_says_so(path: Path) -> None:
    with pytest.raises(StoreError, match="closed"):
        await _names(Database(path))


async def test_closing_is_bounded(store: Database) -> None:
    async with _held(store):
        await store.aclose(within=0.05)


async def test_no_thread_is_left(path: Path) -> None:
    async with Database(path, durable=False):
        assert "deploybot-store" in {thread.name for thread in threading.enumerate()}
    for thread in threading.enumerate():
        if thread.name == "deploybot-store":
            thread.join(5)
            assert not thread.is_alive()


async def test_a_start_that_is_cancelled_leaves_no_thread(path: Path) -> None:
    opening = asyncio.create_task(Database(path, durable=False).open())
    await asyncio.sleep(0)
    opening.cancel()
    with pytest.raises(asyncio.CancelledError):
        await opening
    await eventually(lambda: "deploybot-store" not in {thread.name for thread in threading.enumerate()})


async def test_two_programs_take_turns(store: Database, path: Path) -> None:
    async with Database(path, durable=False) as cli:
        writes = [_add(one, f"{name}{number}") for number in range(20) for one, name in ((store, "s"), (cli, "c"))]
        await asyncio.gather(*writes)
        await _add(cli, "ann")
    assert len(await _names(store)) == 41


async def test_the_audit_of_two_programs_is_one_chain(store: Database, path: Path) -> None:
    async with Database(path, durable=False) as cli:
        rows = [
            await one.write(lambda tables: tables.audit.append(actor="a", action="b", subject="c", now=NOW))
            for one in (store, cli, store, cli)
        ]
    assert [row.previous for row in rows[1:]] == [row.hash for row in rows[:-1]]
