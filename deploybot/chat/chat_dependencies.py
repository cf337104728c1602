"""What a chat needs of the bot."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field

from deploybot.card import Card
from deploybot.command import Command, Incoming
from deploybot.domain import Identity
from deploybot.ports import Clock

Reply = Callable[[Card], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parts:
    """The bot, as chats see it.

    `handle` runs a command (`Dispatcher.handle`); None where there is nothing to say. `complete`
    (`Dispatcher.complete`) takes who types and the line up to the cursor, and gives how many characters at its
    end may be replaced and by which words. `recall` gives the card of a key (`deployment:42`) as the database
    tells it now; None where there is none. `bot` is the bot's version. `commands` are those there are, by name.
    """

    handle: Callable[[Incoming, Reply], Awaitable[Card | None]]
    complete: Callable[[Identity, str], Awaitable[tuple[int, tuple[str, ...]]]]
    recall: Callable[[str], Awaitable[Card | None]]
    clock: Clock
    bot: str
    commands: Mapping[str, Command] = field(default_factory=dict)
