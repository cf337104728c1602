"""Rows that left the machine against a database that was rewritten since: what is said of which row."""

from __future__ import annotations

import gzip
import itertools
import json
import random
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import AuditRow
from deploybot.ports import Tables
from deploybot.store.audit_chain import verify
from deploybot.store.audit_comparison import Comparer, Comparison
from deploybot.store.audit_rows import GENESIS
from deploybot.store.database import Database
from deploybot.store.exported_audit import Unread, hash_of, read
from tests.store.examples import NOW, seeded, times

ROWS = 30
Content = tuple[float, str, str, str, str]


async def _fill(store: Database, count: int = ROWS) -> list[AuditRow]:
    def fill(tables: Tables) -> list[AuditRow]:
        return [
            tables.audit.append(actor="ann", action="deploy", subject=f"#{number}", detail="because", now=NOW + number)
            for number in range(count)
        ]

    return await store.write(fill)


def _content(row: AuditRow) -> Content:
    return row.at, row.actor, row.action, row.subject, row.detail


def _chained(contents: Iterable[Content]) -> list[AuditRow]:
    """A whole chain of any rows, as somebody makes it who knows how."""
    rows, previous = [], GENESIS
    for number, content in enumerate(contents, 1):
        row = AuditRow(number, *content, previous=previous, hash="")
        row = replace(row, hash=hash_of(row))
        previous = row.hash
        rows.append(row)
    return rows


def _forge(path: Path, rows: Sequence[AuditRow]) -> None:
    """Put other rows in place of all."""
    with closing(sqlite3.connect(path)) as database, database:
        database.execute("DROP TRIGGER IF EXISTS audit_update")
        database.execute("DROP TRIGGER IF EXISTS audit_delete")
        database.execute("DELETE FROM audit")
        values = [tuple(row.fields().values()) for row in rows]
        database.executemany("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?, ?)", values)


async def _compare(store: Database, *files: Path) -> Comparison:
    comparer = Comparer(store)
    for line in itertools.chain.from_iterable(map(read, files)):
        await comparer.add(line)
    return await comparer.found()


def _export(path: Path, rows: Iterable[AuditRow]) -> Path:
    path.write_text("".join(f"{row.line()}\n" for row in rows))
    return path


