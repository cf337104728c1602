"""People's locks on environments, in rows. One past its end does not hold, and goes when the next is taken."""

from __future__ import annotations

import sqlite3

from deploybot.domain import Lock
from deploybot.store.stored_text import clean

_SELECT = "SELECT app, environment, person, holder, reason, since, until FROM locks "


class LockRows:
    """`ports.Locks` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def get(self, app: str, environment: str, now: float) -> Lock | None:
        """The lock that holds now; one past its end is gone."""
        sql = _SELECT + "WHERE app = ? AND environment = ? AND (until = 0 OR until > ?)"
        row = self._run(sql, (app, environment, now)).fetchone()
        return Lock(*row) if row else None

    def take(self, lock: Lock) -> Lock | None:
        """Take it, at its `since`; the other's lock where somebody else has it. One's own is replaced."""
        held = self.get(lock.app, lock.environment, lock.since)
        if held and held.person != lock.person:
            return held
        sql = """
            INSERT OR REPLACE INTO locks (app, environment, person, holder, reason, since, until)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        whose = (lock.app, lock.environment, lock.person, lock.holder)
        self._run(sql, (*whose, clean(lock.reason), lock.since, lock.until))
        return None

    def release(self, app: str, environment: str) -> Lock | None:
        """Release it; the lock that was there, also one past its end."""
        row = self._run(_SELECT + "WHERE app = ? AND environment = ?", (app, environment)).fetchone()
        self._run("DELETE FROM locks WHERE app = ? AND environment = ?", (app, environment))
        return Lock(*row) if row else None

    def all(self, now: float) -> tuple[Lock, ...]:
        """All that hold now."""
        sql = _SELECT + "WHERE until = 0 OR until > ? ORDER BY app, environment"
        return tuple(Lock(*row) for row in self._run(sql, (now,)))
