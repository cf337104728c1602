"""Chats, and what waits to be sent to them."""

from __future__ import annotations

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
class Finding:
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
