"""Add temporary grants and their giver, accounts that can be detached, and changes that wait for a second admin."""

from __future__ import annotations

from sqlite_utils import Database

_GRANTS = (
    """
    CREATE TABLE grants_new (
        person INTEGER NOT NULL REFERENCES persons (id),
        app TEXT NOT NULL CHECK (app <> ''),
        environment TEXT NOT NULL CHECK (environment <> ''),
        role TEXT NOT NULL CHECK (role IN ('viewer', 'deployer', 'approver', 'admin')),
        until REAL NOT NULL DEFAULT 0,
        since REAL NOT NULL DEFAULT 0,
        given_by TEXT NOT NULL DEFAULT '',
        after INTEGER NOT NULL DEFAULT 0
    )""",
    """
    INSERT INTO grants_new (person, app, environment, role)
    SELECT person, app, environment, role FROM grants""",
    "DROP TABLE grants",
    "ALTER TABLE grants_new RENAME TO grants",
    "CREATE UNIQUE INDEX grants_place ON grants (person, app, environment, until <> 0)",
    "CREATE INDEX grants_until ON grants (until) WHERE until <> 0",
    "ALTER TABLE identities ADD COLUMN since REAL NOT NULL DEFAULT 0",
    "ALTER TABLE identities ADD COLUMN given_by TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE identities ADD COLUMN after INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE identities ADD COLUMN detached INTEGER NOT NULL DEFAULT 0 CHECK (detached IN (0, 1))",
    "ALTER TABLE requests ADD COLUMN more TEXT NOT NULL DEFAULT ''",
    "ALTER TABLE requests ADD COLUMN missing INTEGER NOT NULL DEFAULT 0",
    """
    UPDATE requests SET missing = max(
        wanted - (SELECT count(*) FROM approvals WHERE approvals.deployment = requests.deployment AND counts), 0)""",
    """
    CREATE TABLE grant_changes (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        change TEXT NOT NULL,
        expires REAL NOT NULL
    )""",
)


def m012_grants(db: Database) -> None:
    """Store when, by whom and until when grants and accounts were given, and the approvals that a request misses."""
    for statement in _GRANTS:
        db.execute(statement)
