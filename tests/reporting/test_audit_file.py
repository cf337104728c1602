"""The audit as lines of a real file: rotated, truncated, full, killed in the middle of a line."""

from __future__ import annotations

import asyncio
import json
import os
import random
import re
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploybot.domain import AuditRow
from deploybot.errors import Unreachable
from deploybot.reporting.audit_sinks.audit_file import AGAIN, Disk, FileSink
from deploybot.store.database import Database
from tests.kit.seeds import new_seed
from tests.lab import FullDisk
from tests.reporting.audit_scene import (
    assert_in_order,
    exporting,
    fill,
    numbers,
    reached,
    rows_in,
    state_of,
)
from tests.store.examples import eventually


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def _lines(path: Path) -> list[bytes]:
    return path.read_bytes().splitlines()


def _there(path: Path) -> Iterator[Path]:
    return path.parent.iterdir()


def _mode(path: Path) -> int:
    return path.stat().st_mode & 0o777


def _write(path: Path, data: bytes) -> None:
    path.write_bytes(data)


def row(number: int, detail: str = "because") -> AuditRow:
    return AuditRow(number, 1.5, "ann", "deploy", "#1", detail, "0" * 64, f"{number:064x}")


async def test_each_row_is_a_line_as_the_database_has_it_and_only_the_bots_user_reads_it(
    store: Database, path: Path
) -> None:
    sink = FileSink(path)
    async with exporting(store, {"file": sink}) as worker:
        first = await fill(store, 150, detail="é “quoted” \n \u2028 \x00")
        await reached(store, sink, 150)
        assert worker.sights["file"].waiting == 0
        second = await fill(store, 1)
        await reached(store, sink, 151)
    assert [AuditRow(**one) for one in rows_in(path)] == [*first, *second]
    assert (len(_lines(path)), _mode(path)) == (151, 0o600)


def test_a_line_is_as_the_docs_show_it() -> None:
    page = (Path(__file__).parents[2] / "docs" / "security.md").read_text()
    (shown,) = re.findall(r"```json\n(.*)\n```", page)
    assert [*json.loads(shown)] == [*json.loads(row(1).line())]


async def test_a_row_is_there_a_moment_after_its_commit(store: Database, path: Path) -> None:
    sink = FileSink(path)
    async with exporting(store, {"file": sink}, looks=60):
        await fill(store, 1)
        await reached(store, sink, 1)
        await asyncio.sleep(0.5)  # until the worker has seen that nothing more is there
        await fill(store, 1)
        await reached(store, sink, 2, within=30)


async def test_what_another_program_added_is_found(store: Database, path: Path) -> None:
    sink = FileSink(path)
    async with exporting(store, {"file": sink}, looks=0.05), Database(store.path, durable=False) as other:
        await fill(other, 3)
        await reached(store, sink, 3)


async def test_a_new_sink_gets_the_audit_from_its_first_row(store: Database, path: Path) -> None:
    await fill(store, 200)
    sink = FileSink(path)
    async with exporting(store, {"file": sink}):
        await reached(store, sink, 200)
    assert numbers(rows_in(path)) == [*range(1, 201)]


async def test_a_renamed_file_is_left_and_a_new_one_begun(store: Database, path: Path) -> None:
    sink, rotated = FileSink(path), path.with_name("audit.jsonl.1")
    async with exporting(store, {"file": sink}):
        await fill(store, 70)
        await reached(store, sink, 70)
        os.rename(path, rotated)  # noqa: PTH104  what renames it is another program
        await fill(store, 70)
        await reached(store, sink, 140)
    assert numbers(rows_in(rotated)) == [*range(1, 71)]
    assert numbers(rows_in(path)) == [*range(71, 141)]


async def test_rows_that_a_copytruncate_may_have_lost_are_written_again(store: Database, path: Path) -> None:
    """The copy is made, a row comes, and the file is truncated with it: no copy has that row."""
    sink, copy = FileSink(path), path.with_name("audit.jsonl.1")
    async with exporting(store, {"file": sink}):
        await fill(store, 2 * AGAIN)
        await reached(store, sink, 2 * AGAIN)
        shutil.copy(path, copy)
        await fill(store, 1)
        await reached(store, sink, 2 * AGAIN + 1)
        os.truncate(path, 0)
        await fill(store, 1)
        await reached(store, sink, 2 * AGAIN + 2)
    assert 2 * AGAIN + 1 not in numbers(rows_in(copy))
    again = numbers(rows_in(path))
    assert again == [*range(again[0], 2 * AGAIN + 3)]
    assert len(again) >= AGAIN


async def test_rotation_at_any_moment_loses_nothing(store: Database, path: Path) -> None:
    """Somebody renames, copies and truncates, or deletes and keeps a copy, while rows come."""
    sink, seed = FileSink(path), new_seed()
    dice, kept = random.Random(seed), list[Path]()

    def rotate(number: int) -> None:
        target = path.with_name(f"audit.jsonl.{number}")
        if not path.exists():
            return
        if dice.random() < 0.5:
            path.rename(target)
        else:
            shutil.copy(path, target)
            os.truncate(path, 0)
        kept.append(target)

    async with exporting(store, {"file": sink}):
        for number in range(40):
            await fill(store, dice.randint(1, 30))
            await asyncio.sleep(dice.uniform(0, 0.05))
            await asyncio.to_thread(rotate, number)
        count = (await store.read(lambda tables: tables.audit.head()))[0]
        await fill(store, 1)
        await reached(store, sink, count + 1)
    found = numbers(rows_in(*kept, path))
    assert set(found) == set(range(1, count + 2)), f"seed {seed}"
    assert_in_order(found, count + 1)


