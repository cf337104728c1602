"""Store which messages were already handled."""

from __future__ import annotations

import sqlite3

_KEPT = 2 * 86400.0


class SeenRows:
    """Implement `ports.SeenMessages` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def first(self, platform: str, message: str, now: float) -> bool:
        """Return True only the first time for each message id of a platform. Ids are kept for two days."""
        self._run("DELETE FROM seen WHERE at < ?", (now - _KEPT,))
        sql = "INSERT OR IGNORE INTO seen (platform, message, at) VALUES (?, ?, ?)"
        return self._run(sql, (platform, message, now)).rowcount == 1

    def known(self, platform: str) -> tuple[str, ...]:
        """Return all stored message ids of a platform, oldest first."""
        rows = self._run("SELECT message FROM seen WHERE platform = ? ORDER BY at, message", (platform,))
        return tuple(str(row[0]) for row in rows)

    def forget(self, platform: str, message: str) -> None:
        """Delete one message id."""
        self._run("DELETE FROM seen WHERE platform = ? AND message = ?", (platform, message))
