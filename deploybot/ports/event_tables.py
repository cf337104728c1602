"""Tables of the things that events are about, and of the messages posted about them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from deploybot.card import Line
from deploybot.domain import Channel, Event

_NO_LINE: Final = Line("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPart:
    """The newest event about one part of a thing, such as one build of a commit.

    `series` names what repeats across things (the builds of one workflow on one branch), empty if nothing does.
    `position` is the part's position in the series. `commit` is the full commit that it is about, or empty.
    `arrived_at` is when the first event about it arrived.
    """

    app: str
    thing: str
    part: str
    event: Event
    series: str = ""
    position: float = 0.0
    commit: str = ""
    arrived_at: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Notification:
    """The messages posted about a thing in one channel.

    `messages` counts them, 0 before the first; the last one was started at `posted_at`. `due` is when a new one is to
    be posted, 0.0 if none waits. `mood` is the state of the thing at the last post, in the events' own word. `stream`
    is where it came from (such as all pushes of one sender). `line` is its line in a list. `storm` is the number of the
    storm that lists it; 0 if it has its own message.
    """

    app: str
    thing: str
    channel: Channel
    messages: int = 0
    posted_at: float = 0.0
    due: float = 0.0
    mood: str = ""
    stream: str = ""
    line: Line = _NO_LINE
    storm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Many things of one stream in one channel, shown in one message. `moods` counts them by state.

    More can be added until `closes`, which is 0.0 once the storm is over.
    """

    id: int
    channel: Channel
    stream: str
    began: float
    closes: float
    moods: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """The number of things in it."""
        return sum(self.moods.values())


class EventTable(Protocol):
    """The things that events are about. Stored until `forget` deletes them."""

    def put(self, part: EventPart, now: float) -> None:
        """Store the newest event of a part. The time of its first event stays."""

    def parts(self, app: str, thing: str) -> tuple[EventPart, ...]:
        """Return the parts of a thing, in the order of their first event; if there are very many, the last ones."""

    def thing_with(self, app: str, part: str) -> str | None:
        """Return the first thing that has a part of this name; None if there is none."""

    def about(self, app: str, commit: str, limit: int) -> tuple[str, ...]:
        """Return the last things about a commit."""

    def series(self, app: str, series: str, limit: int) -> Iterator[EventPart]:
        """Yield the last parts of a series, newest first. Each is read only when needed."""

    def notifications(self, app: str, thing: str) -> tuple[Notification, ...]:
        """Return the channels in which a thing was posted or waits to be."""

    def put_notification(self, notification: Notification) -> None:
        """Store what was posted about a thing in a channel. It replaces the earlier row."""

    def due(self, now: float) -> tuple[Notification, ...]:
        """Return what is to be posted by now, in the order of the first events."""

    def next_due(self) -> float | None:
        """Return when the next post is due; None if none waits."""

    def forget(self, before: float) -> None:
        """Delete things without new events since then."""

    def recent(self, channel: Channel, stream: str, since: float) -> int:
        """Count the things of a stream that were posted in a channel since then."""

    def open_storm(self, channel: Channel, stream: str) -> int:
        """Return the open storm of a stream in a channel; 0 if there is none."""

    def begin_storm(self, channel: Channel, stream: str, began: float, closes: float) -> int:
        """Start a storm and return its number."""

    def storm(self, number: int) -> Storm | None:
        """Return a storm; None if it was deleted."""

    def storm_lines(self, number: int, limit: int) -> tuple[Notification, ...]:
        """Return what a storm lists, bad states first, then newest first."""

    def due_storms(self, now: float) -> tuple[int, ...]:
        """Return the storms whose time is over but which are not closed yet."""

    def close_storm(self, number: int) -> None:
        """Close a storm, so that nothing more is added."""


@dataclass(frozen=True, slots=True)
class OpenNotice:
    """An open notice, stored until it is closed."""

    title: str
    app: str
    at: float


class Notices(Protocol):
    """Notices about problems. Each is posted once, and again only after it was closed."""

    def add(self, key: str, title: str, app: str, now: float) -> bool:
        """Store a notice; False if one with the same key is open, even with another title."""

    def open(self, prefix: str = "") -> tuple[str, ...]:
        """Return the keys of all open notices with this prefix."""

    def close(self, key: str) -> OpenNotice | None:
        """Delete a notice that no longer applies. Return what was stored; None if there was none."""
