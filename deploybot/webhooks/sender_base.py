"""The common part of all senders. A sender's own file holds only its differences."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import ClassVar

from deploybot.domain import Event, Ping
from deploybot.webhooks.body_reading import Tree, delivery_id, first, host_of, plain, read
from deploybot.webhooks.delivery_signatures import Proof
from deploybot.webhooks.sender_port import ForgedError, MalformedError, Received, Signed

Reader = Callable[[Tree], tuple[Event, ...]]
"""A function that returns the events in the body of one kind."""

PING = {"deploybot": "ping"}
"""The body that tests an address, for senders that have no ping."""
_QUICK = 65_536
"""Larger bodies, in bytes, are not read just to be counted by kind."""


class BaseSender(ABC):
    """A sender with its name and proof. `kind_header` and `id_header` are headers in lower case, if it has them.

    `kind_key` is the path of the kind in the body, for senders that have it there. `pings` is the kind of its pings.
    `looks` lists kinds with the keys that identify a payload, the most specific first. The kind is empty there if it is
    read from the body. `home` is the path of the repository's page in the body of a forge.
    """

    name: ClassVar[str]
    proof: ClassVar[Proof]
    kind_header: ClassVar[str] = ""
    kind_key: ClassVar[tuple[str, ...]] = ()
    id_header: ClassVar[str] = ""
    repeats: ClassVar[bool] = False
    pings: ClassVar[str] = "ping"
    looks: ClassVar[tuple[tuple[str, frozenset[str]], ...]] = ()
    home: ClassVar[tuple[str, ...]] = ()

    def verify(self, received: Received, secret: str) -> None:
        """See Sender. The kind must be present exactly once and the id at most once, as the sender documents."""
        self.proof.verify(received, secret)
        if self.kind_header:
            received.one(self.kind_header)
        if len(received.headers.get(self.id_header, ())) > 1:
            raise ForgedError(f"{self.id_header} is sent more than once")

    def delivery(self, received: Received) -> str:
        """See Sender."""
        return delivery_id(first(received, self.id_header))

    def kind(self, received: Received) -> str:
        """See Sender."""
        return plain(first(received, self.kind_header) or self._stated_kind(received)) or self.name

    def _stated_kind(self, received: Received) -> str:
        if not self.kind_key or len(received.body) > _QUICK:
            return ""
        try:
            return read(received).text(*self.kind_key)
        except MalformedError:
            return ""

    def events(self, received: Received) -> tuple[Event, ...]:
        """See Sender."""
        tree = read(received)
        if tree.text("deploybot") == PING["deploybot"]:
            return (Ping(sender=self.name),)
        found = self.events_in(received, tree)
        host = host_of(tree.page(*self.home)) if self.home else ""
        # A status may link to a CI elsewhere, and a deletion has no page.
        return tuple(event if host in {"", host_of(event.url)} else replace(event, host=host) for event in found)

    @abstractmethod
    def events_in(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """Return the events in a body that is a JSON object."""

    @abstractmethod
    def setup(self, url: str) -> str:
        """See Sender."""

    def sign(self, body: bytes, secret: str, *, kind: str, delivery: str, at: float) -> Signed:
        """See Sender. Raises ForgedError if the proof cannot use the secret."""
        signed = self.proof.sign(body, secret, delivery=delivery, at=at)
        named = {self.kind_header: kind, self.id_header: delivery}
        headers = {name: value for name, value in named.items() if name and value}
        return Signed(headers={**_JSON, **headers, **signed.headers}, query=signed.query, path=signed.path)

    def ping(self, at: float) -> tuple[str, bytes]:
        """See Sender."""
        return self.pings, json.dumps(PING | {"at": at}).encode()

    def guess(self, payload: Mapping[str, object]) -> str | None:
        """See Sender. Returns the first kind in `looks` whose keys are all there."""
        return next((kind for kind, keys in self.looks if keys <= payload.keys()), None)


_JSON: Mapping[str, str] = {"content-type": "application/json"}
