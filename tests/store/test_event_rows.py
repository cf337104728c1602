"""Rows of the things that events are about, and of their notifications."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.card import Line
from deploybot.domain import (
    Alert,
    Author,
    Build,
    BuildState,
    Change,
    Channel,
    Deployed,
    Event,
    Identity,
    ImagePushed,
    Note,
    Ping,
    Published,
    Push,
    PushedCommit,
    Synced,
    Tagged,
)
from deploybot.errors import StoreError
from deploybot.ports import EventPart, Notification, Tables
from deploybot.store.codec import encode
from deploybot.store.database import Database
from deploybot.store.database_connection import Way, open_database
from deploybot.store.event_rows import EventRows
from deploybot.store.schema import STEPS
from tests.store.channels_before import before
from tests.store.examples import CONSOLE, NOW

SHA = "0123456789abcdef0123456789abcdef01234567"
BY = Author("Ana \ud800 <b>", Identity("github", "583231"))
EVENTS: tuple[Event, ...] = (
    Push(sender="github", by=BY, branch="main", after=SHA, commits=(PushedCommit(SHA, "Ana", "x"),), paths=("a",)),
    Tagged(sender="github", tag="v1", commit=SHA),
    Published(sender="github", tag="v1", early=True),
    Change(sender="gitlab", number=1, title="x", what="opened", branch="a", into="b"),
    Build(sender="github", key="1", name="ci", state=BuildState.FAILED, failed=("unit",), at=1.5),
    ImagePushed(sender="ghcr", image="acme/shop", tag="v1"),
    Deployed(sender="github", key="1", environment="staging", state=BuildState.QUEUED, own=True),
    Synced(sender="argocd", application="a", state="Synced"),
    Alert(sender="prometheus", key="k", name="n", firing=True, labels=(("a", "b"),)),
    Note(sender="event", title="x", fields=(("a", "b"),)),
    Ping(sender="event"),
)
PART = EventPart(app="shop", thing="push:1", part="", event=EVENTS[0], series="push:main", position=1, arrived_at=NOW)
CHANNEL = Notification(app="shop", thing="push:1", channel=CONSOLE)


async def _put(store: Database, *parts: EventPart, now: float = NOW) -> None:
    def work(tables: Tables) -> None:
        for part in parts:
            tables.events.put(part, now)

    await store.write(work)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
async def test_every_kind_of_event_is_kept_as_it_is(store: Database, event: Event) -> None:
    part = replace(PART, event=event, commit=SHA)
    await _put(store, part)
    assert await store.read(lambda tables: tables.events.parts("shop", "push:1")) == (part,)


async def test_a_part_is_replaced_but_the_time_of_its_first_event_stays(store: Database) -> None:
    newer = replace(PART, event=EVENTS[1], series="", position=2, arrived_at=NOW + 5)
    await _put(store, PART, newer)
    found = await store.read(lambda tables: tables.events.parts("shop", "push:1"))
    assert found == (replace(newer, arrived_at=NOW),)


async def test_of_very_many_parts_the_last_are_kept(store: Database) -> None:
    await _put(store, *(replace(PART, part=f"{number:03}", arrived_at=NOW + number) for number in range(150)))
    found = await store.read(lambda tables: tables.events.parts("shop", "push:1"))
    assert [one.part for one in found] == [f"{number:03}" for number in range(50, 150)]


async def test_a_series_goes_from_the_newest_back(store: Database) -> None:
    await _put(store, *(replace(PART, thing=f"push:{number}", position=number) for number in (2, 9, 4)))
    await _put(store, replace(PART, app="blog"), replace(PART, thing="alone", series=""))
    things = await store.read(lambda tables: [one.thing for one in tables.events.series("shop", "push:main", 2)])
    assert things == ["push:9", "push:4"]
    assert await store.read(lambda tables: [*tables.events.series("shop", "", 9)]) == []


async def test_things_are_found_by_their_commits_and_parts(store: Database) -> None:
    await _put(store, replace(PART, commit=SHA), replace(PART, thing="b", part="x", commit=SHA, arrived_at=NOW + 1))
    await _put(store, replace(PART, thing="c"))
    assert await store.read(lambda tables: tables.events.about("shop", SHA, 9)) == ("b", "push:1")
    assert await store.read(lambda tables: tables.events.about("shop", "", 9)) == ()
    assert await store.read(lambda tables: tables.events.thing_with("shop", "x")) == "b"
    assert await store.read(lambda tables: tables.events.thing_with("blog", "x")) is None


async def test_what_waits_is_due_in_order(store: Database) -> None:
    slack = Channel("slack", "C1")

    def work(tables: Tables) -> None:
        tables.events.put(PART, NOW)
        tables.events.put_notification(replace(CHANNEL, due=NOW + 60))
        tables.events.put_notification(replace(CHANNEL, channel=slack, due=NOW + 30, mood="good"))

    await store.write(work)
    assert await store.read(lambda tables: tables.events.next_due()) == NOW + 30
    assert await store.read(lambda tables: tables.events.due(NOW + 30)) == (
        replace(CHANNEL, channel=slack, due=NOW + 30, mood="good"),
    )
    await store.write(
        lambda tables: tables.events.put_notification(replace(CHANNEL, channel=slack, messages=1, posted_at=NOW + 30))
    )
    assert await store.read(lambda tables: tables.events.next_due()) == NOW + 60
    await store.write(lambda tables: tables.events.put_notification(CHANNEL))
    assert await store.read(lambda tables: tables.events.next_due()) is None
    assert len(await store.read(lambda tables: tables.events.notifications("shop", "push:1"))) == 2


async def test_a_notification_of_an_unknown_thing_is_refused(store: Database) -> None:
    with pytest.raises(StoreError):
        await store.write(lambda tables: tables.events.put_notification(CHANNEL))


async def test_what_is_forgotten_is_gone_with_its_parts_and_notifications(store: Database) -> None:
    await _put(store, PART)
    await store.write(lambda tables: tables.events.put_notification(CHANNEL))
    await _put(store, replace(PART, thing="b"), now=NOW + 10)
    await store.write(lambda tables: tables.events.forget(NOW + 10))
    assert await store.read(lambda tables: tables.events.parts("shop", "push:1")) == ()
    assert await store.read(lambda tables: tables.events.notifications("shop", "push:1")) == ()
    assert len(await store.read(lambda tables: tables.events.parts("shop", "b"))) == 1


async def test_an_event_of_a_newer_version_is_reported_as_that(store: Database) -> None:
    await _put(store, PART)

    def newer(tables: Tables) -> None:
        tables.events._run("UPDATE event_parts SET kind = 'Comet'")  # type: ignore[attr-defined]

    await store.write(newer)
    with pytest.raises(StoreError, match="an event of the kind Comet"):
        await store.read(lambda tables: tables.events.parts("shop", "push:1"))


def test_a_database_of_before_migration_20_keeps_its_events_and_notifications(tmp_path: Path) -> None:
    path = tmp_path / "deploybot.db"
    steps = STEPS[: [step.__name__ for step in STEPS].index("m020_triggers")]
    part = "INSERT INTO told_parts VALUES ('shop', 'push:1', '', 'Push', ?, 'push:main', 1.0, ?, ?)"
    channel = (
        "INSERT INTO told_places (app, thing, place, messages, said, due, mood, stream, storm, line) "
        "VALUES ('shop', 'push:1', ?, 1, ?, ?, 'bad', 'github', 1, ?)"
    )
    line = Line("1", "x")
    with closing(open_database(path, Way(durable=False), steps=steps)) as old:
        old.execute("INSERT INTO told_things VALUES ('shop', 'push:1', ?)", (NOW,))
        old.execute(part, (encode(EVENTS[0]), SHA, NOW))
        old.execute(channel, (before(CONSOLE), NOW + 1, NOW + 2, encode(line)))
        old.execute("INSERT INTO told_storms VALUES (1, ?, 'github', ?, ?)", (before(CONSOLE), NOW, NOW + 60))
        old.commit()
    with closing(open_database(path, Way(durable=False))) as new:
        rows = EventRows(new)
        posted = replace(CHANNEL, messages=1, posted_at=NOW + 1, due=NOW + 2, mood="bad")
        assert [replace(one, event=EVENTS[0]) for one in rows.parts("shop", "push:1")] == [replace(PART, commit=SHA)]
        assert rows.notifications("shop", "push:1") == (replace(posted, stream="github", storm=1, line=line),)
        assert (rows.open_storm(CONSOLE, "github"), rows.recent(CONSOLE, "github", NOW)) == (1, 1)
        rows.forget(NOW + 10)
        assert (rows.parts("shop", "push:1"), rows.notifications("shop", "push:1")) == ((), ())
        left = "SELECT name FROM sqlite_schema WHERE name LIKE '%told%' OR sql LIKE '%told%'"
        assert new.execute(left).fetchall() == []
