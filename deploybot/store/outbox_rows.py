"""Store messages that wait to be sent to chats.

A card with a key has one row for each channel it is posted in. The row has its newest state, how many states there
were, and, once known, the platform's id of the message to edit. A card without a key has its own row. Messages that
were sent or given up are deleted a month after they were last due.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Collection
from functools import lru_cache

from deploybot.card import Card
from deploybot.domain import Channel
from deploybot.masking import Redactor
from deploybot.ports import OutboxItem
from deploybot.store.codec import decode, encode
from deploybot.store.stored_text import clean

_SELECT = "SELECT id, channel, card, key, message, revision, attempts, next_at FROM outbox "
_KEPT = 30 * 86400.0


@lru_cache(maxsize=128)
def _card(text: str) -> Card:
    """Decode a row's card. It is cached, because a long queue is read again with every commit."""
    return decode(Card, text)


@lru_cache(maxsize=128)
def _channel(text: str) -> Channel:
    """Decode a row's channel. It is cached, because there are few and they are read as often as cards."""
    return decode(Channel, text)


def _item(row: sqlite3.Row) -> OutboxItem:
    number, channel, card, key, message, revision, attempts, next_at = row
    return OutboxItem(
        id=number,
        channel=_channel(channel),
        card=_card(card),
        key=key,
        message=message,
        revision=revision,
        attempts=attempts,
        next_at=next_at,
    )


class OutboxRows:
    """Implement `ports.Outbox` on a connection. `touched` is True if cards were queued since it was last cleared."""

    def __init__(self, connection: sqlite3.Connection, redactor: Redactor) -> None:
        """Use `connection` in the caller's transaction; `redactor` masks cards."""
        self._redactor = redactor
        self._run = connection.execute
        self.touched = False

    def put(self, channel: Channel, card: Card, now: float) -> None:
        """Queue a masked card. With a key, it replaces an unsent earlier state of the card in the same channel.

        A card that waits for a retry keeps its retry time. One that was given up is tried again.
        """
        if card.stream:
            raise ValueError(f"card {card.key or card.title!r} is a stream: its states add up and cannot be replaced")
        self.touched = True
        sql = """
            INSERT INTO outbox (channel, key, card, next_at, notification) VALUES (?, ?, ?, ?, ?)
            ON CONFLICT (key, channel) WHERE key <> '' DO UPDATE SET
                card = excluded.card, notification = excluded.notification, revision = revision + 1, state = 'waiting',
                attempts = CASE state WHEN 'waiting' THEN attempts ELSE 0 END,
                next_at = CASE state WHEN 'waiting' THEN next_at ELSE excluded.next_at END
            WHERE card <> excluded.card OR state = 'dead'"""
        self._run(sql, (encode(channel), card.key, encode(self._redactor.card(card)), now, card.notification))
        self._run("DELETE FROM outbox WHERE state IN ('sent', 'dead') AND next_at < ?", (now - _KEPT,))

    def due(self, now: float, limit: int = 50, *, besides: Collection[tuple[str, ...]] = ()) -> tuple[OutboxItem, ...]:
        """Return what to send now: new messages, then edits, then notifications, each in the order they were queued."""
        sql = """
            WHERE state = 'waiting' AND next_at <= ?1
              AND json_extract(channel, '$.platform') || ' ' || json_extract(channel, '$.id')
                  || CASE WHEN notification = 1 THEN ' notifications' WHEN message <> '' THEN ' edits' ELSE ' new' END
                  NOT IN (SELECT value FROM json_each(?3))
            ORDER BY notification, message <> '', id LIMIT ?2"""
        left_out = json.dumps([" ".join(channel) for channel in besides])
        return tuple(map(_item, self._run(_SELECT + sql, (now, limit, left_out))))

    def sent(self, item: int, revision: int, message: str) -> None:
        """Record that this revision was sent as that message. If a newer one was queued meanwhile, it stays due."""
        sql = """
            UPDATE outbox SET message = ?, attempts = 0, error = '',
                              state = CASE WHEN revision > ? THEN 'waiting' ELSE 'sent' END
            WHERE id = ?"""
        self._run(sql, (message, revision, item))

    def retry(self, item: int, at: float, error: str) -> None:
        """Record a failure and retry at `at`."""
        sql = "UPDATE outbox SET attempts = attempts + 1, next_at = ?, error = ? WHERE id = ? AND state = 'waiting'"
        self._run(sql, (at, clean(self._redactor.text(error)), item))

    def dead(self, item: int, revision: int, error: str) -> None:
        """Give up this revision. A newer one stays due, and the next `put` of the card tries again."""
        sql = """
            UPDATE outbox SET error = ?1, state = CASE WHEN revision > ?2 THEN 'waiting' ELSE 'dead' END
            WHERE id = ?3 AND state = 'waiting'"""
        self._run(sql, (clean(self._redactor.text(error)), revision, item))

    def next_at(self) -> float | None:
        """Return when the next message is due, or None if nothing waits."""
        row = self._run("SELECT min(next_at) FROM outbox WHERE state = 'waiting'").fetchone()
        return float(row[0]) if row[0] is not None else None

    def waiting(self) -> int:
        """Return how many messages wait."""
        return int(self._run("SELECT count(*) FROM outbox WHERE state = 'waiting'").fetchone()[0])
