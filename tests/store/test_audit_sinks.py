"""How far the audit has left: kept by sink, over restarts and over a migration."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from deploybot.domain import SinkState
from deploybot.masking import Redactor
from deploybot.store.audit_rows import AuditRows
from deploybot.store.audit_sink_rows import AuditSinkRows
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.schema import STEPS
from tests.store.examples import NOW


async def test_each_sink_has_a_place_of_its_own(store: Database) -> None:
    await store.write(lambda tables: tables.audit_sinks.reached("file /a", 7, "ab", "1:2"))
    assert await store.read(lambda tables: tables.audit_sinks.get("file /a")) == SinkState(7, "ab", "1:2")
    assert await store.read(lambda tables: tables.audit_sinks.get("file /b")) == SinkState()


async def test_failures_are_counted_from_the_first_and_forgotten_when_it_works_again(store: Database) -> None:
    first = await store.write(lambda tables: tables.audit_sinks.failed("file /a", NOW, NOW + 1))
    later = await store.write(lambda tables: tables.audit_sinks.failed("file /a", NOW + 50, NOW + 60))
    assert first == later == NOW
    state = await store.read(lambda tables: tables.audit_sinks.get("file /a"))
    assert state == SinkState(attempts=2, since=NOW, next_at=NOW + 60)
    await store.write(lambda tables: tables.audit_sinks.reached("file /a", 1, "ab", ""))
    assert await store.read(lambda tables: tables.audit_sinks.get("file /a")) == SinkState(1, "ab")
    assert await store.write(lambda tables: tables.audit_sinks.failed("file /a", NOW + 90, NOW + 91)) == NOW + 90


def test_a_database_from_before_migration_16_keeps_its_audit_and_begins_at_its_first_row(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    before = STEPS[: [step.__name__ for step in STEPS].index("m016_audit_sinks")]
    with closing(open_database(path, Way(durable=False), steps=before)) as old:
        row = AuditRows(old, Redactor()).append(actor="ann", action="deploy", subject="#1", now=NOW)
        old.commit()
        with pytest.raises(sqlite3.OperationalError):
            AuditSinkRows(old).get("file /a")
    with closing(open_database(path, Way(durable=False))) as new:
        assert AuditRows(new, Redactor()).page(0) == (row,)
        assert AuditSinkRows(new).get("file /a") == SinkState()
