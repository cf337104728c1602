"""When the disk is full, the file is held or damaged: nothing untrue is told, and it ends by itself."""

from __future__ import annotations

import asyncio
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path

import pytest

from deploybot.domain import Person
from deploybot.errors import StoreDown, StoreError, UserError
from deploybot.ports import Tables
from deploybot.store import database
from deploybot.store.audit_chain import verify
from deploybot.store.database import Database
from deploybot.store.database_connection import Way
from tests.lab import FullDisk
from tests.store.examples import NOW, ann, eventually


def _wreck(path: Path, *, offset: int, size: int) -> None:
    with path.open("r+b") as file:
        file.seek(offset)
        file.write(os.urandom(size))


def _wreck_header(path: Path) -> None:
    _wreck(path, offset=0, size=100)


def _wreck_pages(path: Path) -> None:
    _wreck(path, offset=4096, size=path.stat().st_size - 4096)


def _wreck_all(path: Path) -> None:
    path.write_bytes(b"not a database at all " * 1000)


def _cut(path: Path) -> None:
    os.truncate(path, path.stat().st_size // 2)


WRECKS = (_wreck_header, _wreck_pages, _wreck_all, _cut)


def _restore(sentence: str) -> None:
    """Run what the message tells a person to run."""
    subprocess.run(["sh", "-euc", sentence.partition(" with: ")[2]], check=True)


async def _names(store: Database) -> list[str]:
    return [person.name for person in await store.read(lambda tables: tables.people.everybody())]


@pytest.mark.parametrize("wreck", WRECKS)
async def test_a_damaged_file_stops_the_start_and_the_command_in_the_error_restores_it(
    tmp_path: Path, wreck: Callable[[Path], None]
) -> None:
    path = tmp_path / "ann's $HOME; data" / "deploybot.db"
    async with Database(path, durable=False) as store:
        await store.write(ann)
    async with Database(path, durable=False):
        pass  # each start keeps a copy
    wreck(path)
    with pytest.raises(StoreError, match="is damaged") as raised:
        await Database(path).open()
    _restore(str(raised.value))
    async with Database(path, durable=False) as again:
        assert await _names(again) == ["ann"]
    assert path.with_name("deploybot.db.damaged").exists()


async def test_a_journal_of_the_damaged_file_does_not_spoil_the_restored_one(path: Path) -> None:
    async with Database(path, durable=False) as store:
        await store.write(ann)
    shutil.copy(path, path.with_name("deploybot.db.bak"))
    _wreck_pages(path)
    path.with_name("deploybot.db-journal").write_bytes(os.urandom(9000))
    with pytest.raises(StoreError) as raised:
        await Database(path).open()
    _restore(str(raised.value))
    assert not path.with_name("deploybot.db-journal").exists()
    async with Database(path, durable=False) as again:
        assert await _names(again) == ["ann"]


async def test_without_a_copy_the_command_begins_anew(path: Path) -> None:
    async with Database(path, durable=False) as store:
        await store.write(ann)
    path.with_name("deploybot.db.bak").unlink()
    _wreck_all(path)
    with pytest.raises(StoreError, match="No copy exists yet") as raised:
        await Database(path).open()
    _restore(str(raised.value))
    async with Database(path, durable=False) as again:
        assert await _names(again) == []


@pytest.mark.parametrize("lose", [Path.unlink, lambda path: os.truncate(path, 0)])
async def test_a_lost_file_does_not_take_its_copy_with_it(tmp_path: Path, lose: Callable[[Path], None]) -> None:
    path = tmp_path / "ann's data" / "deploybot.db"
    async with Database(path, durable=False) as store:
        await store.write(ann)
    async with Database(path, durable=False):
        pass  # each start keeps a copy
    lose(path)
    with pytest.raises(StoreError, match=r"is (gone|empty), but a copy of it exists") as raised:
        await Database(path).open()
    command, _, anew = str(raised.value).partition("; or, to start")
    _restore(command)
    async with Database(path, durable=False) as again:
        assert await _names(again) == ["ann"]
    lose(path)
    await asyncio.to_thread(subprocess.run, ["sh", "-euc", anew.partition(": ")[2]], cwd=path.parent, check=True)
    async with Database(path, durable=False) as again:
        assert await _names(again) == []


async def test_damage_while_it_runs_is_reported_and_over_once_restored(store: Database, path: Path) -> None:
    await store.write(ann)
    shutil.copy(path, path.with_name("deploybot.db.bak"))
    _wreck_all(path)
    with pytest.raises(StoreError, match="is damaged"):
        await store.write(lambda tables: tables.people.add("bob"))
    assert "restore the last good copy" in store.problem
    with pytest.raises(StoreError, match="is damaged"):
        await _names(store)
    _restore(store.problem)
    await eventually(lambda: store.healthy)
    assert await store.write(lambda tables: tables.people.add("bob")) == Person(2, "bob")


async def test_a_damaged_file_never_replaces_the_good_copy(path: Path) -> None:
    async with Database(path, durable=False, copy_every=0.05) as store:
        await store.write(lambda tables: [tables.people.add(f"p{number}") for number in range(2000)])
        copy = path.with_name("deploybot.db.bak")
        await eventually(lambda: _count(copy) == 2000)
        with closing(sqlite3.connect(path)) as connection:
            (page,) = connection.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'persons'").fetchone()
        _wreck(path, offset=(page - 1) * 4096, size=4096)
        with closing(sqlite3.connect(path)) as connection, connection:
            connection.execute("PRAGMA user_version = 1")  # so that the bot's connection reads the file again
        await store.write(lambda tables: tables.seen.first("slack", "1", NOW))
        await eventually(lambda: not store.healthy)
        assert "is damaged" in store.problem
    assert _count(copy) == 2000


def _count(path: Path) -> int:
    with closing(sqlite3.connect(path)) as connection:
        return int(connection.execute("SELECT count(*) FROM persons").fetchone()[0])


async def test_a_program_that_holds_the_database_is_reported_and_waited_out(path: Path) -> None:
    async with Database(path, way=Way(durable=False, busy_within=0.05)) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN EXCLUSIVE")
            with pytest.raises(StoreError, match=r"another program has locked the database .*: end that program"):
                await store.write(ann)
            assert store.problem
            other.execute("ROLLBACK")
        await eventually(lambda: store.healthy)
        assert await store.write(ann) == Person(1, "ann")


async def test_who_asks_while_another_program_holds_it_does_not_wait_as_long_as_the_first(path: Path) -> None:
    def patience(tables: Tables) -> int:
        return int(tables.people._run("PRAGMA busy_timeout").fetchone()[0])  # type: ignore[attr-defined]

    async with Database(path, way=Way(durable=False, busy_within=0.6)) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreDown):
                await store.write(ann)
            assert await store.read(patience) == 500
            other.execute("ROLLBACK")
        await store.write(ann)
        assert store.healthy
        assert await store.read(patience) == 600


