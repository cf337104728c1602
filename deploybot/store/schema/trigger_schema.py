"""The migration that adds which rule of `auto` a trigger came of."""

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
