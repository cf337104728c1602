"""What senders have in common, so that a sender's file says only what is its own."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from typing import ClassVar

from deploybot.domain import Event, Ping
from deploybot.webhooks.body_reading import Tree, first, plain, read
from deploybot.webhooks.delivery_proofs import Proof
from deploybot.webhooks.sender_port import ForgedError, MalformedError, Received, Signed

Reader = Callable[[Tree], tuple[Event, ...]]
"""What makes events of the body of one kind."""

PING = {"deploybot": "ping"}
"""The body that tries an address, for senders that have none of their own."""
_QUICK = 65_536
"""Bodies above this many bytes are not read just to be counted by kind."""


class BaseSender(ABC):
    """A sender by its name and proof; where kind and id come in headers, by the names of these in lower case.

    `kind_key` is where in the body the kind is, for those that have it there; `pings` is the kind of its pings. `looks`
    are kinds with the keys by which a payload of them is known, those first that are told apart by more; a kind that is
    read from the body is empty there.
    """

    name: ClassVar[str]
    proof: ClassVar[Proof]
    kind_header: ClassVar[str] = ""
    kind_key: ClassVar[tuple[str, ...]] = ()
    id_header: ClassVar[str] = ""
    repeats: ClassVar[bool] = False
    pings: ClassVar[str] = "ping"
    looks: ClassVar[tuple[tuple[str, frozenset[str]], ...]] = ()

    def verify(self, received: Received, secret: str) -> None:
        """See Sender. Kind and id have to be there as the sender documents: once, and at most once."""
        self.proof.verify(received, secret)
        if self.kind_header:
            received.one(self.kind_header)
        if len(received.headers.get(self.id_header, ())) > 1:
            raise ForgedError(f"{self.id_header} is there more than once")

    def delivery(self, received: Received) -> str:
        """See Sender."""
        return plain(first(received, self.id_header))

    def kind(self, received: Received) -> str:
        """See Sender."""
        return plain(first(received, self.kind_header) or self._told_kind(received)) or self.name

    def _told_kind(self, received: Received) -> str:
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
        return self.told(received, tree)

    @abstractmethod
    def told(self, received: Received, tree: Tree) -> tuple[Event, ...]:
        """What a body tells that is an object."""

    @abstractmethod
    def setup(self, url: str) -> str:
        """See Sender."""

    def sign(self, body: bytes, secret: str, *, kind: str, delivery: str, at: float) -> Signed:
        """See Sender. Raises ForgedError where the secret is none that the proof can use."""
        signed = self.proof.sign(body, secret, delivery=delivery, at=at)
        said = {self.kind_header: kind, self.id_header: delivery}
        headers = {name: value for name, value in said.items() if name and value}
        return Signed(headers={**_JSON, **headers, **signed.headers}, query=signed.query, path=signed.path)

    def ping(self, at: float) -> tuple[str, bytes]:
        """See Sender."""
        return self.pings, json.dumps(PING | {"at": at}).encode()

    def guess(self, payload: Mapping[str, object]) -> str | None:
        """See Sender. The first kind of which everything is there that `looks` names."""
        return next((kind for kind, keys in self.looks if keys <= payload.keys()), None)


_JSON: Mapping[str, str] = {"content-type": "application/json"}
