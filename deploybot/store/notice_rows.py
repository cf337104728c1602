"""What was reported once about things that do not fit, in rows."""

from __future__ import annotations

import sqlite3

from deploybot.ports.event_tables import OpenNotice
from deploybot.store.stored_text import clean


class NoticeRows:
    """`ports.Notices` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def add(self, key: str, title: str, app: str, now: float) -> bool:
        """Keep a notice; False where the same is open already, with whatever title."""
        sql = "INSERT INTO notices (key, title, app, at) VALUES (?, ?, ?, ?) ON CONFLICT (key) DO NOTHING"
        return self._run(sql, (key, clean(title), app, now)).rowcount == 1

    def open(self, prefix: str = "") -> tuple[str, ...]:
        """The keys of all notices that begin so."""
        sql = "SELECT key FROM notices WHERE substr(key, 1, length(?1)) = ?1 ORDER BY key"
        return tuple(str(row[0]) for row in self._run(sql, (prefix,)))

    def close(self, key: str) -> OpenNotice | None:
        """Forget a notice, since it holds no longer; what was kept of it, None where there was none."""
        row = self._run("SELECT title, app, at FROM notices WHERE key = ?", (key,)).fetchone()
        self._run("DELETE FROM notices WHERE key = ?", (key,))
        return OpenNotice(*row) if row else None
