"""The inbox: stored webhook deliveries."""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol


class Fate(enum.StrEnum):
    """The state of a delivery: it waits, was handled, or was set aside."""

    WAITING = "waiting"
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class NewDelivery:
    """An authentic delivery to be stored. `app` is empty if its repository decides the app.

    `delivery` is the sender's own id, empty if there is none. A delivery with the same `digest` within `again_after`
    seconds is the same delivery; later it is a new one. `headers` and `query` have no credentials: no secret is ever
    stored.
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
    """A stored delivery. Its number is never reused. `made` says what was done with it.

    The body is empty once it was handled.
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
    """A waiting delivery, by its number. `app` is empty if only its body names it."""

    number: int
    app: str


class Deliveries(Protocol):
    """Deliveries in order of arrival. A handled one is deleted after a month, or after 100,000 others."""

    def add(self, new: Sequence[NewDelivery]) -> tuple[int, ...]:
        """Store deliveries and return their numbers; 0 for one already stored, by the sender's id or by its digest."""

    def waiting(self, after: int, limit: int) -> tuple[Waiting, ...]:
        """Return the waiting deliveries after a number, oldest first."""

    def backlog(self) -> int:
        """Return the total size of the waiting bodies in bytes."""

    def load(self, numbers: Sequence[int], most: int) -> tuple[Delivery, ...]:
        """Load those of these deliveries that wait, oldest first, until their bodies reach `most` bytes."""

    def get(self, number: int) -> Delivery | None:
        """Return one delivery; None if it was deleted."""

    def last_made(self, app: str, sender: str, limit: int) -> tuple[str, ...]:
        """Return what was done with the last handled deliveries of a sender to an app, newest first."""

    def tried(self, number: int, tries: int) -> None:
        """Record a temporary failure."""

    def finish(self, number: int, fate: Fate, made: str, now: float) -> None:
        """Record the end of a delivery. Bodies are kept only for the last hundred that failed."""
