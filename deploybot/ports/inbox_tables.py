"""What others have told the bot and it has not forgotten yet: deliveries, as they are kept."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Fate(enum.StrEnum):
    """What became of a delivery: it waits to be heard, was heard, or was set aside."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An authentic delivery that is to be kept. `app` is empty for one that is told apart by its repository.

    `delivery` is the sender's own id, empty where it gives none; `digest` is what makes it the same delivery when it
    comes again within `again_after` seconds; after that it is a new one. `headers` and `query` are without what proves
    anything: no secret is ever kept.
    """

    app: str
    sender: str
    delivery: str
    digest: bytes
    again_after: float
    body: bytes
    received: float
    headers: Mapping[str, Sequence[str]] = field(default_factory=dict)
    query: Mapping[str, Sequence[str]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """A delivery that is kept. Its number is never given again; `made` says what was made of it.

    The body is empty once it was heard.
    """

    number: int
    app: str
    sender: str
    delivery: str
    headers: Mapping[str, Sequence[str]]
    query: Mapping[str, Sequence[str]]
    body: bytes
    received: float
    fate: Fate
    tries: int
    made: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A delivery that waits, by its number, and whose it is; `app` is empty where only its body says so."""

    number: int
    app: str


class Deliveries(Protocol):
    """Deliveries, in the order in which they came. What was heard is forgotten after a month, or 100,000 others."""

    def add(self, new: Sequence[NewDelivery]) -> tuple[int, ...]:
        """Keep some; their numbers, 0 for one that is there already, by the sender's id or by its digest."""

    def waiting(self, after: int, limit: int) -> tuple[Waiting, ...]:
        """Those that wait, beyond a number, the oldest first."""

    def backlog(self) -> int:
        """How many bytes the bodies of those that wait have."""

    def load(self, numbers: Sequence[int], most: int) -> tuple[Delivery, ...]:
        """Whole deliveries of these that wait, the oldest first: one, and more while they have `most` bytes in all."""

    def get(self, number: int) -> Delivery | None:
        """One delivery; None where it is gone."""

    def last_made(self, app: str, sender: str, limit: int) -> tuple[str, ...]:
        """What was made of the last deliveries of a sender to an app that were heard, the newest first."""

    def tried(self, number: int, tries: int) -> None:
        """Note a failure that may pass."""

    def finish(self, number: int, fate: Fate, made: str, now: float) -> None:
        """Note its end. The body is kept of the last hundred that failed."""
