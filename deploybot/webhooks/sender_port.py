"""The port of senders: how a delivery proves its origin, and which events it contains."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from deploybot.domain import Event
from deploybot.errors import DeploybotError


class ForgedError(DeploybotError):
    """A delivery that does not prove its origin. The text names the problem and contains no secret."""


class MalformedError(DeploybotError):
    """An authentic delivery whose body does not match what its sender documents."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Received:
    """A delivery as it arrived: `headers` have names in lower case and all values, `body` is raw.

    `query` has the address's parameters, each with all values. `path` is the part of the address after the sender's
    name, decoded and without the leading slash. `at` is the time of arrival (seconds since the epoch).
    """

    headers: Mapping[str, Sequence[str]]
    body: bytes
    query: Mapping[str, Sequence[str]]
    path: str = ""
    at: float = 0.0

    def one(self, header: str) -> str:
        """Return a header that must be present exactly once. Raises ForgedError otherwise."""
        found = self.headers.get(header, ())
        if len(found) != 1:
            raise ForgedError(f"{header} is {'missing' if not found else 'there more than once'}")
        return found[0]


@dataclass(frozen=True, slots=True, kw_only=True)
class Signed:
    """The proof that is sent with a body. `query` and `path` are parts of the address.

    As in Received, header names are in lower case and nothing is encoded yet.
    """

    headers: Mapping[str, str] = field(default_factory=dict)
    query: Mapping[str, str] = field(default_factory=dict)
    path: str = ""


class Sender(Protocol):
    """A kind of sender. Pure: the same delivery always gives the same results.

    `deploybot.webhooks.senders.NAME` has one as `SENDER`. It is imported when bot.toml names it.
    """

    @property
    def name(self) -> str:
        """The last part of its address, such as `github`."""

    @property
    def repeats(self) -> bool:
        """Whether the same body sent later means that something happened again, such as a repeated alert."""

    def verify(self, received: Received, secret: str) -> None:
        """Return if the delivery proves that its sender knows the secret. Raises ForgedError otherwise.

        Compares in constant time.
        """

    def delivery(self, received: Received) -> str:
        """Return the sender's id of the delivery, the same if it is sent again. It is empty if there is none."""

    def kind(self, received: Received) -> str:
        """Return the sender's word for the event, for counting: `push`, `workflow_run`. It is cut and plain."""

    def events(self, received: Received) -> tuple[Event, ...]:
        """Return the events of a delivery, or none if it is ignored. Raises MalformedError for an unreadable body."""

    def setup(self, url: str) -> str:
        """Return the setup steps at the sender, for people, one a line.

        `url` is the address to call, without the secret. Where that is part of the address, it is written `SECRET`.
        """

    def sign(self, body: bytes, secret: str, *, kind: str, delivery: str, at: float) -> Signed:
        """Return the parts that this sender would add: proof, kind of event, the delivery's id. `verify` accepts them.

        `kind` is one of the sender's words, empty if it has none. `at` is now, in seconds since the epoch.
        """

    def ping(self, at: float) -> tuple[str, bytes]:
        """Return the kind and body of a delivery that only tests the address. Each `at` gives a different one."""

    def guess(self, payload: Mapping[str, object]) -> str | None:
        """Return the kind of event that a payload looks like, or None if it does not look like this sender's."""
