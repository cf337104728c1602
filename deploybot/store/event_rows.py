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
    Deployed,
    Event,
    ImagePushed,
    Note,
    Ping,
    Place,
    Published,
    Push,
    Synced,
    Tagged,
)
from deploybot.errors import StoreError
from deploybot.ports.event_tables import EventPart, EventPlace, Storm
from deploybot.store.codec import decode, encode

_KINDS: Final[dict[str, type[Event]]] = {
    kind.__name__: kind
    for kind in (Alert, Build, Change, Deployed, ImagePushed, Note, Ping, Published, Push, Synced, Tagged)
}
_PARTS: Final = 100
_PART = "SELECT app, thing, part, kind, event, series, position, commit_id, heard FROM told_parts "
_PLACE = "SELECT app, thing, place, messages, said, due, mood, stream, storm, line FROM told_places "
_TRIM = """
    DELETE FROM told_parts WHERE app = :app AND thing = :thing AND (heard, part) < (
        SELECT heard, part FROM told_parts WHERE app = :app AND thing = :thing
        ORDER BY heard DESC, part DESC LIMIT 1 OFFSET :most - 1)"""


class EventRows:
    """Implement `ports.EventTable` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def put(self, part: EventPart, now: float) -> None:
        """Store the newest event of a part. The time of its first event stays."""
        sql = """
            INSERT INTO told_parts (app, thing, part, kind, event, series, position, commit_id, heard)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (app, thing, part) DO UPDATE SET
                kind = excluded.kind, event = excluded.event, series = excluded.series, position = excluded.position,
                commit_id = excluded.commit_id"""
        where, event = (part.app, part.thing, part.part), (type(part.event).__name__, encode(part.event))
        row = (*where, *event, part.series, part.position, part.commit, part.heard)
        self._run(
            "INSERT INTO told_things (app, thing, changed) VALUES (?, ?, ?) "
            "ON CONFLICT (app, thing) DO UPDATE SET changed = excluded.changed",
            (part.app, part.thing, now),
        )
        self._run(sql, row)
        self._run(_TRIM, {"app": part.app, "thing": part.thing, "most": _PARTS})

    def parts(self, app: str, thing: str) -> tuple[EventPart, ...]:
        """Return the parts of a subject in the order of their first events; only the last of very many."""
        sql = _PART + "WHERE app = ? AND thing = ? ORDER BY heard DESC, part DESC LIMIT ?"
        return tuple(map(_part, self._run(sql, (app, thing, _PARTS)).fetchall()[::-1]))

    def thing_with(self, app: str, part: str) -> str | None:
        """Return the first subject that has a part of this name, or None."""
        sql = "SELECT thing FROM told_parts WHERE app = ? AND part = ? ORDER BY heard LIMIT 1"
        row = self._run(sql, (app, part)).fetchone()
        return str(row[0]) if row else None

    def about(self, app: str, commit: str, limit: int) -> tuple[str, ...]:
        """Return the last subjects about a commit."""
        sql = """
            SELECT thing FROM told_parts WHERE app = ? AND commit_id = ? AND commit_id <> ''
            GROUP BY thing ORDER BY max(heard) DESC, thing LIMIT ?"""
        return tuple(str(row[0]) for row in self._run(sql, (app, commit, limit)))

    def series(self, app: str, series: str, limit: int) -> Iterator[EventPart]:
        """Return the last parts of a series, newest first. Each is decoded only when needed."""
        sql = _PART + "WHERE app = ? AND series = ? AND series <> '' ORDER BY position DESC, thing, part LIMIT ?"
        return map(_part, self._run(sql, (app, series, limit)).fetchall())

    def places(self, app: str, thing: str) -> tuple[EventPlace, ...]:
        """Return the channels where a subject was posted or waits to be posted."""
        return tuple(map(_place, self._run(_PLACE + "WHERE app = ? AND thing = ? ORDER BY place", (app, thing))))

    def say(self, place: EventPlace) -> None:
        """Store the state of a subject's notification in a channel, replacing the stored one."""
        sql = """
            INSERT INTO told_places (app, thing, place, messages, said, due, mood, stream, storm, line)
            VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
            ON CONFLICT (app, thing, place) DO UPDATE SET
                messages = excluded.messages, said = excluded.said, due = excluded.due, mood = excluded.mood,
                stream = excluded.stream, storm = excluded.storm, line = excluded.line"""
        where = (place.app, place.thing, encode(place.place))
        line = encode(place.line) if place.storm else ""
        self._run(sql, (*where, place.messages, place.said, place.due, place.mood, place.stream, place.storm, line))

    def due(self, now: float) -> tuple[EventPlace, ...]:
        """Return the notifications due by now, in the order of their first events."""
        sql = _PLACE + "WHERE due > 0 AND due <= ? ORDER BY id"
        return tuple(map(_place, self._run(sql, (now,))))

    def next_due(self) -> float | None:
        """Return when the next notification or storm is due, or None."""
        sql = """
            SELECT min(at) FROM (SELECT min(due) AS at FROM told_places WHERE due > 0
                                 UNION ALL SELECT min(closes) FROM told_storms WHERE closes > 0)"""
        row = self._run(sql).fetchone()
        return float(row[0]) if row[0] is not None else None

    def forget(self, before: float) -> None:
        """Delete subjects without new events since `before`, and storms that began before it."""
        self._run("DELETE FROM told_things WHERE changed < ?", (before,))
        self._run("DELETE FROM told_storms WHERE began < ?", (before,))

    def recent(self, place: Place, stream: str, since: float) -> int:
        """Count the subjects of a stream posted in a channel after `since`."""
        sql = "SELECT count(*) FROM told_places WHERE place = ? AND stream = ? AND stream <> '' AND said > ?"
        return int(self._run(sql, (encode(place), stream, since)).fetchone()[0])

    def open_storm(self, place: Place, stream: str) -> int:
        """Return the open storm of a stream in a channel, or 0 if there is none."""
        sql = "SELECT max(id) FROM told_storms WHERE place = ? AND stream = ? AND closes > 0"
        return int(self._run(sql, (encode(place), stream)).fetchone()[0] or 0)

    def begin_storm(self, place: Place, stream: str, began: float, closes: float) -> int:
        """Open a storm and return its number."""
        sql = "INSERT INTO told_storms (place, stream, began, closes) VALUES (?, ?, ?, ?)"
        return self._run(sql, (encode(place), stream, began, closes)).lastrowid or 0

    def storm(self, number: int) -> Storm | None:
        """Return a storm, or None if it was deleted."""
        row = self._run("SELECT place, stream, began, closes FROM told_storms WHERE id = ?", (number,)).fetchone()
        if row is None:
            return None
        moods = self._run("SELECT mood, count(*) FROM told_places WHERE storm = ? GROUP BY mood", (number,))
        place, stream, began, closes = row
        return Storm(
            id=number, place=decode(Place, place), stream=stream, began=began, closes=closes, moods=dict(moods)
        )

    def storm_lines(self, number: int, limit: int) -> tuple[EventPlace, ...]:
        """Return the notifications in a storm: bad ones first, then the newest."""
        sql = _PLACE + "WHERE storm = ? ORDER BY mood <> 'bad', id DESC LIMIT ?"
        return tuple(map(_place, self._run(sql, (number, limit))))

    def due_storms(self, now: float) -> tuple[int, ...]:
        """Return the storms whose time is over but that are not closed yet."""
        found = self._run("SELECT id FROM told_storms WHERE closes > 0 AND closes <= ? ORDER BY id", (now,))
        return tuple(int(row[0]) for row in found)

    def close_storm(self, number: int) -> None:
        """Close a storm, so that it accepts no more notifications."""
        self._run("UPDATE told_storms SET closes = 0 WHERE id = ?", (number,))


def _part(row: sqlite3.Row) -> EventPart:
    app, thing, part, kind, event, series, position, commit, heard = row
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
        heard=heard,
    )


def _place(row: sqlite3.Row) -> EventPlace:
    app, thing, place, messages, said, due, mood, stream, storm, line = row
    return EventPlace(
        app=app,
        thing=thing,
        place=decode(Place, place),
        messages=messages,
        said=said,
        due=due,
        mood=mood,
        stream=stream,
        storm=storm,
        line=decode(Line, line) if line else Line("", ""),
    )
