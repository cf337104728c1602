"""Post events to channels. One transaction stores an event and posts the changes it makes.

A thing (a push, the builds of a commit, an alert) has one message in a channel, edited as more events arrive. If it
turns bad, or good again, long after that message was posted, a new one is posted: edits do not notify anyone.
"""

from __future__ import annotations

import asyncio
import functools
import hashlib
import logging
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime
from itertools import takewhile
from typing import Final

from deploybot.card import Card
from deploybot.domain import (
    Alert,
    Build,
    Change,
    Channel,
    Deployed,
    Deployment,
    Event,
    Identity,
    Kind,
    Note,
    Ping,
    Published,
    Push,
    Synced,
)
from deploybot.errors import StoreError
from deploybot.notifications.card_families import story_of
from deploybot.notifications.channel_routing import channels_for
from deploybot.notifications.event_cards import CardContext, CardState, Mood
from deploybot.notifications.event_subjects import (
    EventPosition,
    build_thing,
    commit_of,
    dated,
    joined,
    kept,
    position_of,
    push_series,
)
from deploybot.notifications.event_text import full_sha
from deploybot.notifications.failure_folding import LOOK_BACK, PUSHES
from deploybot.notifications.late_changes import is_late_change
from deploybot.notifications.own_reports import is_own_report
from deploybot.notifications.quiet_hours import FOLDED_FROM, Quiet, digest_card
from deploybot.notifications.storms import Batch, close_storms, folded, listed, put_storm, storm_for, stream_of
from deploybot.ports import Clock, EventPart, Notification, Store, Tables, TextRedactor
from deploybot.settings import App, Settings

"""Seconds after which a message is too far up for an edit to be noticed."""
KEPT: Final = 30 * 86400.0
_RECENT: Final = 7 * 86400.0
_ABOUT: Final = 10
_THINGS: Final = 100
_LATER: Final = "kept until the quiet hours are over"
log = logging.getLogger(__name__)
_WITH_TEXT = (Published, Deployed, Synced, Alert)


