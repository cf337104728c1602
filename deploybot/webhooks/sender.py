"""What every sender is: how a delivery proves where it comes from, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from deploybot.domain import Event
from deploybot.errors import DeploybotError


class ForgedError(DeploybotError):
    """A delivery that does not prove where it comes from; the text says what is wrong, and no secret."""


class MalformedError(DeploybotError):
    """An authentic delivery whose body is not what its sender documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A delivery as it came: `headers` with names in lower case and every value there was, `body` raw.

    `query` are the address's parameters, each with every value; `path` is what follows the sender's name in it.
    `at` is when it came (seconds since the epoch).
    """

    headers: Mapping[str, Sequence[str]]
    body: bytes
    query: Mapping[str, Sequence[str]]
    path: str = ""
    at: float = 0.0

    def one(self, header: str) -> str:
        """A header that has to be there exactly once; ForgedError otherwise."""
        found = self.headers.get(header, ())
        if len(found) != 1:
            raise ForgedError(f"{header} is {'missing' if not found else 'there more than once'}")
        return found[0]


class Sender(Protocol):
    """A kind of sender. Pure: the same delivery always gives the same answers."""

    @property
    def name(self) -> str:
        """The last part of its address: `github`."""

    def verify(self, received: Received, secret: str) -> None:
        """Return when the delivery proves to know the secret; ForgedError otherwise. Compares in constant time."""

    def delivery(self, received: Received) -> str:
        """The sender's own id of the delivery, the same when it is sent again; empty where it gives none."""

    def kind(self, received: Received) -> str:
        """The sender's own word for the event, for counting: `push`, `workflow_run`; cut and plain."""

    def events(self, received: Received) -> tuple[Event, ...]:
        """What it tells; nothing where it is of no interest. MalformedError for a body that cannot be read."""

    def setup(self, url: str) -> str:
        """What to click and fill in at the sender, for people, a line a step; `url` is where it is to call."""
