"""The state of a card, and the data from which cards are made."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final
from zoneinfo import ZoneInfo

from deploybot.card import Card, Line, Link, Tone
from deploybot.domain import Running
from deploybot.notifications.event_text import NAME, Persons, one_line
from deploybot.ports import EventPart
from deploybot.settings import App


class Mood(enum.StrEnum):
    """The state of a thing. GOOD and BAD are results; PLAIN and BUSY do not change the last result."""

    PLAIN = "plain"
    BUSY = "busy"
    GOOD = "good"
    BAD = "bad"

    @property
    def settled(self) -> bool:
        """Return whether the state is GOOD or BAD."""
        return self in {Mood.GOOD, Mood.BAD}


class Worth(enum.IntEnum):
    """Whether a thing deserves its own message: never, for routes that ask for it, or for everybody."""

    NOTHING = 0
    ASKED = 1
    USUAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CardState:
    """A thing's card, and the values that decide where it is posted.

    `card` has no key and no app yet. `turns` is True if the thing went from good to bad, or back, compared with earlier
    things in its series. Routes filter by `kinds`, `branches` and `environments`.
    """

    card: Card
    mood: Mood = Mood.PLAIN
    worth: Worth = Worth.USUAL
    turns: bool = False
    kinds: frozenset[str]
    branches: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class CardContext:
    """All that a card may depend on besides the parts of its thing. It is read inside the transaction.

    `series` returns the last parts of a series, up to a limit, the newest first. `running` returns the releases that
    run in an environment. `zone` is the bot's time zone. `builds` returns all known builds of a commit.
    """

    app: App
    persons: Persons
    series: Callable[[str, int], Iterable[EventPart]]
    running: Callable[[str], Sequence[Running]]
    zone: ZoneInfo
    builds: Callable[[str], Sequence[EventPart]]


_SHOWN: Final = 8
TONES = {Mood.PLAIN: Tone.PLAIN, Mood.BUSY: Tone.BUSY, Mood.GOOD: Tone.GOOD, Mood.BAD: Tone.BAD}


def named_lines(pairs: Iterable[tuple[str, str]]) -> tuple[Line, ...]:
    """Return named texts as lines: the first eight, and how many more there are."""
    every = [(one_line(name, NAME), one_line(text, 200)) for name, text in pairs]
    shown = [Line(name, text) for name, text in every if name or text]
    more = (Line("…", f"and {len(shown) - _SHOWN} more"),) if len(shown) > _SHOWN else ()
    return (*shown[:_SHOWN], *more)


def page_link(url: str) -> tuple[Link, ...]:
    """Return a link to an event's page, if it has one."""
    return (Link("show", url),) if url else ()
