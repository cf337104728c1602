"""The audit's chain: whatever is done to it shows."""

from __future__ import annotations

import asyncio
import hashlib
import random
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from deploybot.domain import AuditRow
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.store.audit_chain import ChainCheck, Head, HeadFile, verify
from deploybot.store.audit_rows import GENESIS, AuditRows, link
from deploybot.store.database import Database
from tests.store.examples import NOW, seeded, times

ROWS = 30
COLUMNS = ("number", "at", "actor", "action", "subject", "detail", "previous", "hash")
ODD = (0, -1, 5.5, "", " ", "\0", "ann ", b"ann", b"\xff\xfe", GENESIS, GENESIS[:-1] + "1", 2**40)


def _fill(tables: Tables, count: int = ROWS) -> list[AuditRow]:
    return [
        tables.audit.append(actor="ann", action="deploy", subject=f"#{number}", detail="because", now=NOW + number)
        for number in range(count)
    ]


@contextmanager
def _unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """The file as somebody sees it who gets past the bot."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER audit_update")
        connection.execute("DROP TRIGGER audit_delete")
        yield connection


async def test_rows_are_linked_from_the_genesis_on(store: Database) -> None:
    rows = await store.write(_fill)
    assert [row.number for row in rows] == list(range(1, ROWS + 1))
    assert [row.previous for row in rows] == [GENESIS, *(row.hash for row in rows[:-1])]
    assert await store.read(lambda tables: tables.audit.tail(3)) == tuple(rows[-3:])
    assert await store.read(lambda tables: tables.audit.page(5, 2)) == tuple(rows[5:7])


async def test_the_hash_is_as_documented() -> None:
    text = b'[1,1800000000.0,"ann","deploy","#1","because","' + b"0" * 64 + b'"]'
    assert link((1, NOW, "ann", "deploy", "#1", "because", GENESIS)) == hashlib.sha256(text).hexdigest()


async def test_a_whole_chain_is_found_whole(store: Database, path: Path) -> None:
    rows = await store.write(lambda tables: _fill(tables, 2500))
    head = Head(2500, rows[-1].hash)
    verdict = await verify(store, head)
    assert verdict.ok
    assert verdict.head == head == HeadFile(path.with_name("audit.head")).read()


async def test_secrets_are_masked_before_a_row_is_hashed(path: Path) -> None:
    """Rows also leave the machine, and what was hashed can never be masked later."""
    secret = "hunter2-hunter2"
    async with Database(path, durable=False, redactor=Redactor((secret,))) as store:
        said = {name: f"{name} {secret}" for name in ("actor", "action", "subject", "detail")}
        row = await store.write(lambda tables: tables.audit.append(**said, now=NOW))
        assert (row.actor, row.detail) == ("actor •••", "detail •••")
        assert secret not in row.line()
        assert (await verify(store)).ok


async def test_an_empty_chain_is_whole(store: Database) -> None:
    assert (await verify(store, Head())).ok


async def test_any_text_can_be_kept(store: Database) -> None:
    await store.write(
        lambda tables: tables.audit.append(actor="é", action="\0", subject="\ud800", detail="\r\n\u2028", now=1)
    )
    assert (await verify(store)).ok


@pytest.mark.parametrize(
    "sql", ["UPDATE audit SET detail = 'x'", "DELETE FROM audit", "REPLACE INTO audit SELECT * FROM audit"]
)
async def test_the_database_refuses_to_change_it(store: Database, path: Path, sql: str) -> None:
    await store.write(_fill)
    with closing(sqlite3.connect(path)) as connection:
        connection.execute("PRAGMA recursive_triggers = ON")
        with pytest.raises(sqlite3.IntegrityError, match="the audit is never"):
            connection.execute(sql)


def _edit(connection: sqlite3.Connection, rng: random.Random) -> None:
    column, number = rng.choice(COLUMNS), rng.randint(1, ROWS)
    (old,) = connection.execute(f"SELECT {column} FROM audit WHERE number = ?", (number,)).fetchone()  # noqa: S608  its own columns
    value = rng.choice([*ODD, _flip(str(old), rng), str(old).upper() + "x"])
    typed = "CAST(? AS TEXT)" if rng.random() < 0.2 and column not in {"number", "at"} else "?"
    connection.execute(f"UPDATE audit SET {column} = {typed} WHERE number = ?", (value, number))  # noqa: S608  its own columns


def _flip(text: str, rng: random.Random) -> str:
    at = rng.randrange(len(text))
    return text[:at] + chr(ord(text[at]) ^ (1 << rng.randrange(5))) + text[at + 1 :]


def _delete(connection: sqlite3.Connection, rng: random.Random) -> None:
    connection.execute("DELETE FROM audit WHERE number = ?", (rng.randint(1, ROWS),))


def _truncate(connection: sqlite3.Connection, rng: random.Random) -> None:
    connection.execute("DELETE FROM audit WHERE number > ?", (rng.randrange(ROWS),))


def _behead(connection: sqlite3.Connection, rng: random.Random) -> None:
    connection.execute("DELETE FROM audit WHERE number < ?", (rng.randint(2, ROWS),))


def _swap(connection: sqlite3.Connection, rng: random.Random) -> None:
    one, other = rng.sample(range(1, ROWS + 1), 2)
    for old, new in ((one, -1), (other, one), (-1, other)):
        connection.execute("UPDATE audit SET number = ? WHERE number = ?", (new, old))


def _close_up(connection: sqlite3.Connection, rng: random.Random) -> None:
    gone = rng.randint(1, ROWS)
    connection.execute("DELETE FROM audit WHERE number = ?", (gone,))
    connection.execute("UPDATE audit SET number = -number WHERE number > ?", (gone,))
    connection.execute("UPDATE audit SET number = -number - 1 WHERE number < 0")


def _rewrite(connection: sqlite3.Connection, rng: random.Random) -> None:
    """An edit by somebody who knows how the chain is made, and makes all of it anew from there."""
    _relink(connection, rng.randint(1, ROWS), "deny")


def _relink(connection: sqlite3.Connection, first: int, action: str) -> None:
    connection.execute("UPDATE audit SET action = ? WHERE number = ?", (action, first))
    for row in AuditRows(connection, Redactor()).page(first - 1):
        before = connection.execute("SELECT hash FROM audit WHERE number = ?", (row.number - 1,)).fetchone()
        previous = before[0] if before else GENESIS
        digest = link((row.number, row.at, row.actor, row.action, row.subject, row.detail, previous))
        sql = "UPDATE audit SET previous = ?, hash = ? WHERE number = ?"
        connection.execute(sql, (previous, digest, row.number))


ATTACKS: tuple[Callable[[sqlite3.Connection, random.Random], None], ...] = (
    _edit,
    _edit,
    _edit,
    _delete,
    _truncate,
    _behead,
    _swap,
    _close_up,
    _rewrite,
)


def _content(connection: sqlite3.Connection) -> list[tuple[object, ...]]:
    columns = ", ".join(f"typeof({one}), CAST({one} AS BLOB)" for one in COLUMNS)
    return connection.execute(f"SELECT {columns} FROM audit").fetchall()  # noqa: S608  its own columns


async def test_a_thousand_attacks_are_all_found(store: Database, path: Path) -> None:
    rows = await store.write(_fill)
    await store.aclose()
    head, rng, found, done = Head(ROWS, rows[-1].hash), seeded(), 0, 0
    with _unguarded(path) as original:
        before = _content(original)
        while done < times(1000):
            with closing(sqlite3.connect(":memory:")) as copy:
                original.backup(copy)
                attack = rng.choice(ATTACKS)
                try:
                    attack(copy, rng)
                except sqlite3.IntegrityError:
                    continue
                if _content(copy) == before:
                    continue
                done += 1
                check = ChainCheck(head)
                check.follow(AuditRows(copy, Redactor()).page(0))
                found += not check.verdict().ok
                assert found == done, f"{attack.__name__} was not found"
    assert found == done == times(1000)


@pytest.mark.parametrize(
    ("attack", "broken", "why"),
    [
        ("UPDATE audit SET detail = 'x' WHERE number = 7", 7, "row 7 was changed"),
        ("DELETE FROM audit WHERE number = 7", 7, "row 8 follows row 6"),
        ("DELETE FROM audit WHERE number > 20", 21, "row 20 is the last, but row 30 was recorded"),
        ("DELETE FROM audit", 1, "row 0 is the last, but row 30 was recorded"),
        ("UPDATE audit SET previous = hash WHERE number = 7", 7, "row 7 does not continue the row before it"),
        ("UPDATE audit SET detail = CAST(x'ff' AS TEXT) WHERE number = 7", 7, "row 7 was changed"),
    ],
)
async def test_the_first_broken_link_is_named(store: Database, path: Path, attack: str, broken: int, why: str) -> None:
    rows = await store.write(_fill)
    with _unguarded(path) as connection:
        connection.execute(attack)
    verdict = await verify(store, Head(ROWS, rows[-1].hash))
    assert (verdict.ok, verdict.broken) == (False, broken)
    assert why in verdict.why


async def test_without_a_recorded_head_a_cut_off_end_cannot_show(store: Database, path: Path) -> None:
    await store.write(_fill)
    with _unguarded(path) as connection:
        connection.execute("DELETE FROM audit WHERE number > 20")
    assert (await verify(store)).ok


async def _reopened(path: Path) -> tuple[AuditRow, ...]:
    async with Database(path, durable=False) as again:
        return await again.read(lambda tables: tables.audit.page(0))


async def test_a_start_on_a_whole_chain_adds_nothing(store: Database, path: Path) -> None:
    rows = await store.write(_fill)
    await store.aclose()
    assert await _reopened(path) == tuple(rows)
    assert HeadFile(path.with_name("audit.head")).read() == Head(ROWS, rows[-1].hash)


async def test_a_head_that_lags_behind_is_brought_up_to_date(store: Database, path: Path) -> None:
    rows = await store.write(_fill)
    await store.aclose()
    file = HeadFile(path.with_name("audit.head"))
    file.write(Head(20, rows[19].hash))
    assert await _reopened(path) == tuple(rows)
    assert file.read() == Head(ROWS, rows[-1].hash)


@pytest.mark.parametrize(
    ("attack", "gap"),
    [
        ("DELETE FROM audit WHERE number > 20", "row 30 was recorded as written, but row 20 is the last here"),
        ("UPDATE audit SET hash = 'x' WHERE number = 30", "row 30 differs from the one that was recorded as written"),
    ],
)
async def test_a_gap_found_at_the_start_is_written_down(store: Database, path: Path, attack: str, gap: str) -> None:
    await store.write(_fill)
    await store.aclose()
    with _unguarded(path) as connection:
        connection.execute(attack)
    last = (await _reopened(path))[-1]
    assert (last.actor, last.action, last.detail) == ("deploybot", "audit-gap", gap)


async def test_a_gap_is_reported_by_every_later_check(store: Database, path: Path) -> None:
    await store.write(_fill)
    await store.aclose()
    with _unguarded(path) as connection:
        connection.execute("DELETE FROM audit WHERE number > 20")
    for _ in range(2):
        await _reopened(path)
        async with Database(path, durable=False) as again:
            verdict = await verify(again, HeadFile(path.with_name("audit.head")).read())
        assert (verdict.ok, verdict.broken) == (False, 21)
        assert verdict.why == (
            "rows before it were lost, as found at a start: row 30 was recorded as written, but row 20 is the last here"
        )


async def test_the_chain_is_checked_while_it_grows(store: Database, path: Path) -> None:
    await store.write(lambda tables: _fill(tables, 3000))
    recorded = HeadFile(path.with_name("audit.head")).read()
    growing = asyncio.gather(*(store.write(lambda tables: _fill(tables, 1)) for _ in range(100)))
    assert (await verify(store, recorded)).ok
    await growing


@pytest.mark.parametrize("content", [None, b"", b"nonsense", b"1 2 3"])
async def test_a_lost_record_of_the_head_is_written_down(store: Database, path: Path, content: bytes | None) -> None:
    await store.write(_fill)
    await store.aclose()
    file = path.with_name("audit.head")
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    rows = await _reopened(path)
    assert rows[-1].detail == "the record of its last row is missing; row 30 is the last here"


async def test_rows_that_were_undone_are_not_recorded(store: Database, path: Path) -> None:
    await store.write(_fill)
    await store.read(lambda _: None)  # the head is recorded after the answer
    kept = HeadFile(path.with_name("audit.head")).read()

    def undone(tables: Tables) -> None:
        _fill(tables, 1)
        raise ValueError

    with pytest.raises(ValueError, match=r"^$"):
        await store.write(undone)
    await store.read(lambda _: None)
    assert HeadFile(path.with_name("audit.head")).read() == kept
