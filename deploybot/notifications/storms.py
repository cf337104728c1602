"""Storms: much that is new from one sender within a minute is one message, with a count and a list."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from deploybot.card import Card, Line, Tone
from deploybot.domain import Alert, Event, Place
from deploybot.notifications.event_cards import CardState, Mood
from deploybot.notifications.event_text import count, one_line, page, sender_name
from deploybot.ports import EventPlace, Storm, Tables

WITHIN: Final = 60.0
"""Seconds that a storm lasts, and in which messages are counted before one begins."""
ALONE: Final = 5
"""So many things of a stream have a message of their own within that time."""
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
    """What one transaction tells `now`: things that begin a message, by place and stream, and what else it changes.

    `beside` are things on whose messages something has a bearing, `storms` those whose messages change.
    """

    now: float
    begun: dict[tuple[Place, str], dict[str, tuple[EventPlace, CardState]]] = field(default_factory=dict)
    beside: dict[str, None] = field(default_factory=dict)
    storms: dict[int, None] = field(default_factory=dict)
    waits: bool = False

    def begin(self, row: EventPlace, story: CardState) -> None:
        """Have a thing begin a message in a place; of several states of it the last one counts."""
        self.begun.setdefault((row.place, row.stream), {})[row.thing] = row, story

    def begins(self, row: EventPlace) -> bool:
        """Whether a thing begins a message in a place."""
        return row.thing in self.begun.get((row.place, row.stream), {})


def stream_of(event: Event) -> str:
    """What an event comes with many others of: those of its kind and sender, and of an alert those of its group."""
    group = event.group if isinstance(event, Alert) else ""
    mark = hashlib.sha256(group.encode("utf-8", "surrogatepass")).hexdigest()[:16] if group else ""
    return f"{type(event).__name__} {event.sender} {mark}".rstrip()


def storm_for(tables: Tables, place: Place, stream: str, new: int, now: float) -> int:
    """The storm that takes so many new things; 0 where each has a message of its own."""
    if not stream:
        return 0
    if number := tables.told.open_storm(place, stream):
        return number
    if tables.told.recent(place, stream, now - WITHIN) + new <= ALONE:
        return 0
    return tables.told.begin_storm(place, stream, now, now + WITHIN)


def listed(app: str, story: CardState) -> Line:
    """What the list says of a thing: its title, which begins with the app, and what tells it from the others."""
    card = story.card
    link = next((page(one.url) for one in card.links), "")
    more = card.text.partition("\n")[0] or ", ".join(f"{line.name} {line.text}" for line in card.lines)
    title = one_line(card.title.removeprefix(f"{app}: "))
    return Line(app, one_line(f"{title} · {more}" if more else title, _LINE), card.tone, link)


def put_storm(tables: Tables, number: int, now: float) -> None:
    """Post a storm, or edit its message; the whole list follows once it is over."""
    storm = tables.told.storm(number)
    if storm is None:
        return
    lines = tables.told.storm_lines(number, _SHOWN if storm.closes else _LISTED)
    tables.outbox.put(storm.place, storm_card(storm, lines), now)


def close_storms(tables: Tables, now: float) -> None:
    """End the storms whose minute is over."""
    for number in tables.told.due_storms(now):
        tables.told.close_storm(number)
        put_storm(tables, number, now)


def storm_card(storm: Storm, rows: Sequence[EventPlace]) -> Card:
    """One message for many things, what is bad first."""
    kind, _, sender = storm.stream.partition(" ")
    noun, word = _NOUNS.get(kind, ("event", "bad"))
    bad, good = storm.moods.get(Mood.BAD, 0), storm.moods.get(Mood.GOOD, 0)
    what = f"{storm.size:,} pushes" if noun == "push" and storm.size != 1 else count(storm.size, noun)
    stand = f", {bad if bad < storm.size else 'all'} {word}" if bad and word else ""
    lines = [row.line for row in rows[:_SHOWN]]
    if storm.size > len(lines):
        lines.append(Line("…", f"and {storm.size - len(lines):,} more"))
    who = sender_name(sender.partition(" ")[0])
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


def _rows(rows: Sequence[EventPlace]) -> Iterator[str]:
    """The whole list, as lines of a file."""
    for row in rows:
        yield f"{_SIGNS.get(row.mood, '    ')}  {row.line.name}  {row.line.text}  {row.line.url}".rstrip()


def folded(row: EventPlace, story: CardState, storm: int, now: float) -> EventPlace:
    """The row of a thing that a storm tells of."""
    return replace(row, storm=storm, said=now, due=0.0, line=listed(row.app, story))
