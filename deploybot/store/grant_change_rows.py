"""Store grant changes that wait for a second admin."""

from __future__ import annotations

import sqlite3
from dataclasses import replace

from deploybot.domain import GrantChange
from deploybot.store.codec import decode, encode


class GrantChangeRows:
    """Implement `ports.GrantChanges` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def add(self, change: GrantChange) -> GrantChange:
        """Store a new change and return it with its number. Delete expired ones."""
        self._run("DELETE FROM grant_changes WHERE expires <= ?", (change.made,))
        sql = "INSERT INTO grant_changes (change, expires) VALUES (?, ?)"
        number = self._run(sql, (encode(change), change.expires)).lastrowid or 0
        return replace(change, number=number)

    def get(self, number: int, now: float) -> GrantChange | None:
        """Return a change that still waits, or None."""
        sql = "SELECT change FROM grant_changes WHERE number = ? AND expires > ?"
        row = self._run(sql, (number, now)).fetchone()
        return replace(decode(GrantChange, row[0]), number=number) if row else None

    def remove(self, number: int) -> None:
        """Delete a change that was confirmed or refused."""
        self._run("DELETE FROM grant_changes WHERE number = ?", (number,))
