"""Deliveries of webhooks, in rows.

A row is kept for a month after it has ended, without its body, so that what comes again is known: by the sender's id
and by the digest, each unique for an app and a sender.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Sequence

from deploybot.ports import Delivery, Fate, NewDelivery, Waiting
from deploybot.store.text import clean

_KEPT = 30 * 86400.0
_MOST = 100_000
_MOST_FAILED = 100
_MADE = 500
_COLUMNS = "id, app, sender, delivery, headers, query, body, received, fate, tries, made"


def _delivery(row: sqlite3.Row) -> Delivery:
    number, app, sender, delivery, headers, query, body, received, fate, tries, made = row
    return Delivery(
        number=number,
        app=app,
        sender=sender,
        delivery=delivery,
        headers=json.loads(headers),
        query=json.loads(query),
        body=body or b"",
        received=received,
        fate=Fate(fate),
        tries=tries,
        made=made,
    )


class DeliveryRows:
    """`ports.Deliveries` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Take the connection whose transaction this works in."""
        self._run = connection.execute

    def add(self, new: NewDelivery, *, again_after: float) -> int:
        """Keep one; its number, 0 where it is there already, by the sender's id or by its digest.

        The digest counts for `again_after` seconds: after that the same is a new one.
        """
        if again_after < _KEPT:
            sql = "UPDATE deliveries SET digest = NULL WHERE app = ? AND sender = ? AND digest = ? AND received < ?"
            self._run(sql, (new.app, new.sender, new.digest, new.received - again_after))
        sql = """
            INSERT INTO deliveries (app, sender, delivery, digest, headers, query, received, body)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING"""
        headers, query = json.dumps(new.headers), json.dumps(new.query)
        found = self._run(sql, (new.app, new.sender, new.delivery, new.digest, headers, query, new.received, new.body))
        return int(found.lastrowid or 0) if found.rowcount == 1 else 0

    def waiting(self, after: int, limit: int) -> tuple[Waiting, ...]:
        """Those that wait, beyond a number, the oldest first."""
        sql = "SELECT id, app FROM deliveries WHERE fate = 'waiting' AND id > ? ORDER BY id LIMIT ?"
        return tuple(Waiting(number, app) for number, app in self._run(sql, (after, limit)))

    def backlog(self) -> int:
        """How many bytes the bodies of those that wait have."""
        sql = "SELECT coalesce(sum(length(body)), 0) FROM deliveries WHERE fate = 'waiting'"
        return int(self._run(sql).fetchone()[0])

    def load(self, numbers: Sequence[int]) -> tuple[Delivery, ...]:
        """Whole deliveries, the oldest first; those that are gone are left out."""
        marks = ", ".join("?" * len(numbers))
        sql = f"SELECT {_COLUMNS} FROM deliveries WHERE id IN ({marks}) ORDER BY id"  # noqa: S608  only question marks
        return tuple(map(_delivery, self._run(sql, tuple(numbers))))

    def tried(self, number: int, tries: int) -> None:
        """Note a failure that may pass."""
        self._run("UPDATE deliveries SET tries = ? WHERE id = ?", (tries, number))

    def finish(self, number: int, fate: Fate, made: str, now: float) -> None:
        """Note its end. The body is kept of the last hundred that failed."""
        keep = fate is Fate.FAILED
        sql = "UPDATE deliveries SET fate = ?, made = ?, body = CASE WHEN ? THEN body END WHERE id = ?"
        self._run(sql, (fate, clean(made)[:_MADE], keep, number))
        if keep:
            self._forget_bodies()
        # A few of the oldest, found by the numbers that rows are sorted by: this runs for each delivery.
        sql = """
            DELETE FROM deliveries
            WHERE id IN (SELECT id FROM deliveries ORDER BY id LIMIT 4) AND fate <> 'waiting'
            AND (received < ? OR id <= ?)"""
        self._run(sql, (now - _KEPT, number - _MOST))

    def _forget_bodies(self) -> None:
        sql = """
            UPDATE deliveries SET body = NULL
            WHERE fate = 'failed' AND body IS NOT NULL AND id NOT IN (
                SELECT id FROM deliveries WHERE fate = 'failed' ORDER BY id DESC LIMIT ?)"""
        self._run(sql, (_MOST_FAILED,))