async def test_a_rename_while_a_batch_is_written_writes_it_again(path: Path) -> None:
    """Who renamed it may have packed it before the rows came into it."""
    moved = path.with_name("audit.jsonl.1")

    class RotatedDisk(Disk):
        def write(self, descriptor: int, data: bytes) -> tuple[int, OSError | None]:
            if not moved.exists():
                path.rename(moved)
            return super().write(descriptor, data)

    sink = FileSink(path, disk=RotatedDisk())
    assert (await sink.send([row(5), row(6)], "")).number == 4
    assert (await sink.send([row(5), row(6)], "")).number == 6
    assert numbers(rows_in(path)) == [5, 6]


async def test_a_cut_line_is_left_and_the_row_begins_a_line_of_its_own(path: Path) -> None:
    _write(path, b'{"number": 1, "at": 1.5}\n{"number": 2, "a')
    assert (await FileSink(path).send([row(2)], "")).number == 2
    assert _lines(path)[1] == b'{"number": 2, "a'
    assert numbers(rows_in(path)) == [1, 2]


@pytest.mark.needs("root")
async def test_a_full_disk_holds_rows_back_and_loses_none(store: Database, full_disk: FullDisk) -> None:
    path = full_disk.path / "audit.jsonl"
    full_disk.empty()
    full_disk.fill(leave=8192)
    sink = FileSink(path)
    async with exporting(store, {"file": sink}) as worker:
        await fill(store, 100)
        await eventually(lambda: bool(worker.sights["file"].problem))
        state = await state_of(store, sink)
        assert 0 < state.number < 100
        assert state.since > 0
        assert "no space left on device" in worker.sights["file"].problem
        assert "none is lost" in worker.sights["file"].fix
        assert worker.sights["file"].waiting == 100 - state.number
        full_disk.empty()
        await reached(store, sink, 100)
        assert worker.sights["file"].problem == ""
    assert_in_order(numbers(rows_in(path)), 100)


async def test_a_disk_that_hangs_holds_up_nobody_and_keeps_the_order(
    store: Database, path: Path, tmp_path: Path
) -> None:
    """A batch that hangs is waited for, however often its time is over: never do two write."""
    import threading  # noqa: PLC0415  for this alone

    gate = threading.Event()
    stuck: list[int] = []

    class HangingDisk(Disk):
        def sync(self, descriptor: int) -> None:
            if os.fstat(descriptor).st_ino == path.stat().st_ino:
                stuck.append(descriptor)
                gate.wait(20)
            super().sync(descriptor)

    hangs, other = FileSink(path, within=0.1, disk=HangingDisk()), FileSink(tmp_path / "other.jsonl")
    async with exporting(store, {"file": hangs, "other": other}) as worker:
        await fill(store, 3)
        await reached(store, other, 3)
        async with asyncio.timeout(10):
            while (await state_of(store, hangs)).attempts < 3:  # noqa: ASYNC110  a database has no event for it
                await asyncio.sleep(0.01)
        assert "has not answered" in worker.sights["file"].problem
        await eventually(lambda: bool(stuck))
        assert len(stuck) == 1
        gate.set()
        await reached(store, hangs, 3)
    assert_in_order(numbers(rows_in(path)), 3)


@pytest.mark.parametrize("kind", ["folder", "fifo", "link", "missing"])
async def test_what_is_no_file_is_refused_with_what_to_do(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "there" / "audit.jsonl"
    if kind != "missing":
        path.parent.mkdir()
    if kind == "folder":
        path.mkdir()
    elif kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to(tmp_path / "elsewhere")
    for attempt in (FileSink(path).send([row(1)], ""), anext(aiter(FileSink(path).check()))):
        with pytest.raises(Unreachable) as caught:
            await attempt
        assert caught.value.hint
        assert str(path) in str(caught.value)
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.needs("root")
async def test_check_says_whether_it_can_be_written_and_writes_nothing(path: Path, full_disk: FullDisk) -> None:
    found = [one async for one in FileSink(path).check()]
    assert [(one.what, one.fix) for one in found] == [("writable", "")]
    assert [*_there(path)] == []
    await FileSink(path).send([row(1)], "")
    before = _lines(path)
    assert [one.text async for one in FileSink(path).check()] == [str(path)]
    assert _lines(path) == before
    with pytest.raises(Unreachable, match="no space left"):
        await anext(aiter(FileSink(full_disk.path / "audit.jsonl").check()))


def test_a_line_can_be_made_of_any_row_and_a_short_one_keeps_what_proves_it() -> None:
    odd = AuditRow(1, float("nan"), b"\xff", None, "half \ud800", "x" * 9000, "0" * 64, "f" * 64)  # type: ignore[arg-type]
    assert "\n" not in odd.line()
    odd.line().encode()
    short = json.loads(row(1, "é" * 9000).short_line(600))
    assert short["left_out"] == ["detail"]
    assert (short["number"], short["hash"], short["subject"]) == (1, row(1).hash, "#1")
    assert len(odd.short_line(600)) <= 600
