"""Store the subjects of events, and the notifications posted about them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from deploybot.card import Line
from deploybot.domain import (
    Alert,
    Build,
    Change,
    Channel,
    Deployed,
    Event,
    ImagePushed,
    Note,
    Ping,
    Published,
    Push,
    Synced,
    Tagged,
)
from deploybot.errors import StoreError
from deploybot.ports.event_tables import EventPart, Notification, Storm
from deploybot.store.codec import decode, encode

_KINDS: Final[dict[str, type[Event]]] = {
    kind.__name__: kind
    for kind in (Alert, Build, Change, Deployed, ImagePushed, Note, Ping, Published, Push, Synced, Tagged)
}
_PARTS: Final = 100
_PART = "SELECT app, thing, part, kind, event, series, position, commit_id, arrived_at FROM event_parts "
_SELECT = "SELECT app, thing, channel, messages, posted_at, due, mood, stream, storm, line FROM notifications "
_TRIM = """
    DELETE FROM event_parts WHERE app = :app AND thing = :thing AND (arrived_at, part) < (
        SELECT arrived_at, part FROM event_parts WHERE app = :app AND thing = :thing
        ORDER BY arrived_at DESC, part DESC LIMIT 1 OFFSET :most - 1)"""


class EventRows:
    """Implement `ports.EventTable` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def put(self, part: EventPart, now: float) -> None:
        """Store the newest event of a part. The time of its first event stays."""
        sql = """
            INSERT INTO event_parts (app, thing, part, kind, event, series, position, commit_id, arrived_at)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (app, thing, part) DO UPDATE SET
                kind = excluded.kind, event = excluded.event, series = excluded.series, position = excluded.position,
                commit_id = excluded.commit_id"""
        where, event = (part.app, part.thing, part.part), (type(part.event).__name__, encode(part.event))
        row = (*where, *event, part.series, part.position, part.commit, part.arrived_at)
        self._run(
            "INSERT INTO event_subjects (app, thing, changed) VALUES (?, ?, ?) "
            "ON CONFLICT (app, thing) DO UPDATE SET changed = excluded.changed",
            (part.app, part.thing, now),
        )
        self._run(sql, row)
        self._run(_TRIM, {"app": part.app, "thing": part.thing, "most": _PARTS})

    def parts(self, app: str, thing: str) -> tuple[EventPart, ...]:
        """Return the parts of a subject in the order of their first events; only the last of very many."""
        sql = _PART + "WHERE app = ? AND thing = ? ORDER BY arrived_at DESC, part DESC LIMIT ?"
        return tuple(map(_part, self._run(sql, (app, thing, _PARTS)).fetchall()[::-1]))

    def thing_with(self, app: str, part: str) -> str | None:
        """Return the first subject that has a part of this name, or None."""
        sql = "SELECT thing FROM event_parts WHERE app = ? AND part = ? ORDER BY arrived_at LIMIT 1"
        row = self._run(sql, (app, part)).fetchone()
        return str(row[0]) if row else None

    def about(self, app: str, commit: str, limit: int) -> tuple[str, ...]:
        """Return the last subjects about a commit."""
        sql = """
            SELECT thing FROM event_parts WHERE app = ? AND commit_id = ? AND commit_id <> ''
            GROUP BY thing ORDER BY max(arrived_at) DESC, thing LIMIT ?"""
        return tuple(str(row[0]) for row in self._run(sql, (app, commit, limit)))

    def series(self, app: str, series: str, limit: int) -> Iterator[EventPart]:
        """Return the last parts of a series, newest first. Each is decoded only when needed."""
        sql = _PART + "WHERE app = ? AND series = ? AND series <> '' ORDER BY position DESC, thing, part LIMIT ?"
        return map(_part, self._run(sql, (app, series, limit)).fetchall())

    def notifications(self, app: str, thing: str) -> tuple[Notification, ...]:
        """Return the channels where a subject was posted or waits to be posted."""
        return tuple(
            map(_notification, self._run(_SELECT + "WHERE app = ? AND thing = ? ORDER BY channel", (app, thing)))
        )

    def put_notification(self, notification: Notification) -> None:
        """Store the state of a subject's notification in a channel, replacing the stored one."""
        sql = """
            INSERT INTO notifications (app, thing, channel, messages, posted_at, due, mood, stream, storm, line)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (app, thing, channel) DO UPDATE SET
                messages = excluded.messages, posted_at = excluded.posted_at, due = excluded.due, mood = excluded.mood,
                stream = excluded.stream, storm = excluded.storm, line = excluded.line"""
        where = (notification.app, notification.thing, encode(notification.channel))
        line = encode(notification.line) if notification.storm else ""
        posted = (notification.messages, notification.posted_at, notification.due, notification.mood)
        self._run(sql, (*where, *posted, notification.stream, notification.storm, line))

    def due(self, now: float) -> tuple[Notification, ...]:
        """Return the notifications due by now, in the order of their first events."""
        sql = _SELECT + "WHERE due > 0 AND due <= ? ORDER BY id"
        return tuple(map(_notification, self._run(sql, (now,))))

    def next_due(self) -> float | None:
        """Return when the next notification or storm is due, or None."""
        sql = """
            SELECT min(at) FROM (SELECT min(due) AS at FROM notifications WHERE due > 0
                                 UNION ALL SELECT min(closes) FROM storms WHERE closes > 0)"""
        row = self._run(sql).fetchone()
        return float(row[0]) if row[0] is not None else None

    def forget(self, before: float) -> None:
        """Delete subjects without new events since `before`, and storms that began before it."""
        self._run("DELETE FROM event_subjects WHERE changed < ?", (before,))
        self._run("DELETE FROM storms WHERE began < ?", (before,))

    def recent(self, channel: Channel, stream: str, since: float) -> int:
        """Count the subjects of a stream posted in a channel after `since`."""
        sql = "SELECT count(*) FROM notifications WHERE channel = ? AND stream = ? AND stream <> '' AND posted_at > ?"
        return int(self._run(sql, (encode(channel), stream, since)).fetchone()[0])

    def open_storm(self, channel: Channel, stream: str) -> int:
        """Return the open storm of a stream in a channel, or 0 if there is none."""
        sql = "SELECT max(id) FROM storms WHERE channel = ? AND stream = ? AND closes > 0"
        return int(self._run(sql, (encode(channel), stream)).fetchone()[0] or 0)

    def begin_storm(self, channel: Channel, stream: str, began: float, closes: float) -> int:
        """Open a storm and return its number."""
        sql = "INSERT INTO storms (channel, stream, began, closes) VALUES (?, ?, ?, ?)"
        return self._run(sql, (encode(channel), stream, began, closes)).lastrowid or 0

    def storm(self, number: int) -> Storm | None:
        """Return a storm, or None if it was deleted."""
        row = self._run("SELECT channel, stream, began, closes FROM storms WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        moods = self._run("SELECT mood, count(*) FROM notifications WHERE storm = ? GROUP BY mood", (number,))
        channel, stream, began, closes = row
        return Storm(
            id=number, channel=decode(Channel, channel), stream=stream, began=began, closes=closes, moods=dict(moods)
        )

    def storm_lines(self, number: int, limit: int) -> tuple[Notification, ...]:
        """Return the notifications in a storm: bad ones first, then the newest."""
        sql = _SELECT + "WHERE storm = ? ORDER BY mood <> 'bad', id DESC LIMIT ?"
        return tuple(map(_notification, self._run(sql, (number, limit))))

    def due_storms(self, now: float) -> tuple[int, ...]:
        """Return the storms whose time is over but that are not closed yet."""
        found = self._run("SELECT id FROM storms WHERE closes > 0 AND closes <= ? ORDER BY id", (now,))
        return tuple(int(row[0]) for row in found)

    def close_storm(self, number: int) -> None:
        """Close a storm, so that it accepts no more notifications."""
        self._run("UPDATE storms SET closes = 0 WHERE id = ?", (number,))


def _part(row: sqlite3.Row) -> EventPart:
    app, thing, part, kind, event, series, position, commit, arrived_at = row
    if kind not in _KINDS:
        raise StoreError(f"a row of the database holds an event of the kind {kind}, which this version does not know")
    return EventPart(
        app=app,
        thing=thing,
        part=part,
        event=decode(_KINDS[kind], event),
        series=series,
        position=position,
        commit=commit,
        arrived_at=arrived_at,
    )


def _notification(row: sqlite3.Row) -> Notification:
    app, thing, channel, messages, posted_at, due, mood, stream, storm, line = row
    return Notification(
        app=app,
        thing=thing,
        channel=decode(Channel, channel),
        messages=messages,
        posted_at=posted_at,
        due=due,
        mood=mood,
        stream=stream,
        storm=storm,
        line=decode(Line, line) if line else Line("", ""),
    )
