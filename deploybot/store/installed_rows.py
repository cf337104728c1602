"""Store which release the bot last deployed to each server."""

from __future__ import annotations

import sqlite3

from deploybot.domain import Release, Running
from deploybot.store.codec import decode, encode

_SELECT = "SELECT app, environment, server, release, deployment, since, healthy FROM running "


def _running(row: sqlite3.Row) -> Running:
    app, environment, server, release, deployment, since, healthy = row
    return Running(app, environment, server, decode(Release, release), deployment, since, bool(healthy))


class RunningRows:
    """Implement `ports.RunningReleases` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def get(self, app: str, environment: str) -> tuple[Running, ...]:
        """Return an environment's rows, sorted by server."""
        sql = _SELECT + "WHERE app = ? AND environment = ? ORDER BY server"
        return tuple(map(_running, self._run(sql, (app, environment))))

    def put(self, row: Running) -> None:
        """Replace a server's row."""
        sql = """
            INSERT OR REPLACE INTO running (app, environment, server, release, deployment, since, healthy)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        where = (row.app, row.environment, row.server)
        self._run(sql, (*where, encode(row.release), row.deployment, row.since, row.healthy))

    def all(self) -> tuple[Running, ...]:
        """Return all rows, for the board."""
        return tuple(map(_running, self._run(_SELECT + "ORDER BY app, environment, server")))