class Notifier:
    """The `GroupListener` that posts notifications to channels."""

    def __init__(
        self, settings: Settings, store: Store, clock: Clock, redactor: TextRedactor, homes: Sequence[Channel]
    ) -> None:
        """Take bot.toml, the ports, and in `homes` the channels of the chats themselves."""
        self._settings = settings
        self._store = store
        self._clock = clock
        self._redactor = redactor
        self._homes = tuple(homes)
        self._waiting = asyncio.Event()

    async def run(self) -> None:
        """Post waiting notifications when quiet hours are over. Run until cancelled."""
        await Quiet(self._store, self._clock, self.post_due, self._waiting).run()

    async def handle_event(self, app: App, event: Event, delivery: str) -> str:
        """Post an event once. Return a sentence about the result. Raises StoreError."""
        return (await self.handle_events(app, [(event, delivery)]))[0]

    async def handle_events(self, app: App, events: Sequence[tuple[Event, str]]) -> Sequence[str]:
        """Handle several events like `handle_event`, in one transaction."""
        results, waits = await self._store.write(lambda tables: self._handle_all(tables, app, events))
        if waits:
            self._waiting.set()
        return results

    def _handle_all(self, tables: Tables, app: App, events: Sequence[tuple[Event, str]]) -> tuple[list[str], bool]:
        """Post each event, then update once the other cards that they affect.

        Also return whether something waits to be posted later.
        """
        batch = Batch(self._clock.now())
        results = [self._handle(tables, app, event, delivery, batch) for event, delivery in events]
        self._begin_all(tables, batch)
        for thing in batch.beside:
            self._refresh(tables, app, thing, batch)
        for storm in batch.storms:
            put_storm(tables, storm, batch.now)
        tables.events.forget(batch.now - KEPT)
        return results, batch.waits

    def _handle(self, tables: Tables, app: App, event: Event, delivery: str, batch: Batch) -> str:
        """Store and post one event. Add other things that it affects to `batch`."""
        if isinstance(event, Ping):
            return "a ping: nothing to post"
        now = self._clock.now()
        if not tables.seen.first("event", _mark(app, event, delivery), now):
            return "this delivery was posted before"
        if is_own_report(tables, app, event):
            return "caused by the bot itself: not posted again"
        event = self._masked(kept(dated(event, now)))
        slot = position_of(event, delivery)
        was = _known(tables, app, slot)
        event = joined(was.event if was else None, event)
        if was is not None and event == was.event:
            return "nothing newer than what was posted"
        # Its position in its series depends on all that is known of it now.
        slot = replace(position_of(event, delivery), thing=was.thing if was else slot.thing)
        tables.events.put(_part(app, slot, event, was.arrived_at if was else now), now)
        batch.beside.update(dict.fromkeys(_beside(tables, app, slot, event)))
        return self._publish(tables, app, slot.thing, batch)

    def _masked(self, event: Event) -> Event:
        """Return the event with secrets masked in its text.

        This comes before the text is cut to fit a message: half of a secret would not be recognised.
        """
        mask = self._redactor.text
        if isinstance(event, Push):
            return replace(event, commits=tuple(replace(one, message=mask(one.message)) for one in event.commits))
        if isinstance(event, Change):
            return replace(event, title=mask(event.title))
        if isinstance(event, Note):
            return replace(event, title=mask(event.title), text=mask(event.text))
        return replace(event, text=mask(event.text)) if isinstance(event, _WITH_TEXT) else event

    def _publish(self, tables: Tables, app: App, thing: str, batch: Batch) -> str:
        """Post or edit a thing's message in every channel where it belongs."""
        parts = tables.events.parts(app.name, thing)
        story, stream = self._story(tables, app, parts), stream_of(parts[0].event)
        known = {one.channel: one for one in tables.events.notifications(app.name, thing)}
        wanted = self._wanted(app, story, batch.now)
        done: list[str] = []
        for channel, hush in wanted.items():
            row = known.get(channel) or Notification(app=app.name, thing=thing, channel=channel)
            done.append(self._notify(tables, replace(row, stream=stream), story, batch, hush))
        done += [self._edit(tables, known[channel], story, batch) for channel in known.keys() - wanted.keys()]
        words = [word for word in done if word]
        return f"{', '.join(dict.fromkeys(words))} ({len(words)})" if words else "no route matches it"

    def _wanted(self, app: App, story: CardState, now: float) -> dict[Channel, float]:
        """Return the channels for a card, each with the seconds of quiet hours left there."""
        return channels_for(app, story, self._homes, datetime.fromtimestamp(now, self._settings.bot.timezone))

    def _notify(self, tables: Tables, was: Notification, story: CardState, batch: Batch, hush: float) -> str:
        """Notify one channel: with a new message, an edit, or a message after the quiet hours."""
        posted = was.messages or was.storm
        late = posted and is_late_change(was, story, batch.now)
        begins = batch.begins(was)
        if posted and not was.due and not late and not begins:
            return self._edit(tables, was, story, batch)
        if not hush or story.mood is Mood.BAD or begins:
            batch.begin(was, story)
            return "posted"
        self._edit(tables, was, story, batch)
        tables.events.put_notification(replace(_as_it_is(was, story), due=was.due or batch.now + hush))
        batch.waits = True
        return _LATER

    def _edit(self, tables: Tables, was: Notification, story: CardState, batch: Batch) -> str:
        """Update a thing's message in a channel, or its storm's message. Do nothing if it has neither."""
        if not was.messages and not was.storm:
            return ""
        if was.storm:
            batch.storms[was.storm] = None
        else:
            self._put(tables, was, story.card, batch.now)
        if (row := _as_it_is(was, story)) != was:
            tables.events.put_notification(row)
        return "edited"

    def _begin_all(self, tables: Tables, batch: Batch) -> None:
        """Start a message for each thing that is new to a channel, or one storm for all of them if there are many."""
        for (channel, stream), begun in batch.begun.items():
            storm = storm_for(tables, channel, stream, len(begun), batch.now)
            if storm:
                batch.storms[storm] = None
                batch.waits = True
            for row, story in begun.values():
                if row.storm:
                    batch.storms[row.storm] = None
                if not storm:
                    self._begin(tables, row, story, batch.now)
                    continue
                if row.messages and not row.storm:
                    self._put(tables, row, replace(story.card, buttons=(), final=True), batch.now)
                tables.events.put_notification(folded(_as_it_is(row, story), story, storm, batch.now))

    def _begin(self, tables: Tables, was: Notification, story: CardState, now: float) -> None:
        """Post a thing in a new message. Its earlier message keeps its state and loses its buttons."""
        if was.messages and not was.storm:
            self._put(tables, was, replace(story.card, buttons=(), final=True), now)
        row = replace(was, messages=was.messages + 1, posted_at=now, due=0.0, mood=_mood(was, story), storm=0)
        tables.events.put_notification(row)
        self._put(tables, row, story.card, now)

    def _put(self, tables: Tables, row: Notification, card: Card, now: float) -> None:
        key = f"event:{row.app}:{row.thing}:{row.messages}"
        tables.outbox.put(row.channel, replace(card, key=key, notification=True), now)

    def _refresh(self, tables: Tables, app: App, thing: str, batch: Batch) -> None:
        """Update a thing's messages after another event affected them."""
        recent = [one for one in tables.events.notifications(app.name, thing) if batch.now - one.posted_at < _RECENT]
        rows = [one for one in recent if one.messages or one.storm]
        parts = tables.events.parts(app.name, thing) if rows else ()
        if parts:
            story = self._story(tables, app, parts)
            for row in rows:
                self._refresh_one(tables, row, story, batch)

    def _refresh_one(self, tables: Tables, row: Notification, story: CardState, batch: Batch) -> None:
        """Update one message. Whether the thing is good or bad does not change here."""
        if not row.storm:
            self._put(tables, row, story.card, batch.now)
        elif (line := listed(row.app, story)) != row.line:
            tables.events.put_notification(replace(row, line=line))
            batch.storms[row.storm] = None

    def deployed(self, tables: Tables, deployment: Deployment) -> None:
        """Update the buttons on messages about the commits of a deployment of the bot's that has ended.

        It runs in the transaction that changes the deployment. A StoreError about events must not break that
        transaction.
        """
        plan, app = deployment.plan, self._settings.apps.get(deployment.plan.app)
        if app is None or not deployment.state.ended or plan.kind not in {Kind.DEPLOY, Kind.ROLLBACK}:
            return
        batch = Batch(self._clock.now())
        commits = filter(None, {one.code for one in (plan.release, *plan.replaced)})
        try:
            for commit in sorted(commits):
                for thing in tables.events.about(app.name, commit, _ABOUT):
                    self._refresh(tables, app, thing, batch)
            for storm in batch.storms:
                put_storm(tables, storm, batch.now)
        except StoreError:
            log.exception("the notifications about what #%s deployed could not be updated", deployment.number)

    def post_due(self, tables: Tables) -> float | None:
        """Post notifications that waited for the end of quiet hours. Return when the next is due, or None."""
        now = self._clock.now()
        close_storms(tables, now)
        waiting: dict[Channel, list[Notification]] = {}
        for row in tables.events.due(now):
            waiting.setdefault(row.channel, []).append(row)
        for channel, rows in waiting.items():
            self._make_up(tables, channel, rows, now)
        return tables.events.next_due()

    def _make_up(self, tables: Tables, channel: Channel, rows: Sequence[Notification], now: float) -> None:
        """Post the notifications that waited for a channel, each in its current state. Many become one message."""
        ready: list[tuple[Notification, CardState]] = []
        for row in rows:
            app, parts = self._settings.apps.get(row.app), tables.events.parts(row.app, row.thing)
            if app is None or not parts:
                tables.events.put_notification(replace(row, due=0.0))
                continue
            story = self._story(tables, app, parts)
            if hush := self._wanted(app, story, now).get(channel, 0.0):
                tables.events.put_notification(replace(row, due=now + hush))
            else:
                ready.append((row, story))
        if len(ready) < FOLDED_FROM:
            for row, story in ready:
                self._begin(tables, row, story, now)
            return
        for row, story in ready:
            tables.events.put_notification(replace(row, due=0.0, posted_at=now, mood=_mood(row, story)))
        card = digest_card([(row.app, story.card) for row, story in ready])
        tables.outbox.put(channel, replace(card, key=f"event:quiet:{int(now)}", notification=True), now)

    def _story(self, tables: Tables, app: App, parts: Sequence[EventPart]) -> CardState:
        """Return a thing's card in its current state, with the app's name in its title and all secrets masked."""

        @functools.cache
        def person(identity: Identity) -> str:
            found = tables.people.of(identity)
            return found.name if found else ""

        context = CardContext(
            app=app,
            persons=person,
            series=lambda series, limit: tables.events.series(app.name, series, limit),
            running=lambda environment: tables.running.get(app.name, environment),
            zone=self._settings.bot.timezone,
            builds=lambda commit: _builds_of(tables, app, commit),
        )
        story = story_of(context, parts)
        card = replace(story.card, title=f"{app.name}: {story.card.title}")
        return replace(story, card=self._redactor.card(card))


