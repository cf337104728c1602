"""Store notices of problems that were posted once."""

from __future__ import annotations

import sqlite3

from deploybot.ports.event_tables import OpenNotice
from deploybot.store.stored_text import clean


class NoticeRows:
    """Implement `ports.Notices` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def add(self, key: str, title: str, app: str, now: float) -> bool:
        """Store a notice. Return False if one with the same key is open, whatever its title."""
        sql = "INSERT INTO notices (key, title, app, at) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
        return self._run(sql, (key, clean(title), app, now)).rowcount == 1

    def open(self, prefix: str = "") -> tuple[str, ...]:
        """Return the keys of all open notices that begin with `prefix`."""
        sql = "SELECT key FROM notices WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key"
        return tuple(str(row[0]) for row in self._run(sql, (prefix,)))

    def close(self, key: str) -> OpenNotice | None:
        """Delete a notice that no longer applies, and return it; None if there was none."""
        row = self._run("SELECT title, app, at FROM notices WHERE key = ?", (key,)).fetchone()
        self._run("DELETE FROM notices WHERE key = ?", (key,))
        return OpenNotice(*row) if row else None
