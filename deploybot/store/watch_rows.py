"""Store the watches of new releases: what they have seen, and what comes of it."""

from __future__ import annotations

import sqlite3

from deploybot.domain import WatchEvidence, WatchRow, WatchState
from deploybot.store.codec import decode, encode
from deploybot.store.stored_text import clean

_KEPT = 90 * 86400.0
_SELECT = "SELECT job, deployment, server, evidence, state, revert_at, vetoed FROM watches "


def _watch(row: sqlite3.Row) -> WatchRow:
    job, deployment, server, evidence, state, revert_at, vetoed = row
    return WatchRow(
        job=job,
        deployment=deployment,
        server=server,
        evidence=decode(WatchEvidence, evidence),
        state=WatchState(state),
        revert_at=revert_at,
        vetoed=vetoed,
    )


class WatchRows:
    """Implement `ports.Watches` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def get(self, job: str) -> WatchRow | None:
        """Return a watch; None if it has stored nothing yet."""
        row = self._run(_SELECT + "WHERE job = ?", (job,)).fetchone()
        return _watch(row) if row else None

    def of(self, deployment: int) -> tuple[WatchRow, ...]:
        """Return all watches of a deployment, in the order of the servers' names."""
        return tuple(map(_watch, self._run(_SELECT + "WHERE deployment = ? ORDER BY server, job", (deployment,))))

    def put(self, row: WatchRow) -> None:
        """Store a watch, in place of what it stored before."""
        sql = """
            INSERT OR REPLACE INTO watches (job, deployment, server, evidence, state, revert_at, vetoed)
            VALUES (?, ?, ?, ?, ?, ?, ?)"""
        where = (row.job, row.deployment, row.server)
        self._run(sql, (*where, encode(row.evidence), row.state.value, row.revert_at, clean(row.vetoed)))

    def forget(self, now: float) -> None:
        """Delete the watches of deployments that ended long ago. Their outcomes and logs stay."""
        sql = """
            DELETE FROM watches
            WHERE deployment IN (SELECT number FROM deployments WHERE finished > 0 AND finished < ?)"""
        self._run(sql, (now - _KEPT,))
