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
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from deploybot.card import Card
from deploybot.chat.chat_dependencies import Parts
from deploybot.command import Incoming
from deploybot.errors import DeploybotError, StoreError, Unreachable
from deploybot.ports import Chat

T = TypeVar("T")

LINES = 40
INSIST = 120.0
_PARTING = 3.0
_FIRST_PAUSE = 0.5
_LONGEST_PAUSE = 20.0
log = logging.getLogger(__name__)


class ReplyRoom(Chat, Protocol):
    """A chat whose commands come from messages. `edit_interval` is the seconds between edits of one message."""

    @property
    def edit_interval(self) -> float:
        """Seconds to leave between two edits of one message."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it, where the platform can; else in the place it came from."""

    async def nod(self, card: Card) -> None:
        """A button did what its message now says: a sign of that to whoever pressed, where the platform has one."""


@dataclasses.dataclass(slots=True)
class _Message:
    """A card with a key: what it should read, what of it was `shown`, and who brings the one to the other.

    `changed` says that there is something to bring, `urgent` that it need not wait for more to come.
    """

    card: Card
    lines: deque[str]
    shown: Card | None = None
    id: str = ""
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    urgent: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Talk:
    """The answer to one message."""

    def __init__(self, room: ReplyRoom, incoming: Incoming) -> None:
        """Answer this message in this chat."""
        self._room = room
        self._incoming = incoming
        self._messages: dict[str, _Message] = {}
        self._over = False

    async def answer(self, parts: Parts) -> None:
        """Have the message handled, and say everything that comes of it. Never raises but when it is cancelled."""
        try:
            card = await parts.handle(self._incoming, self.reply)
            if card is not None:
                await self.reply(card)
        except DeploybotError as error:
            log.warning("%s: an answer did not arrive: %s", self._room.platform, error)
        except Exception:
            log.exception("%s: answering a message broke", self._room.platform)
        finally:
            await self._finish()

    async def reply(self, card: Card) -> None:
        """Say a card. Raises Unreachable where a message that stands alone cannot be said for two minutes."""
        if card.queued:
            return
        if card.aside and card.ok and self._incoming.press:
            await self._room.nod(card)
        elif (card.private or card.aside) and not self._incoming.place.private:
            # What is whispered cannot be edited: of a card that changes, the end is said.
            if card.final:
                await self._insist(lambda: self._room.whisper(self._incoming, card))
        elif card.key:
            self._put(card)
        else:
            await self._insist(lambda: self._room.send(self._incoming.place, card))

    def _put(self, card: Card) -> None:
        """Take a newer state of a message; of a followed log the last lines are shown."""
        message = self._messages.get(card.key)
        if message is None:
            message = self._messages[card.key] = _Message(card, deque(maxlen=LINES))
            message.task = asyncio.create_task(self._keep(message))
        if card.stream:
            message.lines.extend(card.code)
            card = dataclasses.replace(card, code=tuple(message.lines))
        message.card = card
        message.changed.set()
        if card.final:
            message.urgent.set()
        else:
            message.urgent.clear()

    async def _keep(self, message: _Message) -> None:
        """Bring a message to its newest state, until the talk is over and that has arrived."""
        while True:
            await message.changed.wait()
            try:
                await self._insist(lambda: self._show(message))
            except DeploybotError as error:
                log.warning("%s: a state of a message was given up: %s", self._room.platform, error)
            except Exception:
                log.exception("%s: saying a message broke", self._room.platform)
            if self._over and not message.changed.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._room.edit_interval):
                    await message.urgent.wait()

    async def _show(self, message: _Message) -> None:
        """Send a message, or edit it, as it should read now. One that cannot be edited any more is said anew."""
        place, card = self._incoming.place, message.card
        message.changed.clear()
        if card == message.shown:
            return
        if message.id:
            try:
                await self._room.edit(place, message.id, card)
            except (Unreachable, StoreError):
                raise
            except DeploybotError as error:
                log.info("%s: a message cannot be edited and is posted again: %s", self._room.platform, error)
                message.id = ""
        if not message.id:
            message.id = await self._room.send(place, card)
        message.shown = card

    async def _finish(self) -> None:
        """Let the last states arrive; what was left open stays as it was, without its buttons."""
        self._over = True
        for message in self._messages.values():
            if not message.card.final:
                message.card = dataclasses.replace(message.card, final=True, buttons=())
            message.changed.set()
            message.urgent.set()
        tasks = [message.task for message in self._messages.values() if message.task is not None]
        me = asyncio.current_task()
        within = _PARTING if me is not None and me.cancelling() else None
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(within):
                await asyncio.gather(*tasks, return_exceptions=True)

    async def _insist(self, say: Callable[[], Awaitable[T]]) -> T:
        """Say something, again and again while the chat (or the database, for its buttons) does not answer."""
        loop = asyncio.get_running_loop()
        end, pause = loop.time() + INSIST, _FIRST_PAUSE
        while True:
            try:
                return await say()
            except (Unreachable, StoreError) as problem:
                asked = problem.retry_after if isinstance(problem, Unreachable) else 0.0
                wait = asked or pause
                if loop.time() + wait > end:
                    raise
                await asyncio.sleep(wait)
                pause = min(pause * 2, _LONGEST_PAUSE)