def _builds_of(tables: Tables, app: App, commit: str) -> tuple[EventPart, ...]:
    """Return all builds of a commit, on any branch, in the order in which they were first reported."""
    things = (one for one in tables.events.about(app.name, commit, _THINGS) if one.startswith("build:"))
    parts = [part for thing in things for part in tables.events.parts(app.name, thing)]
    return tuple(sorted(parts, key=lambda part: (part.arrived_at, part.part)))


def _part(app: App, slot: EventPosition, event: Event, arrived_at: float) -> EventPart:
    return EventPart(
        app=app.name,
        thing=slot.thing,
        part=slot.part,
        event=event,
        series=slot.series,
        position=slot.position,
        commit=commit_of(event),
        arrived_at=arrived_at,
    )


def _known(tables: Tables, app: App, slot: EventPosition) -> EventPart | None:
    """Return the known state of a part.

    A build may be reported before its commit is known. It is then a separate thing.
    """
    thing = tables.events.thing_with(app.name, slot.part) if slot.thing.startswith("build:") else None
    parts = tables.events.parts(app.name, thing or slot.thing)
    return next((one for one in parts if one.part == slot.part), None)


def _mark(app: App, event: Event, delivery: str) -> str:
    """Return a digest that identifies one event of one delivery for one app."""
    content = f"{app.name}\0{delivery}\0{event!r}".encode("utf-8", "surrogatepass")
    return hashlib.sha256(content).hexdigest()


