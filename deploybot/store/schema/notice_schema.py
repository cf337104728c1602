"""Create what limits the number of messages: outbox priorities, storms in one message, and notices."""

from __future__ import annotations

from sqlite_utils import Database

_SILENCE = (
    "ALTER TABLE outbox ADD COLUMN notification INTEGER NOT NULL DEFAULT 0 CHECK (notification IN (0, 1))",
    "CREATE INDEX outbox_turns ON outbox (notification, (message <> ''), id) WHERE state = 'waiting'",
    """
    CREATE TABLE told_storms (
        id INTEGER PRIMARY KEY,
        place TEXT NOT NULL,
        stream TEXT NOT NULL,
        began REAL NOT NULL,
        closes REAL NOT NULL
    )""",
    "CREATE INDEX told_storms_open ON told_storms (closes) WHERE closes > 0",
    "CREATE INDEX told_storms_began ON told_storms (began)",
    "ALTER TABLE told_places ADD COLUMN stream TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE told_places ADD COLUMN storm INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE told_places ADD COLUMN line TEXT NOT NULL DEFAULT ''",
    "CREATE INDEX told_places_stream ON told_places (place, stream, said) WHERE stream <> ''",
    "CREATE INDEX told_places_storm ON told_places (storm, id) WHERE storm <> 0",
    """
    CREATE TABLE notices (
        key TEXT PRIMARY KEY CHECK (key <> ''),
        title TEXT NOT NULL,
        app TEXT NOT NULL,
        at REAL NOT NULL
    ) WITHOUT ROWID""",
)


def m014_silence(db: Database) -> None:
    """Order the outbox by urgency, combine storms of events into one message, and store posted notices."""
    for statement in _SILENCE:
        db.execute(statement)
