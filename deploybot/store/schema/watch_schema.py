"""Create the table of watches of new releases."""

from __future__ import annotations

from sqlite_utils import Database


def m028_watches(db: Database) -> None:
    """Store what the watch of a new release has seen, and what comes of it."""
    db.execute("""
        CREATE TABLE watches (
            job TEXT PRIMARY KEY,
            deployment INTEGER NOT NULL,
            server TEXT NOT NULL,
            evidence TEXT NOT NULL,
            state TEXT NOT NULL,
            revert_at REAL NOT NULL,
            vetoed TEXT NOT NULL
        ) WITHOUT ROWID""")
    db.execute("CREATE INDEX watches_by_deployment ON watches (deployment)")
