"""The migration that adds from which account an approval came."""

from __future__ import annotations

from sqlite_utils import Database


def m024_approval_accounts(db: Database) -> None:
    """Store the account of each approval, as JSON. It is unknown for those from before: empty."""
    db.execute("ALTER TABLE approvals ADD COLUMN account TEXT NOT NULL DEFAULT ''")
