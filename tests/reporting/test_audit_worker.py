"""The worker that takes the audit out: killed, failing for long, beside others that fail, after a rewrite."""

from __future__ import annotations

import asyncio
import json
import os
import random
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator, Sequence
from pathlib import Path
from typing import Any, Self

import pytest

from deploybot.domain import AuditRow
from deploybot.errors import ConfigError, Unreachable
from deploybot.ports import ChatFinding
from deploybot.reporting.audit_sinks.audit_call import CallSink, message
from deploybot.reporting.audit_sinks.audit_file import FileSink
from deploybot.reporting.audit_sinks.audit_sink import Reached, Sink
from deploybot.reporting.audit_sinks.audit_syslog import SyslogSink
from deploybot.reporting.audit_sinks.audit_worker import REPORT_AFTER
from deploybot.reporting.audit_sinks.sink_table import sinks_of
from deploybot.reporting.report_http import Caller
from deploybot.reporting.signed_calls import SignedCalls
from deploybot.settings import AuditExport
from deploybot.store.database import Database
from tests.kit.seeds import new_seed
from tests.reporting.audit_scene import (
    HastyClock,
    assert_in_order,
    exporting,
    fill,
    noticed,
    notices,
    numbers,
    reached,
    rows_in,
    state_of,
    unguarded,
    unix_listener,
)
from tests.reporting.doubles import HANG, LOST, SECRET, Fault, Receiver
from tests.store.examples import eventually

KILLS = int(os.environ.get("N", "30"))


def call_to(receiver: Receiver, within: float = 5.0) -> CallSink:
    caller, url = Caller(within=within), f"{receiver.url}/hook"
    return CallSink(SignedCalls(caller, "audit.call", url, SECRET), url, caller.close)


def told(receiver: Receiver) -> list[dict[str, Any]]:
    """The rows that a receiver took, whose signatures it has verified."""
    rows = [body["data"] for _, body in receiver.taken]
    assert all(isinstance(row, dict) for row in rows)
    return rows  # type: ignore[return-value]


class Broken:
    """A sink that does nothing but break, in a way that nobody has foreseen, or refuses everything."""

    name = "broken"

    def __init__(self, error: Exception) -> None:
        self.error = error
        self.tries = 0

    async def send(self, rows: Sequence[AuditRow], mark: str) -> Reached:
        del rows, mark
        self.tries += 1
        raise self.error

    async def close(self) -> None:
        return

    async def check(self) -> AsyncIterator[ChatFinding]:
        yield ChatFinding("nothing", "")


async def test_each_row_is_a_signed_call_of_its_own_in_order(store: Database, receiver: Receiver) -> None:
    sink = call_to(receiver)
    async with exporting(store, {"call": sink}):
        rows = await fill(store, 100)
        await reached(store, sink, 100)
    assert [AuditRow(**one) for one in told(receiver)] == [*rows]
    name, body = receiver.taken[0]
    assert (name, body["type"], body["timestamp"]) == (
        message(rows[0])[0],
        "audit.row",
        "2027-01-15T08:00:00.000000Z",
    )


async def test_lost_answers_repeat_a_row_by_the_same_id_and_failures_keep_the_order(
    store: Database, receiver: Receiver
) -> None:
    seed = new_seed()
    dice = random.Random(seed)
    faults: list[Fault] = [503, LOST, 429, 500, 422, 400]
    receiver.fault = lambda _method, _path: dice.choice(faults) if dice.random() < 0.2 else None
    sink = call_to(receiver)
    async with exporting(store, {"call": sink}):
        await fill(store, 60)
        await reached(store, sink, 60)
    assert_in_order(numbers(told(receiver)), 60)
    assert len({name for name, _ in receiver.taken}) == 60, f"seed {seed}"


