"""A chat in memory that records all messages."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.card import Card
from deploybot.domain import Channel
from deploybot.errors import UserError


@dataclass(slots=True)
class Message:
    """One message: its channel and all its states. People see the last state."""

    id: str
    channel: Channel
    states: list[Card] = field(default_factory=list)

    @property
    def card(self) -> Card:
        """Return what people see now."""
        return self.states[-1]


class FakeChat:
    """`ports.Chat`. `messages` has all messages in order. `failures` are raised first, one per call."""

    def __init__(self, platform: str = "console", *, interval: float = 0.0) -> None:
        """Take the platform's name, and the seconds it requires between messages."""
        self._platform = platform
        self._interval = interval
        self.messages: list[Message] = []
        self.failures: list[Exception] = []

    @property
    def platform(self) -> str:
        """Return the platform of its channels."""
        return self._platform

    @property
    def interval(self) -> float:
        """Return the seconds to leave between two messages to one channel."""
        return self._interval

    def shown(self, channel: Channel) -> list[Card]:
        """Return what people see in a channel now, oldest first."""
        return [message.card for message in self.messages if message.channel == channel]

    async def send(self, channel: Channel, card: Card) -> str:
        """Post a message and return its id."""
        self._fail()
        message = Message(str(len(self.messages) + 1), channel, [card])
        self.messages.append(message)
        return message.id

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message. Raises UserError if the channel has no message of that id."""
        self._fail()
        for kept in self.messages:
            if (kept.id, kept.channel) == (message, channel):
                kept.states.append(card)
                return
        raise UserError(f"there is no message {message} to edit")

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
