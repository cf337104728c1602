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
    comes again. `headers` and `query` are without what proves anything: no secret is ever kept.
    """

    app: str
    sender: str
    delivery: str
    digest: bytes
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

    def add(self, new: NewDelivery, *, again_after: float) -> int:
        """Keep one; its number, 0 where it is there already, by the sender's id or by its digest.

        The digest counts for `again_after` seconds: after that the same is a new one.
        """

    def waiting(self, after: int, limit: int) -> tuple[Waiting, ...]:
        """Those that wait, beyond a number, the oldest first."""

    def backlog(self) -> int:
        """How many bytes the bodies of those that wait have."""

    def load(self, numbers: Sequence[int]) -> tuple[Delivery, ...]:
        """Whole deliveries, the oldest first; those that are gone are left out."""

    def tried(self, number: int, tries: int) -> None:
        """Note a failure that may pass."""

    def finish(self, number: int, fate: Fate, made: str, now: float) -> None:
        """Note its end. The body is kept of the last hundred that failed."""