async def test_sinks_that_fail_hang_or_break_hold_up_no_other_and_no_commit(
    store: Database, receiver: Receiver, tmp_path: Path
) -> None:
    receiver.fault = lambda _method, _path: HANG
    broken, file = Broken(KeyError("nobody has foreseen this")), FileSink(tmp_path / "audit.jsonl")
    sinks: dict[str, Sink] = {"call": call_to(receiver, within=20), "broken": broken, "file": file}
    async with exporting(store, sinks) as worker:
        for _ in range(3):
            async with asyncio.timeout(15):  # the one that hangs has 20
                await fill(store, 5)
        await reached(store, file, 15)
        await eventually(lambda: broken.tries > 1)
        assert "nobody has foreseen" in worker.sights["broken"].problem
        receiver.gate.set()


async def test_one_that_breaks_is_never_given_up(store: Database) -> None:
    """A courier gives up after eight tries. What it would leave out would be missing for ever."""
    clock = HastyClock()
    sink = Broken(KeyError("odd"))
    async with exporting(store, {"broken": sink}, clock=clock, looks=0.01):
        await fill(store, 1)
        await eventually(lambda: sink.tries >= 8)
        await eventually(lambda: sink.tries > 12)
    assert (await state_of(store, sink)).number == 0


async def test_a_sink_that_is_down_for_hours_is_reported_once_and_gets_everything(
    store: Database, receiver: Receiver
) -> None:
    clock, down = HastyClock(), True
    receiver.fault = lambda _method, _path: 503 if down else None
    sink = call_to(receiver)
    async with exporting(store, {"call": sink}, clock=clock, looks=0.01) as worker:
        await fill(store, 5)
        await eventually(lambda: bool(worker.sights["call"].problem))
        assert await notices(store) == []
        clock.advance(REPORT_AFTER)
        (title,) = await noticed(store)
        for _ in range(8):
            clock.advance(3600)
            calls = len(receiver.calls)
            await eventually(lambda calls=calls: len(receiver.calls) > calls)  # type: ignore[misc]
        assert await notices(store) == [title]
        assert title == f"The audit export to {sink.name} has failed for 10 min."
        await fill(store, 5)
        down = False
        await reached(store, sink, 10)
    titles = await notices(store)
    assert titles[-1] == f"Fixed: {title}"
    assert_in_order(numbers(told(receiver)), 10)


async def test_since_when_it_fails_outlives_a_restart(store: Database) -> None:
    clock, sink = HastyClock(), Broken(Unreachable("the sink", "it is off"))
    async with exporting(store, {"broken": sink}, clock=clock, looks=0.01):
        await fill(store, 1)
        await eventually(lambda: sink.tries >= 1)
    clock.advance(REPORT_AFTER)
    async with exporting(store, {"broken": sink}, clock=clock, looks=0.01):
        assert len(await noticed(store)) == 1


def _rewrite(path: Path) -> None:
    """What somebody with the database does who knows how it is made: change a row, and chain all others anew."""
    from deploybot.store.audit_rows import GENESIS, link  # noqa: PLC0415  the forger's tools

    with unguarded(path) as database:
        previous = GENESIS
        for row in database.execute("SELECT number, at, actor, action, subject, detail FROM audit ORDER BY number"):
            number, at, actor, action, subject, detail = row
            detail = "nothing to see" if number == 3 else detail
            digest = link((number, at, actor, action, subject, detail, previous))
            sql = "UPDATE audit SET detail = ?, previous = ?, hash = ? WHERE number = ?"
            database.execute(sql, (detail, previous, digest, number))
            previous = digest


@pytest.mark.parametrize("way", ["rewritten", "cut off"])
async def test_a_rewritten_database_is_reported_and_leaves_again_whole(
    store: Database, tmp_path: Path, way: str
) -> None:
    sink = FileSink(tmp_path / "audit.jsonl")
    async with exporting(store, {"file": sink}):
        await fill(store, 10)
        await reached(store, sink, 10)
    if way == "rewritten":
        _rewrite(store.path)
    else:
        with unguarded(store.path) as database:
            database.execute("DELETE FROM audit WHERE number > 5")
    async with exporting(store, {"file": sink}):
        await fill(store, 1)
        await reached(store, sink, 11 if way == "rewritten" else 6)
        await fill(store, 1)
        await reached(store, sink, 12 if way == "rewritten" else 7)
    found = rows_in(tmp_path / "audit.jsonl")
    last = 12 if way == "rewritten" else 7
    assert numbers(found) == [*range(1, 11), *range(1, last + 1)]
    if way == "rewritten":
        assert [row["detail"] for row in found if row["number"] == 3] == ["because", "nothing to see"]
    (title,) = await notices(store)
    assert title.startswith("Security warning: row 10 of the audit was exported")


