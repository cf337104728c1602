"""Store people's locks on environments. An expired lock has no effect and is replaced by the next one."""

from __future__ import annotations

import sqlite3

from deploybot.domain import Lock
from deploybot.store.stored_text import clean

_SELECT = "SELECT app, environment, person, holder, reason, since, until, reminded FROM locks "


class LockRows:
    """Implement `ports.Locks` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def get(self, app: str, environment: str, now: float) -> Lock | None:
        """Return the current lock, or None if there is none or it expired."""
        sql = _SELECT + "WHERE app = ? AND environment = ? AND (until = 0 OR until > ?)"
        row = self._run(sql, (app, environment, now)).fetchone()
        return Lock(*row) if row else None

    def take(self, lock: Lock) -> Lock | None:
        """Take a lock from its `since` on, replacing the person's own. Return another person's lock if it is held."""
        held = self.get(lock.app, lock.environment, lock.since)
        if held and held.person != lock.person:
            return held
        sql = """
            INSERT OR REPLACE INTO locks (app, environment, person, holder, reason, since, until)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        whose = (lock.app, lock.environment, lock.person, lock.holder)
        self._run(sql, (*whose, clean(lock.reason), lock.since, lock.until))
        return None

    def remind(self, lock: Lock, now: float) -> None:
        """Record that people were reminded of a lock."""
        sql = "UPDATE locks SET reminded = ? WHERE app = ? AND environment = ? AND since = ?"
        self._run(sql, (now, lock.app, lock.environment, lock.since))

    def release(self, app: str, environment: str) -> Lock | None:
        """Release a lock and return it, even if it expired."""
        row = self._run(_SELECT + "WHERE app = ? AND environment = ?", (app, environment)).fetchone()
        self._run("DELETE FROM locks WHERE app = ? AND environment = ?", (app, environment))
        return Lock(*row) if row else None

    def all(self, now: float) -> tuple[Lock, ...]:
        """Return all current locks."""
        sql = _SELECT + "WHERE until = 0 OR until > ? ORDER BY app, environment"
        return tuple(Lock(*row) for row in self._run(sql, (now,)))
