"""Store how far each sink has exported the audit."""

from __future__ import annotations

import sqlite3

from deploybot.domain import SinkState


class AuditSinkRows:
    """Implement `ports.AuditSinks` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def get(self, sink: str) -> SinkState:
        """Return a sink's progress; an unknown one is at the beginning."""
        sql = "SELECT number, hash, mark, attempts, since, next_at FROM audit_sinks WHERE name = ?"
        row = self._run(sql, (sink,)).fetchone()
        return SinkState(*row) if row else SinkState()

    def reached(self, sink: str, number: int, hash_: str, mark: str) -> None:
        """Record that a sink exported all rows up to this one, and clear its failures."""
        sql = """
            INSERT INTO audit_sinks (name, number, hash, mark) VALUES (?, ?, ?, ?)
            ON CONFLICT (name) DO UPDATE SET
                number = excluded.number, hash = excluded.hash, mark = excluded.mark,
                attempts = 0, since = 0, next_at = 0
            """
        self._run(sql, (sink, number, hash_, mark))

    def failed(self, sink: str, now: float, next_at: float) -> float:
        """Record a failure and the retry time `next_at`. Return when the failures began."""
        sql = """
            INSERT INTO audit_sinks (name, attempts, since, next_at) VALUES (?, 1, ?, ?)
            ON CONFLICT (name) DO UPDATE SET
                attempts = attempts + 1, since = iif(since = 0, excluded.since, since), next_at = excluded.next_at
            RETURNING since
            """
        return float(self._run(sql, (sink, now, next_at)).fetchone()[0])