@pytest.fixture
def program(tmp_path: Path) -> Iterator[subprocess.Popen[bytes]]:
    names = [str(tmp_path / name) for name in ("data/deploybot.db", "audit.jsonl", "log")]
    pipe = subprocess.PIPE
    argv = [sys.executable, "-m", "tests.reporting.audit_children", *names]
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as made:
        yield made
        assert made.stdin
        made.stdin.close()


class Collecting:
    """A syslog service that reads in a thread, for as long as the block lasts."""

    def __init__(self, path: Path) -> None:
        self._listener = unix_listener(path)
        self._listener.settimeout(None)
        self._thread = threading.Thread(target=self._read, daemon=True)
        self.taken: list[bytes] = []

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
            other.sendto(b"", self._listener.getsockname())
        self._thread.join(10)
        self._listener.close()

    def _read(self) -> None:
        while data := self._listener.recv(1 << 16):
            self.taken.append(data)


def _killed(program: subprocess.Popen[bytes], after: float) -> None:
    assert program.stdin
    assert program.stdout
    assert program.stderr
    program.stdin.write(b"go\n")
    child = int(program.stderr.readline())
    assert select.select([program.stdout], [], [], 20)[0]
    time.sleep(after)  # the moment is what is random here
    os.kill(child, signal.SIGKILL)
    assert program.stderr.readline() == b"ended\n"


def _acknowledged(program: subprocess.Popen[bytes]) -> int:
    assert program.stdout
    os.set_blocking(program.stdout.fileno(), False)
    data = b""
    while chunk := program.stdout.read(1 << 20):
        data += chunk
    return max(map(int, data.split(b"\n")[:-1]))


async def test_killed_at_any_moment_no_row_is_lost_and_none_is_out_of_order(
    program: subprocess.Popen[bytes], tmp_path: Path
) -> None:
    seed = new_seed()
    dice = random.Random(seed)
    path, file, receiver = tmp_path / "data" / "deploybot.db", tmp_path / "audit.jsonl", tmp_path / "log"
    with Collecting(receiver) as service:
        acknowledged = 0
        for _ in range(KILLS):
            await asyncio.to_thread(_killed, program, dice.uniform(0, 0.3))
            acknowledged = max(acknowledged, await asyncio.to_thread(_acknowledged, program))
        sinks: dict[str, Sink] = {"file": FileSink(file), "syslog": SyslogSink(f"unix://{receiver}")}
        async with Database(path) as store:
            head, _ = await store.read(lambda tables: tables.audit.head())
            async with exporting(store, sinks):
                for sink in sinks.values():
                    await reached(store, sink, head)
            rows = await store.read(lambda tables: tables.audit.page(0, 10**6))
    assert head >= acknowledged
    in_file, in_syslog = rows_in(file), [json.loads(data[data.index(b"{") :]) for data in service.taken]
    for found in (in_file, in_syslog):
        assert_in_order(numbers(found), head)
        assert {row["number"]: row["hash"] for row in found} == {row.number: row.hash for row in rows}
    print(  # noqa: T201  0 of how many
        f"audit: 0 of {head} rows lost or out of order; {KILLS} kills, seed {seed}, "
        f"{len(in_file) - head} and {len(in_syslog) - head} repeated"
    )


def test_bot_toml_gives_the_sinks(tmp_path: Path) -> None:
    audit = AuditExport.model_validate(
        {
            "file": str(tmp_path / "audit.jsonl"),
            "syslog": "udp://127.0.0.1",
            "call": {"url": "https://siem.example.com/x", "secret": {"env": "S"}},
        }
    )
    assert audit.call
    audit.call.secret.fill(SECRET)
    assert [*sinks_of(audit)] == ["file", "syslog", "call"]
    audit.call.secret.fill("short")
    with pytest.raises(ConfigError, match=r"audit\.call\.secret"):
        sinks_of(audit)
