"""Store reports of deployments to other services: one row per state and target service, delivered in order.

Reports that were delivered or given up are deleted after a month, except rows with the service's id of a deployment.
"""

from __future__ import annotations

import dataclasses
import secrets
import sqlite3

from deploybot.domain import Report, ReportItem
from deploybot.masking import Redactor
from deploybot.store.codec import decode, encode
from deploybot.store.stored_text import clean

_DUE = """
    SELECT id, target, key, report, made, attempts, next_at,
        coalesce((
            SELECT earlier.remote FROM reports AS earlier
            WHERE earlier.deployment = due.deployment AND earlier.target = due.target AND earlier.remote <> ''
            ORDER BY earlier.id DESC LIMIT 1
        ), ''),
        coalesce((
            SELECT good.remote FROM reports AS good
            WHERE good.target = due.target AND good.environment = due.environment AND good.word = 'succeeded'
              AND good.id < due.id AND good.deployment <> due.deployment
            ORDER BY good.id DESC LIMIT 1
        ), ''),
        EXISTS (
            SELECT 1 FROM reports AS later
            WHERE later.target = due.target AND later.environment = due.environment AND later.word = 'succeeded'
              AND later.id > due.id AND later.deployment <> due.deployment)
    FROM reports AS due
    WHERE state = 'waiting' AND next_at <= ? AND NOT EXISTS (
        SELECT 1 FROM reports AS earlier
        WHERE earlier.deployment = due.deployment AND earlier.target = due.target AND earlier.id < due.id
          AND earlier.state = 'waiting')
    ORDER BY attempts, id LIMIT ?"""
_KEPT = 30 * 86400.0


def _item(row: sqlite3.Row) -> ReportItem:
    number, target, key, report, made, attempts, next_at, remote, before, replaced = row
    return ReportItem(
        id=number,
        target=target,
        key=key,
        report=decode(Report, report),
        remote=remote,
        before=before,
        replaced=bool(replaced),
        made=made,
        attempts=attempts,
        next_at=next_at,
    )


class ReportRows:
    """Implement `ports.Reports` on a connection. `touched` is True if reports were queued since it was last cleared."""

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor) -> None:
        """Use `connection` in the caller's transaction; `redactor` masks texts."""
        self._mask = redactor.text
        self._run = connection.execute
        self.touched = False

    def put(self, target: str, report: Report, now: float) -> bool:
        """Queue a masked report. Return False if the last one to this target for this deployment has the same state."""
        sql = "SELECT word FROM reports WHERE deployment = ? AND target = ? ORDER BY id DESC LIMIT 1"
        last = self._run(sql, (report.deployment, target)).fetchone()
        if last is not None and last[0] == report.word:
            return False
        self.touched = True
        sql = """
            INSERT INTO reports (target, deployment, environment, word, key, report, made, next_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?)"""
        environment = f"{report.app}/{report.environment}"
        row = (
            target,
            report.deployment,
            environment,
            report.word,
            secrets.token_hex(16),
            encode(self._masked(report)),
            now,
            now,
        )
        self._run(sql, row)
        self._run("DELETE FROM reports WHERE remote = '' AND state <> 'waiting' AND made < ?", (now - _KEPT,))
        return True

    def _masked(self, report: Report) -> Report:
        """Return the report with secrets masked in texts that people wrote."""
        mask = self._mask
        return dataclasses.replace(
            report,
            ref=mask(report.ref),
            subject=mask(report.subject),
            by=mask(report.by),
            reason=mask(report.reason),
            outcome=mask(report.outcome),
        )

    def due(self, until: float, limit: int = 50) -> tuple[ReportItem, ...]:
        """Return reports due by `until`: each deployment's earliest state, those with the fewest failures first."""
        return tuple(map(_item, self._run(_DUE, (until, limit))))

    def sent(self, item: int, remote: str) -> None:
        """Record a delivery, with the target's id of the deployment, if it gave one."""
        self._run("UPDATE reports SET state = 'sent', remote = ?, error = '' WHERE id = ?", (clean(remote), item))

    def retry(self, item: int, at: float, error: str) -> None:
        """Record a failure and retry at `at`."""
        sql = "UPDATE reports SET attempts = attempts + 1, next_at = ?, error = ? WHERE id = ? AND state = 'waiting'"
        self._run(sql, (at, clean(self._mask(error)), item))

    def dead(self, item: int, error: str) -> None:
        """Give up a report."""
        sql = "UPDATE reports SET state = 'dead', error = ? WHERE id = ? AND state = 'waiting'"
        self._run(sql, (clean(self._mask(error)), item))

    def waiting(self) -> int:
        """Return how many reports wait."""
        return int(self._run("SELECT count(*) FROM reports WHERE state = 'waiting'").fetchone()[0])
