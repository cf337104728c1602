"""One message being answered in a chat whose messages are edited in place: Slack's and Telegram's manners alike.

A command says cards along the way. One with a key is a message that is edited: no more often than the chat
can bear, so states that were overtaken are left out, and the last one always arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import deque
from typing import Protocol

from deploybot.card import Card
from deploybot.chat.parts import Parts
from deploybot.command import Incoming
from deploybot.errors import DeploybotError, Unreachable
from deploybot.ports import Chat

LINES = 40
INSIST = 120.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 20.0
log = logging.getLogger(__name__)


class Room(Chat, Protocol):
    """A chat whose commands come from messages. `edit_interval` is the seconds between edits of one message."""

    @property
    def edit_interval(self) -> float:
        """Seconds to leave between two edits of one message."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it, where the platform can; else in the place it came from."""


@dataclasses.dataclass(slots=True)
class _Message:
    """A card with a key: what it should read, what was sent of it, and who brings the one to the other."""

    card: Card
    lines: deque[str]
    id: str = ""
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    ended: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Talk:
    """The answer to one message."""

    def __init__(self, room: Room, incoming: Incoming) -> None:
        """Answer this message in this chat."""
        self._room = room
        self._incoming = incoming
        self._messages: dict[str, _Message] = {}

    async def answer(self, parts: Parts) -> None:
        """Have the message handled, and say everything that comes of it. Never raises but when it is cancelled."""
        try:
            card = await parts.handle(self._incoming, self.reply)
            if card is not None:
                await self.reply(card)
        except DeploybotError as error:
            log.warning("%s: an answer did not arrive: %s", self._room.platform, error)
        finally:
            await self._finish()

    async def reply(self, card: Card) -> None:
        """Say a card. Raises Unreachable where a message that stands alone cannot be said for two minutes."""
        if card.queued:
            return
        if card.key:
            self._put(card)
        elif card.private and not self._incoming.place.private:
            await self._insist_whisper(card)
        else:
            await self._insist("", card)

    def _put(self, card: Card) -> None:
        """Take a newer state of a message; of a followed log the last lines are shown."""
        message = self._messages.get(card.key)
        if message is None:
            message = self._messages[card.key] = _Message(card, deque(maxlen=LINES))
            message.task = asyncio.create_task(self._keep(message))
        if card.stream:
            message.lines.extend(card.code)
            card = dataclasses.replace(card, code=tuple(message.lines))
        self._set(message, card)

    @staticmethod
    def _set(message: _Message, card: Card) -> None:
        message.card = card
        message.changed.set()
        if card.final:
            message.ended.set()

    async def _keep(self, message: _Message) -> None:
        """Bring a message to its newest state until that is final."""
        while True:
            await message.changed.wait()
            message.changed.clear()
            card = message.card
            try:
                message.id = await self._insist(message.id, card)
            except DeploybotError as error:
                log.warning("%s: a message was given up: %s", self._room.platform, error)
                return
            if card.final:
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._room.edit_interval):
                    await message.ended.wait()

    async def _finish(self) -> None:
        """Let the last states arrive; what was left open stays as it was."""
        for message in self._messages.values():
            if not message.card.final:
                self._set(message, dataclasses.replace(message.card, final=True, buttons=()))
        tasks = [message.task for message in self._messages.values() if message.task is not None]
        await asyncio.gather(*tasks, return_exceptions=True)

    async def _insist(self, message: str, card: Card) -> str:
        """Send or edit, again and again while the platform does not answer."""
        place, loop = self._incoming.place, asyncio.get_running_loop()
        end, pause = loop.time() + INSIST, _FIRST_PAUSE
        while True:
            try:
                if message:
                    await self._room.edit(place, message, card)
                    return message
                return await self._room.send(place, card)
            except Unreachable as problem:
                wait = problem.retry_after or pause
                if loop.time() + wait > end:
                    raise
                await asyncio.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)

    async def _insist_whisper(self, card: Card) -> None:
        """The same for what only the sender is to see."""
        try:
            await self._room.whisper(self._incoming, card)
        except Unreachable as problem:
            await asyncio.sleep(min(problem.retry_after or _FIRST_PAUSE, INSIST))
            await self._room.whisper(self._incoming, card)
