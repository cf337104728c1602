"""The migration that gives channels their name."""

from __future__ import annotations

import json

from sqlite_utils import Database

_TABLES = ("deployments", "outbox", "notifications", "storms")
_RENAMED = (
    "DROP INDEX outbox_card",
    "DROP INDEX notifications_stream",
    *(f"ALTER TABLE {table} RENAME COLUMN place TO channel" for table in _TABLES),
    "CREATE UNIQUE INDEX outbox_card ON outbox (key, channel) WHERE key <> ''",
    "CREATE INDEX notifications_stream ON notifications (channel, stream, posted_at) WHERE stream <> ''",
)


def m021_channels(db: Database) -> None:
    """Rename the column `place` to `channel`, and the id of a channel in it from `channel` to `id`. All rows stay."""
    for statement in _RENAMED:
        db.execute(statement)
    for table in _TABLES:
        for (text,) in db.execute(f"SELECT DISTINCT channel FROM {table} WHERE channel IS NOT NULL").fetchall():  # noqa: S608
            db.execute(f"UPDATE {table} SET channel = ? WHERE channel = ?", (_json(_renamed(json.loads(text))), text))  # noqa: S608
    for person, text in db.execute("SELECT person, link FROM links").fetchall():
        link = json.loads(text)
        link["channel"] = _renamed(link.pop("place"))
        db.execute("UPDATE links SET link = ? WHERE person = ?", (_json(link), person))


def _renamed(place: dict[str, object]) -> dict[str, object]:
    return {"id" if name == "channel" else name: value for name, value in place.items()}


def _json(value: object) -> str:
    """Return JSON as the codec writes it, so that a channel is found by its text."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"))
