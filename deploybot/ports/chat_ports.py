"""Chats, and what waits to be sent to them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Protocol

from deploybot.card import Card
from deploybot.domain import Place


@dataclass(frozen=True, slots=True, kw_only=True)
class OutboxItem:
    """A card that waits to be sent.

    `message` is the platform's id of the message to edit, empty where the card was never sent to that
    place. `revision` counts the states of the card, `attempts` the failures since the last success.
    """

    id: int
    place: Place
    card: Card
    key: str
    message: str
    revision: int
    attempts: int
    next_at: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ButtonRow:
    """What stands behind one button of a message. `message` is empty until its id is known; `used` is 0.0 until then.

    Only the hash of the token that the message carries is kept (SHA-256, hex).
    """

    hash: str
    platform: str
    channel: str
    message: str
    command: str
    made: float
    used: float = 0.0


class Chat(Protocol):
    """One chat platform, as the outbox and dispatch see it."""

    @property
    def platform(self) -> str:
        """`console`, `slack` or `telegram`: the platform of its places."""

    @property
    def interval(self) -> float:
        """Seconds to leave between two messages to one channel, edits included; 0.0 for none."""

    async def send(self, place: Place, card: Card) -> str:
        """Post a message; its id there. Raises Unreachable (with `retry_after` set where the platform gives it)."""

    async def edit(self, place: Place, message: str, card: Card) -> None:
        """Replace a message."""


@dataclass(frozen=True, slots=True)
class ChatFinding:
    """What `deploybot check` found of a chat: what was tried, what was seen, and the cure; none where all is well."""

    what: str
    says: str
    cure: str = ""


class LiveChat(Chat, Protocol):
    """A chat that is started and stopped with the bot."""

    @property
    def problem(self) -> str:
        """Why nothing arrives there or comes from there, and what to do; empty when all is well."""

    async def start(self) -> None:
        """Begin to listen. Returns soon: a platform that does not answer is tried again in the background."""

    async def close(self) -> None:
        """Stop listening, and let go of everything, within five seconds."""


class Outbox(Protocol):
    """Messages on their way to chats, written with what they tell of. One worker sends them."""

    def put(self, place: Place, card: Card, now: float) -> None:
        """Queue a card. With a key, an unsent earlier state of the same card in that place is replaced.

        A card with `stream` set is refused (ValueError): its states add up, so none may be left out.
        """

    def due(self, now: float, limit: int = 50, *, besides: Collection[tuple[str, ...]] = ()) -> tuple[OutboxItem, ...]:
        """What is to be sent now: new messages, edits, notifications; of each kind in the order in which it was put.

        `besides` leaves out lanes: platform, channel, and `new`, `edits` or `notifications`. Theirs is not even read.
        """

    def sent(self, item: int, revision: int, message: str) -> None:
        """Note that this revision arrived as that message. Where a newer one was put meanwhile, that stays due."""

    def retry(self, item: int, at: float, error: str) -> None:
        """Note a failure; due again at `at`."""

    def dead(self, item: int, revision: int, error: str) -> None:
        """Give this revision up. A newer one stays due, and the next `put` of the same card tries again."""

    def next_at(self) -> float | None:
        """When the next one is due; None when nothing waits."""

    def waiting(self) -> int:
        """How many wait."""


class Buttons(Protocol):
    """What buttons of messages do when they are pressed. Kept for thirty days."""

    def add(self, row: ButtonRow) -> None:
        """Keep a new one."""

    def get(self, token_hash: str) -> ButtonRow | None:
        """The button of that hash."""

    def bind(self, token_hash: str, message: str) -> bool:
        """Tie a button to its message; False where it is tied to another one already."""

    def use(self, token_hash: str, now: float) -> bool:
        """Use a button up: True exactly once."""

    def keep_only(self, platform: str, channel: str, message: str, hashes: Sequence[str]) -> int:
        """Delete the unused buttons that a message does not show any more; how many went."""


class SeenMessages(Protocol):
    """Which messages were taken already: platforms deliver some twice."""

    def first(self, platform: str, message: str, now: float) -> bool:
        """True exactly once for each id of a platform's message. Ids are kept for two days."""

    def known(self, platform: str) -> tuple[str, ...]:
        """All ids of a platform that are kept, the oldest first."""

    def forget(self, platform: str, message: str) -> None:
        """Forget one."""
