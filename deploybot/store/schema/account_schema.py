"""The migration that adds who gave an account, as people."""

from __future__ import annotations

from sqlite_utils import Database

_GIVERS = (
    "ALTER TABLE identities ADD COLUMN giver INTEGER NOT NULL DEFAULT 0",
    "ALTER TABLE identities ADD COLUMN second_giver INTEGER NOT NULL DEFAULT 0",
    # `given_by` is `ana`, or `ana and ben` if two admins gave it. Names have no spaces.
    """
    UPDATE identities SET
        giver = coalesce((SELECT id FROM persons WHERE instr(given_by || ' and ', name || ' and ') = 1), 0),
        second_giver = coalesce(
            (SELECT id FROM persons WHERE substr(given_by, -length(name) - 5) = ' and ' || name), 0)""",
)


def m022_givers(db: Database) -> None:
    """Store which people gave an account, besides their names, which can change. Known names are looked up."""
    for statement in _GIVERS:
        db.execute(statement)
