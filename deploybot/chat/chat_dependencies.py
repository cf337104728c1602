"""The parts of the bot that chats depend on."""

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
    """The parts of the bot that chats use.

    `handle` runs a command (`Dispatcher.handle`) and returns None if there is no answer. `complete`
    (`Dispatcher.complete`) takes the account and the line up to the cursor. It returns how many characters at the end
    of the line may be replaced, and the words that may replace them. `recall` returns the current card of a key
    (`deployment:42`) from the database, or None if there is none. `bot` is the bot's version. `commands` are all
    commands by name.
    """

    handle: Callable[[Incoming, Reply], Awaitable[Card | None]]
    complete: Callable[[Identity, str], Awaitable[tuple[int, tuple[str, ...]]]]
    recall: Callable[[str], Awaitable[Card | None]]
    clock: Clock
    bot: str
    commands: Mapping[str, Command] = field(default_factory=dict)