def _mood(was: Notification, story: CardState) -> str:
    """Return whether a thing is good or bad, or its last such state if it has not settled yet."""
    return story.mood.value if story.mood.settled else was.mood


def _as_it_is(was: Notification, story: CardState) -> Notification:
    """Return the row of a thing brought up to date, without posting anything."""
    line = listed(was.app, story) if was.storm else was.line
    return replace(was, mood=_mood(was, story), line=line)


def _beside(tables: Tables, app: App, slot: EventPosition, event: Event) -> Iterator[str]:
    """Yield the other things whose cards an event changes.

    A push may overtake older pushes and their builds. A build changes how later failures are counted.
    """
    if isinstance(event, Push):
        pushes = [*tables.events.series(app.name, push_series(event.branch), PUSHES)]
        yield from (one.thing for one in pushes if one.thing != slot.thing)
        commits = {one.event.after for one in pushes if isinstance(one.event, Push)} | {event.after}
        yield from (build_thing(commit, event.branch) for commit in commits)
    elif isinstance(event, Build):
        series = tables.events.series(app.name, slot.series, LOOK_BACK) if slot.series else ()
        later = [one.thing for one in takewhile(lambda one: one.position > slot.position, series)]
        same = [one.thing for one in _builds_of(tables, app, full_sha(event.commit))]
        yield from (thing for thing in dict.fromkeys((*later, *same)) if thing != slot.thing)
