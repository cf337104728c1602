"""Store deliveries of webhooks.

A finished delivery is kept for a month, without its body, to detect duplicates. They are detected by the sender's id
and by the digest, each unique for an app and a sender.
"""

from __future__ import annotations

import functools
import json
import sqlite3
from collections.abc import Sequence

from deploybot.ports import Delivery, Fate, NewDelivery, Waiting
from deploybot.store.stored_text import clean

_KEPT = 30 * 86400.0
_MOST = 100_000
_MOST_FAILED = 100
_MADE = 500
_ROWS = 64
_LOOK_BACK = 2_000
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


@functools.cache
def _insert(count: int) -> str:
    rows = ", ".join(["(?, ?, ?, ?, ?, ?, ?, ?)"] * count)
    return f"INSERT INTO deliveries (app, sender, delivery, digest, headers, query, received, body) VALUES {rows}"  # noqa: S608  only question marks


def _values(new: NewDelivery) -> tuple[object, ...]:
    headers, query = json.dumps(new.headers), json.dumps(new.query) if new.query else "{}"
    return new.app, new.sender, new.delivery, new.digest, headers, query, new.received, new.body


class DeliveryRows:
    """Implement `ports.Deliveries` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def add(self, new: Sequence[NewDelivery]) -> tuple[int, ...]:
        """Store deliveries. Return their numbers, 0 for a duplicate by the sender's id or by its digest."""
        for one in new:
            if one.again_after < _KEPT:
                self._let_again(one)
        numbers: list[int] = []
        while len(numbers) < len(new):
            # Use few sizes, so that few statements are compiled.
            size = min(_ROWS, 1 << (len(new) - len(numbers)).bit_length() - 1)
            numbers += self._add(new[len(numbers) : len(numbers) + size])
        return tuple(numbers)

    def _let_again(self, new: NewDelivery) -> None:
        """Clear the digest of an earlier delivery that is too old to be a duplicate, or was followed by another one.

        A state that comes back after another state (down, up, down) is news.
        """
        sql = """
            UPDATE deliveries SET digest = NULL
            WHERE app = ? AND sender = ? AND digest = ? AND (received < ? OR EXISTS (
                SELECT 1 FROM deliveries AS later
                WHERE later.id > deliveries.id AND later.app = deliveries.app AND later.sender = deliveries.sender))"""
        self._run(sql, (new.app, new.sender, new.digest, new.received - new.again_after))

    def _add(self, new: Sequence[NewDelivery]) -> list[int]:
        """Insert deliveries with one statement, or one by one if some are duplicates.

        One statement is faster, because each one releases the interpreter's lock and must wait for it again.
        """
        try:
            last = self._run(_insert(len(new)), [value for one in new for value in _values(one)]).lastrowid or 0
        except sqlite3.IntegrityError:
            return [0] if len(new) == 1 else [self._add((one,))[0] for one in new]
        return [*range(last - len(new) + 1, last + 1)]

    def waiting(self, after: int, limit: int) -> tuple[Waiting, ...]:
        """Return the waiting deliveries after a number, oldest first."""
        sql = "SELECT id, app FROM deliveries WHERE fate = 'waiting' AND id > ? ORDER BY id LIMIT ?"
        return tuple(Waiting(number, app) for number, app in self._run(sql, (after, limit)))

    def backlog(self) -> int:
        """Return the total size of the waiting deliveries' bodies, in bytes."""
        sql = "SELECT coalesce(sum(length(body)), 0) FROM deliveries WHERE fate = 'waiting'"
        return int(self._run(sql).fetchone()[0])

    def load(self, numbers: Sequence[int], most: int) -> tuple[Delivery, ...]:
        """Return waiting deliveries with these numbers, oldest first: one, and more until `most` bytes are reached."""
        marks = ", ".join("?" * len(numbers))
        sql = f"SELECT {_COLUMNS} FROM deliveries WHERE id IN ({marks}) AND fate = 'waiting' ORDER BY id"  # noqa: S608  only question marks
        found: list[Delivery] = []
        for row in self._run(sql, tuple(numbers)):
            found.append(_delivery(row))
            most -= len(found[-1].body)
            if most <= 0:
                break
        return tuple(found)

    def get(self, number: int) -> Delivery | None:
        """Return one delivery, or None if it no longer exists."""
        row = self._run(f"SELECT {_COLUMNS} FROM deliveries WHERE id = ?", (number,)).fetchone()  # noqa: S608  columns
        return _delivery(row) if row else None

    def last_made(self, app: str, sender: str, limit: int) -> tuple[str, ...]:
        """Return the results of a sender's last processed deliveries to an app, newest first."""
        sql = """
            SELECT made FROM deliveries WHERE id > (SELECT coalesce(max(id), 0) FROM deliveries) - ?
            AND app = ? AND sender = ? AND fate = 'done' ORDER BY id DESC LIMIT ?"""
        return tuple(str(row[0]) for row in self._run(sql, (_LOOK_BACK, app, sender, limit)))

    def tried(self, number: int, tries: int) -> None:
        """Record the number of tries after a temporary failure."""
        self._run("UPDATE deliveries SET tries = ? WHERE id = ?", (tries, number))

    def finish(self, number: int, fate: Fate, made: str, now: float) -> None:
        """Record the end of a delivery. Only the last hundred failed ones keep their body."""
        keep = fate is Fate.FAILED
        sql = "UPDATE deliveries SET fate = ?, made = ?, body = CASE WHEN ? THEN body END WHERE id = ?"
        self._run(sql, (fate, clean(made)[:_MADE], keep, number))
        if keep:
            self._forget_bodies()
        # Delete only a few of the oldest, found by primary key, because this runs for each delivery.
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
