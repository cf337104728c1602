"""The migrations that add which rule of `auto` a trigger came of, and whether its deployment was replaced."""

from __future__ import annotations

from sqlite_utils import Database

_RULES = (
    "ALTER TABLE triggers ADD COLUMN rule TEXT NOT NULL DEFAULT 'branch'",
    # The cause began with the word of the rule: `release v1.4 by ana`.
    """
    UPDATE triggers SET rule = CASE
        WHEN source = 'images' THEN 'image'
        WHEN why LIKE 'release %' THEN 'release'
        WHEN source LIKE 'tags/%' THEN 'tag'
        ELSE 'branch' END""",
)


def m023_rules(db: Database) -> None:
    """Store the rule of each trigger, which was known only by its text for people."""
    for statement in _RULES:
        db.execute(statement)


_REPLACED = (
    "ALTER TABLE triggers ADD COLUMN replaced INTEGER NOT NULL DEFAULT 0",
    """
    UPDATE triggers SET replaced = 1
    WHERE deployment IN (SELECT number FROM deployments WHERE replaced_by <> 0)""",
    "DROP INDEX triggers_deployed",
    """
    CREATE UNIQUE INDEX triggers_deployed ON triggers (app, environment, release)
    WHERE deployment <> 0 AND replaced = 0""",
)


def m025_replaced(db: Database) -> None:
    """Let a release have another automatic deployment if the one before was replaced before it began."""
    for statement in _REPLACED:
        db.execute(statement)
