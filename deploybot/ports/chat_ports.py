"""Chats, and the messages queued for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

from deploybot.card import Card
from deploybot.domain import Channel

ELSEWHERE: Final = "elsewhere"
"""The id of a message that only one person saw, because the channel refused it. It can't be edited."""


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """A card that waits to be sent.

    `message` is the platform's id of the message to edit, empty if the card was never sent to that channel. `revision`
    counts the states of the card, `attempts` the failures since the last success.
    """

    id: int
    channel: Channel
    card: Card
    key: str
    message: str
    revision: int
    attempts: int
    next_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonRow:
    """The command behind one button of a message. `message` is empty until its id is known, `used` 0.0 until used.

    Only the hash of the token in the message is stored (SHA-256, hex).
    """

    hash: str
    platform: str
    channel: str
    message: str
    command: str
    made: float
    used: float = 0.0


class Chat(Protocol):
    """One chat platform, as the outbox and dispatch use it."""

    @property
    def platform(self) -> str:
        """The platform of its channels: `console`, `slack` or `telegram`."""

    @property
    def interval(self) -> float:
        """Seconds to wait between two messages to one channel, including edits; 0.0 for none."""

    async def send(self, channel: Channel, card: Card) -> str:
        """Post a message and return its id, or `ELSEWHERE` if the channel refused it and one person saw it.

        Raises Unreachable (with `retry_after` if the platform gives it).
        """

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message."""


@dataclass(frozen=True, slots=True)
class ChatFinding:
    """A result of `deploybot check` for a chat: the check, its result, and the fix; no `fix` if all is well."""

    what: str
    text: str
    fix: str = ""


class LiveChat(Chat, Protocol):
    """A chat that is started and stopped with the bot."""

    @property
    def problem(self) -> str:
        """Why messages do not arrive in either direction, and the fix; empty if they do."""

    async def start(self) -> None:
        """Start to listen and return soon. A platform that does not answer is retried in the background."""

    async def close(self) -> None:
        """Stop listening and release all resources within five seconds."""


class Outbox(Protocol):
    """Messages queued for chats, written in the same transaction as the state they show. One worker sends them."""

    def put(self, channel: Channel, card: Card, now: float) -> None:
        """Queue a card. With a key, an unsent earlier state of the same card in that channel is replaced.

        Raises ValueError for a card with `stream`: its states add up, so none may be skipped.
        """

    def due(self, now: float, limit: int = 50, *, besides: Collection[tuple[str, ...]] = ()) -> tuple[OutboxItem, ...]:
        """Return what to send now: new messages, edits, notifications; each kind in the order of `put`.

        `besides` excludes lanes: platform, channel, and `new`, `edits` or `notifications`. Their items are not even
        read.
        """

    def sent(self, item: int, revision: int, message: str) -> None:
        """Record that this revision arrived as that message. A newer revision stays due."""

    def retry(self, item: int, at: float, error: str) -> None:
        """Record a failure; the item is due again at `at`."""

    def dead(self, item: int, revision: int, error: str) -> None:
        """Give up this revision. A newer one stays due, and the next `put` of the same card retries."""

    def next_at(self) -> float | None:
        """Return when the next item is due; None if none waits."""

    def waiting(self) -> int:
        """Return how many items wait."""


class Buttons(Protocol):
    """The commands behind the buttons of messages. Stored for thirty days."""

    def add(self, row: ButtonRow) -> None:
        """Store a new button."""

    def get(self, token_hash: str) -> ButtonRow | None:
        """Return the button with that hash."""

    def bind(self, token_hash: str, message: str) -> bool:
        """Bind a button to its message; False if it is already bound to another one."""

    def use(self, token_hash: str, now: float) -> bool:
        """Use up a button. Return True exactly once."""

    def keep_only(self, platform: str, channel: str, message: str, hashes: Sequence[str]) -> int:
        """Delete the unused buttons that a message no longer shows. Return how many."""


class SeenMessages(Protocol):
    """Ids of the messages that were already handled, because platforms deliver some twice."""

    def first(self, platform: str, message: str, now: float) -> bool:
        """Return True exactly once for each message id of a platform. Ids are stored for two days."""

    def known(self, platform: str) -> tuple[str, ...]:
        """Return all stored ids of a platform, oldest first."""

    def forget(self, platform: str, message: str) -> None:
        """Delete an id."""
