"""What was heard of the things that events are about, and where it was told."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final, Protocol

from deploybot.card import Line
from deploybot.domain import Event, Place

_NO_LINE: Final = Line("", "")


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPart:
    """The newest that is known of one part of a thing, such as one build of all those of a commit.

    `series` names what comes again in other things (the builds of one workflow on one branch), empty where nothing
    does; `position` is its place there. `commit` is the full commit that it is about, or empty. `heard` is when it was
    heard of first.
    """

    app: str
    thing: str
    part: str
    event: Event
    series: str = ""
    position: float = 0.0
    commit: str = ""
    heard: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class EventPlace:
    """What was said of a thing in one place.

    `messages` counts the messages that it has had there, 0 before the first; the last of them was begun at `said`.
    `due` is when a new one is to be said, 0.0 where none waits. `mood` is how the thing stood when it was last
    said there, and is the events' own word. `stream` is what it came with (such as all pushes of one sender), `line`
    what a list says of it. `storm` is the number of the storm that tells of it; 0 where a message of its own does.
    """

    app: str
    thing: str
    place: Place
    messages: int = 0
    said: float = 0.0
    due: float = 0.0
    mood: str = ""
    stream: str = ""
    line: Line = _NO_LINE
    storm: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Storm:
    """Many things of one stream in one place, told in one message: how many there are, by how they stand.

    It takes more until `closes`, which is 0.0 once it is over.
    """

    id: int
    place: Place
    stream: str
    began: float
    closes: float
    moods: Mapping[str, int] = field(default_factory=dict)

    @property
    def size(self) -> int:
        """How many things it tells of."""
        return sum(self.moods.values())


class EventTable(Protocol):
    """Things that events are about. Kept until they are forgotten."""

    def put(self, part: EventPart, now: float) -> None:
        """Keep the newest of a part; when it was heard of first stays."""

    def parts(self, app: str, thing: str) -> tuple[EventPart, ...]:
        """All parts of a thing, in the order in which they were heard of; of very many the last."""

    def thing_with(self, app: str, part: str) -> str | None:
        """A thing that has a part of this name; the first of them."""

    def about(self, app: str, commit: str, limit: int) -> tuple[str, ...]:
        """The last things that are about a commit."""

    def series(self, app: str, series: str, limit: int) -> Iterator[EventPart]:
        """The last parts of a series, the newest first; each is read when it is asked for."""

    def places(self, app: str, thing: str) -> tuple[EventPlace, ...]:
        """Where a thing was said, or waits to be."""

    def say(self, place: EventPlace) -> None:
        """Keep what was said of a thing in a place, in place of what is kept of that."""

    def due(self, now: float) -> tuple[EventPlace, ...]:
        """What is to be said by now, in the order in which it was first heard of."""

    def next_due(self) -> float | None:
        """When the next is to be said; None where nothing waits."""

    def forget(self, before: float) -> None:
        """Forget things of which nothing new was heard since."""

    def recent(self, place: Place, stream: str, since: float) -> int:
        """Count the things of a stream that were posted in a place since then."""

    def open_storm(self, place: Place, stream: str) -> int:
        """The storm of a stream in a place that takes more; 0 where there is none."""

    def begin_storm(self, place: Place, stream: str, began: float, closes: float) -> int:
        """Begin a storm; its number."""

    def storm(self, number: int) -> Storm | None:
        """A storm; None where it is forgotten."""

    def storm_lines(self, number: int, limit: int) -> tuple[EventPlace, ...]:
        """What a storm tells of, what is bad first, then the newest."""

    def due_storms(self, now: float) -> tuple[int, ...]:
        """The storms that are over by now, and not closed."""

    def close_storm(self, number: int) -> None:
        """Take no more into a storm."""


@dataclass(frozen=True, slots=True)
class OpenNotice:
    """What is kept of a notice until it is closed."""

    title: str
    app: str
    at: float


class Notices(Protocol):
    """Reports of what does not fit: each is made once, and again only after it was closed."""

    def add(self, key: str, title: str, app: str, now: float) -> bool:
        """Keep a notice; False where the same is open already, with whatever title."""

    def open(self, prefix: str = "") -> tuple[str, ...]:
        """The keys of all notices that begin so."""

    def close(self, key: str) -> OpenNotice | None:
        """Forget a notice, since it holds no longer; what was kept of it, None where there was none."""
