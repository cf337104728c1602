"""Create the tables of people, deployments, locks, messages and the audit."""

from __future__ import annotations

from sqlite_utils import Database

_FIRST = (
    """
    CREATE TABLE persons (
        id INTEGER PRIMARY KEY,
        name TEXT NOT NULL UNIQUE CHECK (name <> '' AND name = lower(name))
    )""",
    """
    CREATE TABLE identities (
        platform TEXT NOT NULL CHECK (platform <> ''),
        team TEXT NOT NULL,
        user TEXT NOT NULL CHECK (user <> ''),
        person INTEGER NOT NULL REFERENCES persons (id),
        PRIMARY KEY (platform, team, user)
    ) WITHOUT ROWID""",
    "CREATE INDEX identities_person ON identities (person)",
    """
    CREATE TABLE grants (
        person INTEGER NOT NULL REFERENCES persons (id),
        app TEXT NOT NULL CHECK (app <> ''),
        environment TEXT NOT NULL CHECK (environment <> ''),
        role TEXT NOT NULL CHECK (role IN ('viewer', 'deployer', 'approver', 'admin')),
        PRIMARY KEY (person, app, environment)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE claim (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        salt BLOB NOT NULL,
        hash BLOB NOT NULL,
        until REAL NOT NULL,
        tries INTEGER NOT NULL DEFAULT 0 CHECK (tries BETWEEN 0 AND 4)
    )""",
    """
    CREATE TABLE deployments (
        number INTEGER PRIMARY KEY,
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        kind TEXT NOT NULL CHECK (kind IN ('deploy', 'rollback', 'restart', 'run')),
        commit_id TEXT NOT NULL,
        state TEXT NOT NULL CHECK (state IN (
            'waiting', 'running', 'restoring', 'succeeded', 'failed', 'restored', 'cancelled', 'unknown')),
        plan TEXT NOT NULL,
        requester INTEGER NOT NULL REFERENCES persons (id),
        requester_name TEXT NOT NULL,
        reason TEXT NOT NULL,
        place TEXT,
        created REAL NOT NULL,
        started REAL NOT NULL DEFAULT 0,
        finished REAL NOT NULL DEFAULT 0,
        cancel_by TEXT NOT NULL DEFAULT '',
        outcome TEXT NOT NULL DEFAULT '',
        tail TEXT NOT NULL DEFAULT '[]'
    )""",
    "CREATE INDEX deployments_app ON deployments (app, environment, number)",
    """
    CREATE INDEX deployments_good ON deployments (app, environment, commit_id, number)
    WHERE state = 'succeeded' AND kind IN ('deploy', 'rollback')
    """,
    """
    CREATE INDEX deployments_open ON deployments (number) WHERE state IN ('waiting', 'running', 'restoring')
    """,
    """
    CREATE TRIGGER deployments_end BEFORE UPDATE OF state ON deployments
    WHEN OLD.state NOT IN ('waiting', 'running', 'restoring')
    BEGIN SELECT RAISE(ABORT, 'a deployment that has ended never moves'); END""",
    """
    CREATE TABLE steps (
        id INTEGER PRIMARY KEY,
        deployment INTEGER NOT NULL REFERENCES deployments (number),
        phase TEXT NOT NULL CHECK (phase IN ('forward', 'restore', 'cleanup')),
        server TEXT NOT NULL,
        position INTEGER NOT NULL,
        name TEXT NOT NULL,
        job TEXT NOT NULL UNIQUE CHECK (job <> ''),
        state TEXT NOT NULL CHECK (state IN ('pending', 'started', 'done', 'failed', 'cancelled', 'unknown')),
        code INTEGER NOT NULL,
        offset INTEGER NOT NULL CHECK (offset >= 0),
        size INTEGER NOT NULL CHECK (size >= 0),
        started REAL NOT NULL,
        finished REAL NOT NULL,
        detail TEXT NOT NULL,
        UNIQUE (deployment, phase, server, position)
    )""",
    """
    CREATE TABLE running (
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        server TEXT NOT NULL,
        release TEXT NOT NULL,
        deployment INTEGER NOT NULL REFERENCES deployments (number),
        since REAL NOT NULL,
        healthy INTEGER NOT NULL CHECK (healthy IN (0, 1)),
        PRIMARY KEY (app, environment, server)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE locks (
        app TEXT NOT NULL,
        environment TEXT NOT NULL,
        person INTEGER NOT NULL REFERENCES persons (id),
        holder TEXT NOT NULL,
        reason TEXT NOT NULL,
        since REAL NOT NULL,
        until REAL NOT NULL,
        PRIMARY KEY (app, environment)
    ) WITHOUT ROWID""",
    """
    CREATE TABLE outbox (
        id INTEGER PRIMARY KEY,
        place TEXT NOT NULL,
        key TEXT NOT NULL,
        card TEXT NOT NULL,
        state TEXT NOT NULL DEFAULT 'waiting' CHECK (state IN ('waiting', 'sent', 'dead')),
        message TEXT NOT NULL DEFAULT '',
        revision INTEGER NOT NULL DEFAULT 1 CHECK (revision >= 1),
        attempts INTEGER NOT NULL DEFAULT 0 CHECK (attempts >= 0),
        next_at REAL NOT NULL,
        error TEXT NOT NULL DEFAULT ''
    )""",
    "CREATE UNIQUE INDEX outbox_card ON outbox (key, place) WHERE key <> ''",
    "CREATE INDEX outbox_due ON outbox (state, next_at)",
    """
    CREATE TABLE seen (
        platform TEXT NOT NULL,
        message TEXT NOT NULL,
        at REAL NOT NULL,
        PRIMARY KEY (platform, message)
    ) WITHOUT ROWID""",
    "CREATE INDEX seen_at ON seen (at)",
    """
    CREATE TABLE audit (
        number INTEGER PRIMARY KEY,
        at REAL NOT NULL,
        actor TEXT NOT NULL,
        action TEXT NOT NULL,
        subject TEXT NOT NULL,
        detail TEXT NOT NULL,
        previous TEXT NOT NULL,
        hash TEXT NOT NULL
    )""",
    """
    CREATE TRIGGER audit_update BEFORE UPDATE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is never changed'); END""",
    """
    CREATE TRIGGER audit_delete BEFORE DELETE ON audit
    BEGIN SELECT RAISE(ABORT, 'the audit is never shortened'); END""",
)


def m001_first(db: Database) -> None:
    """Create the tables of people, deployments, running releases, locks, messages and the audit."""
    for statement in _FIRST:
        db.execute(statement)


def m002_not_before(db: Database) -> None:
    """Add the start time of scheduled deployments."""
    db.execute("ALTER TABLE deployments ADD COLUMN not_before REAL NOT NULL DEFAULT 0")
