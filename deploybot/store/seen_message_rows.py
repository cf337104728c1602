"""Which messages were taken already, in rows."""

from __future__ import annotations

import sqlite3

_KEPT = 2 * 86400.0


class SeenRows:
    """`ports.Seen` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def first(self, platform: str, message: str, now: float) -> bool:
        """True exactly once for each id of a platform's message. Ids are kept for two days."""
        self._run("DELETE FROM seen WHERE at < ?", (now - _KEPT,))
        sql = "INSERT OR IGNORE INTO seen (platform, message, at) VALUES (?, ?, ?)"
        return self._run(sql, (platform, message, now)).rowcount == 1

    def known(self, platform: str) -> tuple[str, ...]:
        """All ids of a platform that are kept, the oldest first."""
        rows = self._run("SELECT message FROM seen WHERE platform = ? ORDER BY at, message", (platform,))
        return tuple(str(row[0]) for row in rows)

    def forget(self, platform: str, message: str) -> None:
        """Forget one."""
        self._run("DELETE FROM seen WHERE platform = ? AND message = ?", (platform, message))
