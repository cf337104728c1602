"""How a thing stands now, and what is said of it: what every family of cards makes of the parts of a thing."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from zoneinfo import ZoneInfo

from deploybot.card import Card, Tone
from deploybot.domain import Running
from deploybot.notifications.event_text import Persons
from deploybot.ports import EventPart
from deploybot.settings import App


class Mood(enum.StrEnum):
    """How a thing stands. GOOD and BAD are what it comes to; what lies between changes neither."""

    PLAIN = "plain"
    BUSY = "busy"
    GOOD = "good"
    BAD = "bad"

    @property
    def settled(self) -> bool:
        """Whether it has come to something."""
        return self in {Mood.GOOD, Mood.BAD}


class Worth(enum.IntEnum):
    """Whether a thing is worth a message of its own: never, to those who asked for its kind, or to everybody."""

    NOTHING = 0
    ASKED = 1
    USUAL = 2


@dataclass(frozen=True, slots=True, kw_only=True)
class CardState:
    """A thing as it is told.

    `card` is without key and app. `turns` says that it went from good to bad, or back, against what came before it in
    its series. `kinds`, `branches` and `environments` are what routes ask for.
    """

    card: Card
    mood: Mood = Mood.PLAIN
    worth: Worth = Worth.USUAL
    turns: bool = False
    kinds: frozenset[str]
    branches: frozenset[str] = frozenset()
    environments: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Scene:
    """All that a story may depend on beside the parts of its thing; asked inside the transaction.

    `series` gives the last parts of a series, at most so many, the newest first; `running` what runs in an
    environment. `zone` is that of the bot. `builds` gives all that was heard of the builds of a commit.
    """

    app: App
    persons: Persons
    series: Callable[[str, int], Iterable[EventPart]]
    running: Callable[[str], Sequence[Running]]
    zone: ZoneInfo
    builds: Callable[[str], Sequence[EventPart]]


TONES = {Mood.PLAIN: Tone.PLAIN, Mood.BUSY: Tone.BUSY, Mood.GOOD: Tone.GOOD, Mood.BAD: Tone.BAD}
