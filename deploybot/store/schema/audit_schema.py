"""Create the table of how far the audit was exported."""

from __future__ import annotations

from sqlite_utils import Database

_SINKS = """
    CREATE TABLE audit_sinks (
        name TEXT PRIMARY KEY CHECK (name <> ''),
        number INTEGER NOT NULL DEFAULT 0 CHECK (number >= 0),
        hash TEXT NOT NULL DEFAULT '',
        mark TEXT NOT NULL DEFAULT '',
        attempts INTEGER NOT NULL DEFAULT 0,
        since REAL NOT NULL DEFAULT 0,
        next_at REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID"""


def m016_audit_sinks(db: Database) -> None:
    """Store each audit sink's last exported row, and when its failures began."""
    db.execute(_SINKS)