async def test_trouble_is_not_over_because_a_work_refused(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "_PROBE_SECONDS", 3.0)  # until it tries itself again
    async with Database(path, way=Way(durable=False, busy_within=0.05)) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(StoreError):
                await store.write(ann)
            other.execute("ROLLBACK")
        with pytest.raises(UserError, match="cannot be a person's name"):
            await store.write(lambda tables: tables.people.add("bad name"))
        assert not store.healthy
        await eventually(lambda: store.healthy)


async def test_a_reader_elsewhere_does_not_stop_writes_for_long(path: Path) -> None:
    async with Database(path, durable=False) as store:
        with closing(sqlite3.connect(path, isolation_level=None)) as other:
            other.execute("BEGIN")
            other.execute("SELECT count(*) FROM persons").fetchone()
            other.execute("ROLLBACK")
            assert await store.write(ann) == Person(1, "ann")


async def test_a_file_that_was_taken_away_is_missed_at_once(store: Database, path: Path) -> None:
    await store.write(ann)
    moved = shutil.move(path, path.with_name("moved"))
    with pytest.raises(StoreError, match="cannot be opened"):
        await store.write(lambda tables: tables.people.add("bob"))
    shutil.move(moved, path)
    await eventually(lambda: store.healthy)
    assert await _names(store) == ["ann"]


async def test_an_older_copy_put_back_while_it_runs_is_used_and_the_gap_written_down(
    store: Database, path: Path
) -> None:
    await store.write(ann)
    shutil.copy(path, path.with_name("older"))
    for _ in range(3):
        await store.write(_much)
    await store.read(lambda _: None)
    path.with_name("older").replace(path)
    assert await _names(store) == ["ann"]
    (row,) = await store.read(lambda tables: tables.audit.page(0))
    assert (row.action, row.detail) == ("audit-gap", "row 300 was recorded as written, but row 0 is the last here")


async def test_a_full_disk_is_reported_and_over_when_there_is_space(full_disk: FullDisk) -> None:
    full_disk.empty()
    async with Database(full_disk.path / "data" / "deploybot.db") as store:
        await store.write(ann)
        full_disk.fill()
        with pytest.raises(StoreError, match=r"the disk with the database .* is full: free some space"):
            await store.write(_much)
        assert not store.healthy
        assert await _names(store) == ["ann"]
        with pytest.raises(StoreError, match="is full"):
            await store.write(_much)
        # What finds its place where another row was, as it may with a rollback journal, does not make it well.
        with suppress(StoreDown):
            await store.write(lambda tables: tables.people.add("bob"))
        assert not store.healthy
        full_disk.empty()
        await eventually(lambda: store.healthy)
        await store.write(_much)
        assert (await verify(store)).ok
        assert len(await store.read(lambda tables: tables.audit.page(0))) == 100


def _much(tables: object) -> None:
    for number in range(100):
        tables.audit.append(  # type: ignore[attr-defined]
            actor="ann", action="deploy", subject=f"#{number}", detail="x" * 500, now=NOW
        )


def test_a_limit_on_files_is_reported_and_over_when_it_is_raised(path: Path) -> None:
    argv = [sys.executable, "-m", "tests.store.children", "limited", str(path)]
    ended = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    assert ended.returncode == 0, ended.stderr
    kept, sentence, after = ended.stdout.splitlines()
    assert "has read or write errors" in sentence
    assert int(after) == int(kept) + 1


async def test_an_audit_head_that_cannot_be_written_is_reported(
    store: Database, path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    head = path.with_name("audit.head")
    head.unlink()
    head.mkdir()
    await store.write(_much)
    await store.aclose()
    assert "The audit's head could not be recorded" in caplog.text
    with pytest.raises(StoreError, match=r"audit\.head cannot be used \(Is a directory\)"):
        await Database(path).open()


async def test_a_failed_copy_while_it_runs_is_only_reported(path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async with Database(path, durable=False, copy_every=0.01) as store:
        copy = path.with_name("deploybot.db.bak")
        copy.unlink()
        copy.mkdir()
        await store.write(ann)
        await eventually(lambda: "No copy of the database could be made" in caplog.text)
        assert store.healthy