def _put(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def _add(path: Path, text: str) -> None:
    with path.open("a") as file:
        file.write(text)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


async def test_a_whole_database_fits_also_over_repeats_several_files_and_gzip(store: Database, file: Path) -> None:
    rows = await _fill(store)
    _export(file, rows[10:] + rows[5:])
    packed = file.with_name("audit.jsonl.1.gz")
    packed.write_bytes(gzip.compress("".join(f"{row.line()}\n" for row in rows[:12]).encode()))
    found = await _compare(store, file, packed)
    assert not found.contradicted
    assert (found.proven, found.head, found.unproven, found.newer, found.unread) == (ROWS, ROWS, [], None, [])


async def test_a_changed_row_is_named_and_the_rows_chained_anew_after_it_are_no_other_changes(
    store: Database, path: Path, file: Path
) -> None:
    rows = await _fill(store)
    _export(file, rows)
    contents = [*map(_content, rows)]
    contents[11] = (*contents[11][:4], "nothing to see")
    _forge(path, _chained(contents))
    assert (await verify(store)).ok
    found = await _compare(store, file)
    assert found.contradicted
    (change,) = found.changes
    assert (change.number, change.at) == (12, rows[11].at)
    assert [*change.differences()] == [("detail", "because", "nothing to see")]
    assert (found.relinked, found.moved, found.proven) == ([(13, ROWS)], [], 11)


async def test_a_row_that_was_changed_without_its_hash_is_found(store: Database, path: Path, file: Path) -> None:
    rows = await _fill(store)
    _export(file, rows)
    _forge(path, [replace(row, actor="bob") if row.number == 4 else row for row in rows])
    found = await _compare(store, file)
    assert [(one.number, *one.differences()) for one in found.changes] == [(4, ("actor", "ann", "bob"))]
    assert found.relinked == []


async def test_a_removed_row_is_named_and_the_rows_after_it_have_another_number(
    store: Database, path: Path, file: Path
) -> None:
    rows = await _fill(store)
    _export(file, rows)
    _forge(path, _chained(_content(row) for row in rows if row.number != 12))
    found = await _compare(store, file)
    (change,) = found.changes
    assert (change.number, change.now) == (12, None)
    assert change.was
    assert change.was.fields["subject"] == rows[11].subject
    assert found.moved == [(number, number - 1) for number in range(13, ROWS + 1)]


async def test_an_added_row_is_named(store: Database, path: Path, file: Path) -> None:
    rows = await _fill(store)
    _export(file, rows)
    contents = [*map(_content, rows)]
    contents.insert(11, (NOW, "eve", "allow", "eve", "admin"))
    _forge(path, _chained(contents))
    found = await _compare(store, file)
    (change,) = found.changes
    assert change.was is None
    assert change.now
    assert (change.number, change.now.actor) == (12, "eve")
    assert found.moved == [(number, number + 1) for number in range(12, ROWS + 1)]


async def test_a_cut_off_end_is_named_also_where_new_rows_came_after(store: Database, path: Path, file: Path) -> None:
    rows = await _fill(store)
    _export(file, rows)
    _forge(path, [*rows[:20], *_chained([*map(_content, rows[:20]), (NOW, "eve", "a", "b", "c")])[20:]])
    found = await _compare(store, file)
    assert [change.number for change in found.changes if change.now is None] == [*range(21, ROWS + 1)]
    assert [change.number for change in found.changes if change.was is None] == [21]


async def test_a_row_whose_time_alone_was_changed_is_a_changed_one(store: Database, path: Path, file: Path) -> None:
    rows = await _fill(store)
    _export(file, rows)
    contents = [*map(_content, rows)]
    contents[4] = (NOW - 3600, *contents[4][1:])
    _forge(path, _chained(contents))
    found = await _compare(store, file)
    assert [(one.number, *one.differences()) for one in found.changes] == [(5, ("at", NOW + 4, NOW - 3600))]


async def test_an_emptied_database_is_contradicted(store: Database, path: Path, file: Path) -> None:
    rows = await _fill(store)
    _export(file, rows)
    _forge(path, [])
    found = await _compare(store, file)
    assert len(found.changes) == ROWS
    assert found.head == 0


async def test_what_the_file_lacks_is_unproven_and_no_contradiction(store: Database, file: Path) -> None:
    rows = await _fill(store)
    _export(file, [row for row in rows if row.number not in {1, 7, 8, 9, 29, 30}])
    found = await _compare(store, file)
    assert not found.contradicted
    assert (found.unproven, found.newer, found.proven) == ([(1, 1), (7, 9)], (29, 30), 24)


@pytest.mark.parametrize("size", [1, 5, 60, 200])
async def test_a_file_cut_in_a_line_proves_the_rest(store: Database, file: Path, size: int) -> None:
    rows = await _fill(store)
    _export(file, rows[:-1])
    _add(file, rows[-1].line()[:size])
    found = await _compare(store, file)
    assert not found.contradicted
    assert (found.proven, found.newer) == (ROWS - 1, (ROWS, ROWS))
    assert found.unread == [Unread(f"audit.jsonl, line {ROWS}", "it is cut off")]


async def test_a_cut_line_in_the_middle_is_passed_over_and_a_last_line_needs_no_end(
    store: Database, file: Path
) -> None:
    rows = await _fill(store)
    _export(file, rows[:9])
    _add(file, rows[9].line()[:70] + "\n\n" + "\n".join(row.line() for row in rows[9:]))
    found = await _compare(store, file)
    assert not found.contradicted
    assert (found.proven, [one.position for one in found.unread]) == (ROWS, ["audit.jsonl, line 10"])


async def test_a_gzip_that_is_cut_off_proves_what_can_be_read(store: Database, file: Path) -> None:
    rows = await _fill(store, 2000)
    packed = gzip.compress("".join(f"{row.line()}\n" for row in rows).encode())
    _put(file, packed[: len(packed) // 2])
    found = await _compare(store, file)
    assert not found.contradicted
    assert 0 < found.proven < 2000
    assert "it is incomplete" in found.unread[-1].why


@pytest.mark.parametrize(
    "shape",
    [
        lambda row: f"Jan 15 08:00:00 bot deploybot[7]: {row.short_line(8000)}",
        lambda row: f"<86>1 2027-01-15T08:00:00Z bot deploybot 7 audit - {row.short_line(8000)}",
        lambda row: json.dumps({"type": "audit.row", "data": row.fields()}),
        lambda row: json.dumps(dict(sorted(row.fields().items()))).replace(".0,", ","),
        lambda row: row.short_line(400),
    ],
    ids=["rsyslog", "RFC 5424", "call", "another program's JSON", "shortened"],
)
async def test_lines_of_syslog_and_of_calls_are_read(
    store: Database, path: Path, file: Path, shape: Callable[[AuditRow], str]
) -> None:
    await _fill(store, 3)
    await store.write(lambda tables: tables.audit.append(actor="a", action="b", subject="c", detail="x" * 500, now=NOW))
    rows = await store.read(lambda tables: tables.audit.page(0))
    _put(file, ("Jan 15 07:00:00 bot sshd[9]: somebody else\n" + "\n".join(map(shape, rows))).encode())
    found = await _compare(store, file)
    assert (found.contradicted, found.proven, len(found.unread)) == (False, 4, 1)
    contents = [*map(_content, rows)]
    contents[3] = (*contents[3][:4], "y" * 500)
    _forge(path, _chained(contents))
    found = await _compare(store, file)
    assert found.contradicted
    assert [change.number for change in found.changes] == [4]


async def test_a_line_changed_in_the_file_is_distinguished_from_a_changed_row(store: Database, file: Path) -> None:
    rows = await _fill(store)
    _export(file, [replace(row, detail="forged") if row.number == 5 else row for row in rows])
    found = await _compare(store, file)
    assert found.contradicted
    assert (found.changes, found.edited) == ([], ["audit.jsonl, line 5"])


@pytest.mark.parametrize(
    "line",
    [
        "",
        "{}",
        "[1]",
        "null",
        '{"number": true, "hash": "", "previous": ""}',
        '{"number": -1, "hash": "", "previous": ""}',
        '{"number": 1' + "0" * 5000 + "}",
        '{"number": 99999999999999999999, "hash": "", "previous": ""}',
        '{"number": 1, "hash": 5, "previous": ""}',
        "[" * 100_000,
        '{"number"' * 10,
        "\ud800",
        "x" * (3 << 20),
    ],
)
async def test_odd_lines_prove_nothing_and_break_nothing(store: Database, file: Path, line: str) -> None:
    rows = await _fill(store, 3)
    _export(file, rows)
    with file.open("ab") as end:
        end.write(line.encode("utf-8", "surrogatepass") + b"\n" + rows[0].line().encode())
    found = await _compare(store, file)
    assert (found.contradicted, found.proven, found.rows) == (False, 3, 4)


async def test_rows_of_numbers_that_no_audit_has_are_removed_ones(store: Database, file: Path) -> None:
    await _fill(store, 3)
    row = AuditRow(1 << 60, 1.0, "a", "b", "c", "d", "0" * 64, "")
    _export(file, [replace(row, hash=hash_of(row))])
    found = await _compare(store, file)
    assert [(change.number, change.now) for change in found.changes] == [(1 << 60, None)]


async def test_rows_that_come_while_it_is_compared_are_no_contradiction(store: Database, file: Path) -> None:
    rows = await _fill(store, 5)
    comparer = Comparer(store)
    for line in read(_export(file, rows)):
        await comparer.add(line)
    more = await _fill(store, 5)
    for line in read(_export(file, more)):
        await comparer.add(line)
    found = await comparer.found()
    assert (found.contradicted, found.proven) == (False, 10)


async def test_whatever_is_forged_anywhere_is_found(store: Database, path: Path, file: Path) -> None:
    """Any rows changed, removed, added and moved, chained anew or not: what has left contradicts it."""
    dice: random.Random = seeded()
    rows = await _fill(store)
    _export(file, rows)
    whole = [*map(_content, rows)]
    for _ in range(times(150)):
        contents = list(whole)
        for _ in range(dice.randint(1, 3)):
            channel = dice.randrange(len(contents))
            match dice.choice(["change", "remove", "add", "swap"]):
                case "change":
                    contents[channel] = (*contents[channel][:4], f"{dice.random()}")
                case "remove":
                    del contents[channel]
                case "add":
                    contents.insert(channel, (NOW, "eve", "allow", "eve", f"{dice.random()}"))
                case _:
                    other = dice.randrange(len(contents))
                    contents[channel], contents[other] = contents[other], contents[channel]
        _forge(path, _chained(contents))
        found = await _compare(store, file)
        assert found.contradicted == (contents != whole), contents
        named = {change.number for change in found.changes if change.was}
        gone = {number for number, content in enumerate(whole, 1) if content not in contents}
        assert named == gone
