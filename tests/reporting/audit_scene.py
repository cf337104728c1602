"""A database whose audit grows, and the worker that takes it out."""

from __future__ import annotations

import asyncio
import json
import socket
import sqlite3
import time
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, closing, contextmanager, suppress
from pathlib import Path
from typing import Any

from deploybot.backoff import Backoff
from deploybot.domain import AuditRow, Channel, SinkState
from deploybot.masking import Redactor
from deploybot.ports import Clock, Store, Tables
from deploybot.reporting.audit_sinks.audit_sink import Sink
from deploybot.reporting.audit_sinks.audit_worker import AuditExporter
from deploybot.setup_notices import NoticeBoard
from deploybot.store.database import Database
from tests.chat.stub import SystemClock
from tests.store.examples import NOW


class HastyClock:
    """The system's clock, which can be put forward."""

    def __init__(self) -> None:
        self._ahead = 0.0

    def now(self) -> float:
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        self._ahead += seconds


ADMINS = Channel("console", "main")
CLOCK = SystemClock()


async def fill(store: Store, count: int, *, detail: str = "because") -> tuple[AuditRow, ...]:
    """Add rows to the audit, all in one transaction."""

    def add(tables: Tables) -> tuple[AuditRow, ...]:
        return tuple(
            tables.audit.append(actor="ann", action="deploy", subject=f"#{number}", detail=detail, now=NOW + number)
            for number in range(count)
        )

    return await store.write(add)


@asynccontextmanager
async def exporting(
    store: Database, sinks: Mapping[str, Sink], *, clock: Clock = CLOCK, looks: float = 5.0
) -> AsyncIterator[AuditExporter]:
    """The worker, at work while the block lasts."""
    redactor = Redactor()
    board = NoticeBoard(clock, lambda _: (ADMINS,))
    worker = AuditExporter(store, sinks, clock, redactor, board, retry=Backoff(0.01, 0.05), looks=looks)
    store.connect_workers(worker.wake)
    task = asyncio.create_task(worker.run())
    try:
        yield worker
    finally:
        store.connect_workers(None)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def reached(store: Store, sink: Sink, number: int, within: float = 60.0) -> SinkState:
    """Wait until all rows up to this one have left by a sink."""
    async with asyncio.timeout(within):
        while (state := await state_of(store, sink)).number != number:  # noqa: ASYNC110  a database has no event for it
            await asyncio.sleep(0.01)
    return state


async def state_of(store: Store, sink: Sink) -> SinkState:
    return await store.read(lambda tables: tables.audit_sinks.get(sink.name))


async def noticed(store: Store) -> list[str]:
    """The titles of the admins' messages, once there is one."""
    async with asyncio.timeout(10):
        while not (titles := await notices(store)):  # noqa: ASYNC110  same
            await asyncio.sleep(0.01)
    return titles


async def notices(store: Store) -> list[str]:
    """The titles of all messages to the admins, in order."""
    items = await store.read(lambda tables: tables.outbox.due(float("inf"), 1000))
    return [item.card.title for item in items]


def rows_in(*paths: Path) -> list[dict[str, Any]]:
    """The rows in files, in the order of their lines; what is no JSON is left out."""
    found = []
    for path in paths:
        for line in path.read_bytes().split(b"\n"):
            with suppress(ValueError):
                found.append(json.loads(line))
    return found


def numbers(rows: Iterable[Mapping[str, Any]]) -> list[int]:
    return [row["number"] for row in rows]


def assert_in_order(found: Sequence[int], count: int) -> None:
    """Each row is there, none before the one before it has been, and only whole stretches are repeated."""
    highest = 0
    for number in found:
        assert number <= highest + 1, f"row {number} came after {highest}"
        highest = max(highest, number)
    assert highest == count


@contextmanager
def unguarded(path: Path) -> Iterator[sqlite3.Connection]:
    """The database as somebody sees it who gets past the bot, and has taken the audit's triggers away."""
    with closing(sqlite3.connect(path)) as connection, connection:
        connection.execute("DROP TRIGGER IF EXISTS audit_update")
        connection.execute("DROP TRIGGER IF EXISTS audit_delete")
        yield connection


def unix_listener(path: Path) -> socket.socket:
    """A syslog service's socket."""
    made = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    made.bind(str(path))
    made.settimeout(0)
    return made
