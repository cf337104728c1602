"""A chat in memory, which remembers everything that was ever said."""

from __future__ import annotations

from dataclasses import dataclass, field

from deploybot.card import Card
from deploybot.domain import Place
from deploybot.errors import UserError


@dataclass(slots=True)
class Message:
    """One message: where it is, and its states, the last of which is what people see."""

    id: str
    place: Place
    states: list[Card] = field(default_factory=list)

    @property
    def card(self) -> Card:
        """What people see now."""
        return self.states[-1]


class FakeChat:
    """`ports.Chat`. `messages` holds all of them in order; `failures` are raised first, one a call."""

    def __init__(self, platform: str = "console", *, interval: float = 0.0) -> None:
        """Take the platform's name and the seconds it wants between messages."""
        self._platform = platform
        self._interval = interval
        self.messages: list[Message] = []
        self.failures: list[Exception] = []

    @property
    def platform(self) -> str:
        """The platform of its places."""
        return self._platform

    @property
    def interval(self) -> float:
        """Seconds to leave between two messages to one channel."""
        return self._interval

    def said(self, place: Place) -> list[Card]:
        """What people see in a place now, oldest first."""
        return [message.card for message in self.messages if message.place == place]

    async def send(self, place: Place, card: Card) -> str:
        """Post a message; its id."""
        self._fail()
        message = Message(str(len(self.messages) + 1), place, [card])
        self.messages.append(message)
        return message.id

    async def edit(self, place: Place, message: str, card: Card) -> None:
        """Replace a message; UserError where there is none of that id in the place."""
        self._fail()
        for kept in self.messages:
            if (kept.id, kept.place) == (message, place):
                kept.states.append(card)
                return
        raise UserError(f"there is no message {message} to edit")

    def _fail(self) -> None:
        if self.failures:
            raise self.failures.pop(0)
