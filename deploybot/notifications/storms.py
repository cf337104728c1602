"""Storms: many new notifications from one sender within a minute become one message, with a count and a list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from deploybot.card import Card, Line, Tone
from deploybot.domain import Alert, Channel, Event
from deploybot.notifications.event_cards import CardState, Mood
from deploybot.notifications.event_text import count, one_line, page
from deploybot.part_tables import sender_title
from deploybot.ports import Notification, Storm, Tables

WITHIN: Final = 60.0
"""Seconds that a storm lasts. It starts if too many messages were posted in the same time before it."""
ALONE: Final = 5
"""The number of notifications of a stream that get their own message within that time."""
_SHOWN: Final = 14
_LINE: Final = 120
_LISTED: Final = 1_000
_SIGNS: Final = {Mood.BAD.value: "bad ", Mood.GOOD.value: "good"}
_NOUNS: Final = {
    "Alert": ("alert", "firing"),
    "Build": ("build", "failed"),
    "Change": ("change", ""),
    "Deployed": ("deployment", "failed"),
    "ImagePushed": ("image", ""),
    "Note": ("note", "bad"),
    "Published": ("release", ""),
    "Push": ("push", ""),
    "Synced": ("application", "not healthy"),
    "Tagged": ("tag", ""),
}


@dataclass(slots=True)
class Batch:
    """The notifications of one transaction, made at `now`.

    `begun` are those that start a message, by channel and stream. `beside` are other things whose cards the events
    affect. `storms` are the storms whose messages change. `waits` is True if a message is to be posted later.
    """

    now: float
    begun: dict[tuple[Channel, str], dict[str, tuple[Notification, CardState]]] = field(default_factory=dict)
    beside: dict[str, None] = field(default_factory=dict)
    storms: dict[int, None] = field(default_factory=dict)
    waits: bool = False

    def begin(self, row: Notification, story: CardState) -> None:
        """Start a message about a thing in a channel. If it has several states here, the last one counts.

        Builds of several senders may belong to one thing: it stays in the stream in which it began.
        """
        stream = self._stream(row) or row.stream
        self.begun.setdefault((row.channel, stream), {})[row.thing] = replace(row, stream=stream), story

    def begins(self, row: Notification) -> bool:
        """Return whether a thing starts a message in a channel."""
        return bool(self._stream(row))

    def _stream(self, row: Notification) -> str:
        """Return the stream in which a thing starts a message in a channel; empty if it starts none."""
        found = (
            stream for (channel, stream), begun in self.begun.items() if channel == row.channel and row.thing in begun
        )
        return next(found, "")


def stream_of(event: Event) -> str:
    """Return the stream of an event: its kind and sender, and for an alert also its group."""
    group = event.group if isinstance(event, Alert) else ""
    mark = hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:16] if group else ""
    return f"{type(event).__name__} {event.sender} {mark}".rstrip()


def storm_for(tables: Tables, channel: Channel, stream: str, new: int, now: float) -> int:
    """Return the number of the storm that takes these new things, or 0 if each gets its own message."""
    if not stream:
        return 0
    if number := tables.events.open_storm(channel, stream):
        return number
    if tables.events.recent(channel, stream, now - WITHIN) + new <= ALONE:
        return 0
    return tables.events.begin_storm(channel, stream, now, now + WITHIN)


def listed(app: str, story: CardState) -> Line:
    """Return a thing's line in a list: its title without the app, and the details that distinguish it."""
    card = story.card
    link = next((page(one.url) for one in card.links), "")
    more = card.text.partition("\n")[0] or ", ".join(f"{line.name} {line.text}" for line in card.lines)
    title = one_line(card.title.removeprefix(f"{app}: "))
    return Line(app, one_line(f"{title} · {more}" if more else title, _LINE), card.tone, link)


def put_storm(tables: Tables, number: int, now: float) -> None:
    """Post a storm, or edit its message. The whole list is attached once the storm is over."""
    storm = tables.events.storm(number)
    if storm is None:
        return
    lines = tables.events.storm_lines(number, _SHOWN if storm.closes else _LISTED)
    tables.outbox.put(storm.channel, storm_card(storm, lines), now)


def close_storms(tables: Tables, now: float) -> None:
    """Close the storms whose minute is over."""
    for number in tables.events.due_storms(now):
        tables.events.close_storm(number)
        put_storm(tables, number, now)


def storm_card(storm: Storm, rows: Sequence[Notification]) -> Card:
    """Return one card for many things, with the bad ones first."""
    kind, _, sender = storm.stream.partition(" ")
    noun, word = _NOUNS.get(kind, ("event", "bad"))
    bad, good = storm.moods.get(Mood.BAD, 0), storm.moods.get(Mood.GOOD, 0)
    what = f"{storm.size:,} pushes" if noun == "push" and storm.size != 1 else count(storm.size, noun)
    stand = f", {bad if bad < storm.size else 'all'} {word}" if bad and word else ""
    lines = [row.line for row in rows[:_SHOWN]]
    if storm.size > len(lines):
        lines.append(Line("…", f"and {storm.size - len(lines):,} more"))
    who = sender_title(sender.partition(" ")[0])
    title = f"{who}: {what} within a minute{stand}" if storm.size else f"{who}: see the newer message below"
    return Card(
        key=f"event:storm:{storm.id}",
        title=title,
        tone=Tone.BAD if bad else Tone.GOOD if good else Tone.PLAIN,
        lines=tuple(lines),
        listing=tuple(_rows(rows)) if storm.size > _SHOWN and not storm.closes else (),
        final=not storm.closes,
        notification=True,
    )


def _rows(rows: Sequence[Notification]) -> Iterator[str]:
    """Yield the whole list as lines of a file."""
    for row in rows:
        yield f"{_SIGNS.get(row.mood, '    ')}  {row.line.name}  {row.line.text}  {row.line.url}".rstrip()


def folded(row: Notification, story: CardState, storm: int, now: float) -> Notification:
    """Return the row of a thing that is shown in a storm."""
    return replace(row, storm=storm, posted_at=now, due=0.0, line=listed(row.app, story))
