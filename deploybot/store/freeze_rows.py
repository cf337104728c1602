"""Store the freezes that people make. One that has ended has no effect and is replaced by the next one."""

from __future__ import annotations

import sqlite3
from dataclasses import astuple, replace

from deploybot.domain import Freeze
from deploybot.store.stored_text import clean

_SELECT = "SELECT app, environment, person, holder, reason, since, until FROM freezes "


class FreezeRows:
    """Implement `ports.Freezes` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def get(self, app: str, environment: str, now: float) -> Freeze | None:
        """Return the freeze of a target, or None if there is none or it has ended."""
        row = self._run(_SELECT + "WHERE app = ? AND environment = ? AND until > ?", (app, environment, now)).fetchone()
        return Freeze(*row) if row else None

    def put(self, freeze: Freeze) -> None:
        """Freeze a target, in place of an earlier freeze."""
        sql = """
            INSERT OR REPLACE INTO freezes (app, environment, person, holder, reason, since, until)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        self._run(sql, astuple(replace(freeze, reason=clean(freeze.reason))))

    def remove(self, app: str, environment: str) -> None:
        """End the freeze of a target."""
        self._run("DELETE FROM freezes WHERE app = ? AND environment = ?", (app, environment))

    def all(self, now: float) -> tuple[Freeze, ...]:
        """Return all freezes that have not ended."""
        return tuple(Freeze(*row) for row in self._run(_SELECT + "WHERE until > ? ORDER BY app, environment", (now,)))
