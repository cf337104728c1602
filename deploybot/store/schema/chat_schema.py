"""Create the tables that chats fill: buttons, approvals, codes."""

from __future__ import annotations

from sqlite_utils import Database

_BUTTONS = (
    """
    CREATE TABLE buttons (
        hash TEXT PRIMARY KEY CHECK (length(hash) = 64),
        platform TEXT NOT NULL,
        channel TEXT NOT NULL,
        message TEXT NOT NULL DEFAULT '',
        command TEXT NOT NULL CHECK (command <> ''),
        made REAL NOT NULL,
        used REAL NOT NULL DEFAULT 0
    ) WITHOUT ROWID""",
    "CREATE INDEX buttons_message ON buttons (platform, channel, message)",
    "CREATE INDEX buttons_made ON buttons (made)",
)


def m003_buttons(db: Database) -> None:
    """Create the table of buttons and the commands behind them."""
    for statement in _BUTTONS:
        db.execute(statement)


_REQUESTS = (
    "ALTER TABLE deployments ADD COLUMN needs_approval INTEGER NOT NULL DEFAULT 0 CHECK (needs_approval IN (0, 1))",
    "ALTER TABLE deployments ADD COLUMN approved REAL NOT NULL DEFAULT 0",
    """
    CREATE TABLE requests (
        deployment INTEGER PRIMARY KEY REFERENCES deployments (number),
        binding TEXT NOT NULL,
        wanted INTEGER NOT NULL CHECK (wanted > 0),
        approvers TEXT NOT NULL,
        expires REAL NOT NULL,
        remind_at REAL NOT NULL,
        code INTEGER NOT NULL CHECK (code IN (0, 1)),
        compare TEXT NOT NULL,
        reminded INTEGER NOT NULL DEFAULT 0 CHECK (reminded IN (0, 1)),
        verdict TEXT NOT NULL DEFAULT '' CHECK (verdict IN ('', 'rejected', 'void', 'expired')),
        note TEXT NOT NULL DEFAULT ''
    )""",
    """
    CREATE TABLE approvals (
        deployment INTEGER NOT NULL REFERENCES requests (deployment),
        person INTEGER NOT NULL REFERENCES persons (id),
        name TEXT NOT NULL,
        at REAL NOT NULL,
        counts INTEGER NOT NULL DEFAULT 1 CHECK (counts IN (0, 1)),
        PRIMARY KEY (deployment, person)
    ) WITHOUT ROWID""",
)


def m004_requests(db: Database) -> None:
    """Create the tables of deployments that wait for approvals, and of the approvals."""
    for statement in _REQUESTS:
        db.execute(statement)


_CODES = (
    """
    CREATE TABLE codes (
        person INTEGER PRIMARY KEY REFERENCES persons (id),
        step INTEGER NOT NULL DEFAULT 0,
        tries INTEGER NOT NULL DEFAULT 0,
        until REAL NOT NULL DEFAULT 0
    )""",
    """
    CREATE TABLE links (
        person INTEGER PRIMARY KEY REFERENCES persons (id),
        link TEXT NOT NULL,
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        until REAL NOT NULL
    )""",
    """
    CREATE TABLE link_tries (
        identity TEXT PRIMARY KEY,
        tries INTEGER NOT NULL,
        until REAL NOT NULL
    ) WITHOUT ROWID""",
)


def m005_codes(db: Database) -> None:
    """Create the tables of used one-time codes, and of codes that link accounts. Neither has secrets."""
    for statement in _CODES:
        db.execute(statement)
