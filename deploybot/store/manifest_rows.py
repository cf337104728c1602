"""Store what each release was seen to run."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection

from deploybot.domain import Manifest, ManifestRow
from deploybot.store.codec import decode, encode

_SELECT = """
    SELECT app, environment, server, release, manifest, at, verified FROM manifests
    WHERE app = ? AND environment = ? AND server = ? """
_DELETE = "DELETE FROM manifests WHERE app = ? AND environment = ? AND server = ? AND release = ?"


def _manifest_row(row: sqlite3.Row) -> ManifestRow:
    app, environment, server, release, manifest, at, verified = row
    return ManifestRow(
        app=app,
        environment=environment,
        server=server,
        release=release,
        manifest=decode(Manifest, manifest),
        at=at,
        verified=bool(verified),
    )


class ManifestRows:
    """Implement `ports.Manifests` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def put(self, row: ManifestRow) -> None:
        """Store a row. A verified one replaces both of its release and server, an attempt only the last attempt."""
        where = (row.app, row.environment, row.server, row.release)
        if row.verified:
            self._run(_DELETE, where)
        sql = """
            INSERT OR REPLACE INTO manifests (app, environment, server, release, manifest, at, verified)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        self._run(sql, (*where, encode(row.manifest), row.at, row.verified))

    def get(
        self, app: str, environment: str, server: str, release: str, *, attempt: bool = False
    ) -> ManifestRow | None:
        """Return what a release ran on a server, or None. Of two rows, `attempt` decides which."""
        sql = _SELECT + "AND release = ? ORDER BY verified = ? LIMIT 1"
        found = self._run(sql, (app, environment, server, release, attempt)).fetchone()
        return _manifest_row(found) if found else None

    def of_target(self, app: str, environment: str, server: str) -> tuple[ManifestRow, ...]:
        """Return all rows of a target's server, newest first."""
        sql = _SELECT + "ORDER BY at DESC, release, verified DESC"
        return tuple(map(_manifest_row, self._run(sql, (app, environment, server))))

    def prune(self, app: str, environment: str, server: str, keep: Collection[str]) -> None:
        """Delete the rows of a target's server, except those of the releases in `keep`."""
        for row in self.of_target(app, environment, server):
            if row.release not in keep:
                self._run(_DELETE, (app, environment, server, row.release))
