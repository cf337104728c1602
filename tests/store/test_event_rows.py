"""What was heard of the things that events are about, and where it was told."""

from __future__ import annotations

from dataclasses import replace

import pytest

from deploybot.domain import (
    Alert,
    Author,
    Build,
    BuildState,
    Change,
    Deployed,
    Event,
    Identity,
    ImagePushed,
    Note,
    Ping,
    Place,
    Published,
    Push,
    Synced,
    Tagged,
    ToldCommit,
)
from deploybot.errors import StoreError
from deploybot.ports import EventPart, EventPlace, Tables
from deploybot.store.database import Database
from tests.store.examples import CONSOLE, NOW

SHA = "0123456789abcdef0123456789abcdef01234567"
BY = Author("Ana \ud800 <b>", Identity("github", "583231"))
EVENTS: tuple[Event, ...] = (
    Push(sender="github", by=BY, branch="main", after=SHA, commits=(ToldCommit(SHA, "Ana", "x"),), paths=("a",)),
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
PART = EventPart(app="shop", thing="push:1", part="", event=EVENTS[0], series="push:main", position=1, heard=NOW)
PLACE = EventPlace(app="shop", thing="push:1", place=CONSOLE)


async def _put(store: Database, *parts: EventPart, now: float = NOW) -> None:
    def work(tables: Tables) -> None:
        for part in parts:
            tables.told.put(part, now)

    await store.write(work)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: type(event).__name__)
async def test_every_kind_of_event_is_kept_as_it_is(store: Database, event: Event) -> None:
    part = replace(PART, event=event, commit=SHA)
    await _put(store, part)
    assert await store.read(lambda tables: tables.told.parts("shop", "push:1")) == (part,)


async def test_a_part_is_replaced_but_when_it_was_heard_of_first_stays(store: Database) -> None:
    newer = replace(PART, event=EVENTS[1], series="", position=2, heard=NOW + 5)
    await _put(store, PART, newer)
    found = await store.read(lambda tables: tables.told.parts("shop", "push:1"))
    assert found == (replace(newer, heard=NOW),)


async def test_of_very_many_parts_the_last_are_kept(store: Database) -> None:
    await _put(store, *(replace(PART, part=f"{number:03}", heard=NOW + number) for number in range(150)))
    found = await store.read(lambda tables: tables.told.parts("shop", "push:1"))
    assert [one.part for one in found] == [f"{number:03}" for number in range(50, 150)]


async def test_a_series_goes_from_the_newest_back(store: Database) -> None:
    await _put(store, *(replace(PART, thing=f"push:{number}", position=number) for number in (2, 9, 4)))
    await _put(store, replace(PART, app="blog"), replace(PART, thing="alone", series=""))
    things = await store.read(lambda tables: [one.thing for one in tables.told.series("shop", "push:main", 2)])
    assert things == ["push:9", "push:4"]
    assert await store.read(lambda tables: [*tables.told.series("shop", "", 9)]) == []


async def test_things_are_found_by_their_commits_and_parts(store: Database) -> None:
    await _put(store, replace(PART, commit=SHA), replace(PART, thing="b", part="x", commit=SHA, heard=NOW + 1))
    await _put(store, replace(PART, thing="c"))
    assert await store.read(lambda tables: tables.told.about("shop", SHA, 9)) == ("b", "push:1")
    assert await store.read(lambda tables: tables.told.about("shop", "", 9)) == ()
    assert await store.read(lambda tables: tables.told.thing_with("shop", "x")) == "b"
    assert await store.read(lambda tables: tables.told.thing_with("blog", "x")) is None


async def test_what_waits_is_due_in_order(store: Database) -> None:
    slack = Place("slack", "C1")

    def work(tables: Tables) -> None:
        tables.told.put(PART, NOW)
        tables.told.say(replace(PLACE, due=NOW + 60))
        tables.told.say(replace(PLACE, place=slack, due=NOW + 30, mood="good"))

    await store.write(work)
    assert await store.read(lambda tables: tables.told.next_due()) == NOW + 30
    assert await store.read(lambda tables: tables.told.due(NOW + 30)) == (
        replace(PLACE, place=slack, due=NOW + 30, mood="good"),
    )
    await store.write(lambda tables: tables.told.say(replace(PLACE, place=slack, messages=1, said=NOW + 30)))
    assert await store.read(lambda tables: tables.told.next_due()) == NOW + 60
    await store.write(lambda tables: tables.told.say(PLACE))
    assert await store.read(lambda tables: tables.told.next_due()) is None
    assert len(await store.read(lambda tables: tables.told.places("shop", "push:1"))) == 2


async def test_a_place_of_a_thing_that_nobody_has_heard_of_is_refused(store: Database) -> None:
    with pytest.raises(StoreError):
        await store.write(lambda tables: tables.told.say(PLACE))


async def test_what_is_forgotten_is_gone_with_its_parts_and_places(store: Database) -> None:
    await _put(store, PART)
    await store.write(lambda tables: tables.told.say(PLACE))
    await _put(store, replace(PART, thing="b"), now=NOW + 10)
    await store.write(lambda tables: tables.told.forget(NOW + 10))
    assert await store.read(lambda tables: tables.told.parts("shop", "push:1")) == ()
    assert await store.read(lambda tables: tables.told.places("shop", "push:1")) == ()
    assert len(await store.read(lambda tables: tables.told.parts("shop", "b"))) == 1


async def test_an_event_of_a_newer_version_is_said_so(store: Database) -> None:
    await _put(store, PART)

    def newer(tables: Tables) -> None:
        tables.told._run("UPDATE told_parts SET kind = 'Comet'")  # type: ignore[attr-defined]

    await store.write(newer)
    with pytest.raises(StoreError, match="an event of the kind Comet"):
        await store.read(lambda tables: tables.told.parts("shop", "push:1"))
