"""Create what freezes need: those that people make, and the deployments that wait for an end."""

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
