"""What every sender is: how a delivery proves where it comes from, and what it tells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
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

    `query` are the address's parameters, each with every value; `path` is what follows the sender's name in it, decoded
    and without the slash before it. `at` is when it came (seconds since the epoch).
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


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """What goes with a body so that it proves where it comes from; `query` and `path` are parts of the address.

    All as in Received: header names in lower case, nothing encoded yet.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


class Sender(Protocol):
    """A kind of sender. Pure: the same delivery always gives the same answers.

    `deploybot.webhooks.senders.NAME` has one as `SENDER`; it is imported when bot.toml names it.
    """

    @property
    def name(self) -> str:
        """The last part of its address: `github`."""

    @property
    def repeats(self) -> bool:
        """Whether the same body sent later means a thing that happened again, as an alert that is told once more."""

    def verify(self, received: Received, secret: str) -> None:
        """Return when the delivery proves to know the secret; ForgedError otherwise. Compares in constant time."""

    def delivery(self, received: Received) -> str:
        """The sender's own id of the delivery, the same when it is sent again; empty where it gives none."""

    def kind(self, received: Received) -> str:
        """The sender's own word for the event, for counting: `push`, `workflow_run`; cut and plain."""

    def events(self, received: Received) -> tuple[Event, ...]:
        """What it tells; nothing where it is of no interest. MalformedError for a body that cannot be read."""

    def setup(self, url: str) -> str:
        """What to click and fill in at the sender, for people, a line a step.

        `url` is where it is to call, without the secret: that is called `SECRET` where it is part of the address.
        """

    def sign(self, body: bytes, secret: str, *, kind: str, delivery: str, at: float) -> Signed:
        """What this sender would send along: proof, kind of event, the delivery's id. `verify` takes it.

        `kind` is one of its own words, empty where it has none; `at` is now, in seconds since the epoch.
        """

    def ping(self, at: float) -> tuple[str, bytes]:
        """The kind and body of a delivery that tries the address and means nothing; another one for each `at`."""

    def guess(self, payload: Mapping[str, object]) -> str | None:
        """The kind of event that a payload alone looks like; None where it does not look like this sender's."""
