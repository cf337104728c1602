"""Create what freezes and reminders of locks need."""

from __future__ import annotations

from sqlite_utils import Database

_FREEZES = (
    """
    CREATE TABLE freezes (
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        person INTEGER NOT NULL,
        holder TEXT NOT NULL,
        reason TEXT NOT NULL,
        since REAL NOT NULL,
        until REAL NOT NULL,
        PRIMARY KEY (app, environment)
    ) WITHOUT ROWID""",
    "ALTER TABLE deployments ADD COLUMN frozen_until REAL NOT NULL DEFAULT 0",
)


def m026_freezes(db: Database) -> None:
    """Store freezes that people make, and until when a waiting deployment is frozen."""
    for statement in _FREEZES:
        db.execute(statement)


def m027_lock_reminders(db: Database) -> None:
    """Store when people were reminded of a lock."""
    db.execute("ALTER TABLE locks ADD COLUMN reminded REAL NOT NULL DEFAULT 0")
