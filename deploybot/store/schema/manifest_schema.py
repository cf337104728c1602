"""What releases were seen to run."""

from __future__ import annotations

from sqlite_utils import Database


def m011_manifests(db: Database) -> None:
    """The images of releases, by server."""
    db.execute("""
        CREATE TABLE manifests (
            app TEXT NOT NULL,
            environment TEXT NOT NULL,
            server TEXT NOT NULL,
            release TEXT NOT NULL CHECK (release <> ''),
            manifest TEXT NOT NULL,
            at REAL NOT NULL,
            verified INTEGER NOT NULL CHECK (verified IN (0, 1)),
            PRIMARY KEY (app, environment, server, release)
        ) WITHOUT ROWID""")


def m013_glass(db: Database) -> None:
    """Which rules a deployment passed by break glass."""
    db.execute("ALTER TABLE deployments ADD COLUMN glass TEXT NOT NULL DEFAULT ''")
