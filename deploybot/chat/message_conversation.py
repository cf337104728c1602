"""The answer to one message, in chats that edit messages in place (Slack and Telegram).

A command posts cards while it runs. A card with a key is one message that is edited. Edits keep the chat's minimum
interval, so outdated states are skipped, and the last state always arrives.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import logging
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Protocol, TypeVar

from deploybot.backoff import Backoff, requested_pause
from deploybot.card import Card
from deploybot.chat.chat_dependencies import Parts
from deploybot.command import Incoming
from deploybot.errors import DeploybotError, StoreError, Unreachable
from deploybot.ports import Chat

T = TypeVar("T")

LINES = 40
INSIST = 120.0
_PARTING = 3.0
_RETRY = Backoff(0.5, 20.0)
log = logging.getLogger(__name__)


class ReplyRoom(Chat, Protocol):
    """A chat whose commands come from messages."""

    @property
    def edit_interval(self) -> float:
        """Return the minimum number of seconds between two edits of one message."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer so that only the sender sees it if the platform supports that, otherwise in the same channel."""

    async def nod(self, card: Card) -> None:
        """Confirm a button press to the person, if the platform supports that. The message shows the result already."""


@dataclasses.dataclass(slots=True)
class _OwnMessage:
    """A card with a key: its newest state, the state that is `shown`, and the task that updates the message.

    `changed` is set when there is a new state to show, `urgent` when it need not wait for more changes.
    """

    card: Card
    lines: deque[str]
    shown: Card | None = None
    id: str = ""
    changed: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    urgent: asyncio.Event = dataclasses.field(default_factory=asyncio.Event)
    task: asyncio.Task[None] | None = None


class Conversation:
    """The answer to one message."""

    def __init__(self, room: ReplyRoom, incoming: Incoming) -> None:
        """Answer this message in this chat."""
        self._room = room
        self._incoming = incoming
        self._messages: dict[str, _OwnMessage] = {}
        self._over = False

    async def answer(self, parts: Parts) -> None:
        """Handle the message and post all answers. Raises nothing except on cancellation."""
        try:
            card = await parts.handle(self._incoming, self.reply)
            if card is not None:
                await self.reply(card)
        except DeploybotError as error:
            log.warning("%s: an answer did not arrive: %s", self._room.platform, error)
        except Exception:
            log.exception("%s: answering a message failed", self._room.platform)
        finally:
            await self._finish()

    async def reply(self, card: Card) -> None:
        """Post a card. Raises Unreachable if a message without a key can't be posted for two minutes."""
        if card.queued:
            return
        if card.aside and card.ok and self._incoming.press:
            await self._room.nod(card)
        elif (card.private or card.aside) and not self._incoming.channel.private:
            # Private answers can't be edited. Of a card that changes, only the final state is posted.
            if card.final:
                await self._insist(lambda: self._room.whisper(self._incoming, card))
        elif card.key:
            self._put(card)
        else:
            await self._insist(lambda: self._room.send(self._incoming.channel, card))

    def _put(self, card: Card) -> None:
        """Store a newer state of a message. A followed log shows its last lines."""
        message = self._messages.get(card.key)
        if message is None:
            message = self._messages[card.key] = _OwnMessage(card, deque(maxlen=LINES))
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

    async def _keep(self, message: _OwnMessage) -> None:
        """Update a message until the conversation is over and the last state has arrived."""
        while True:
            await message.changed.wait()
            try:
                await self._insist(lambda: self._show(message))
            except DeploybotError as error:
                log.warning("%s: gave up on an update of a message: %s", self._room.platform, error)
            except Exception:
                log.exception("%s: posting a message failed", self._room.platform)
            if self._over and not message.changed.is_set():
                return
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(self._room.edit_interval):
                    await message.urgent.wait()

    async def _show(self, message: _OwnMessage) -> None:
        """Send or edit a message with its newest state. If it can no longer be edited, post it again."""
        channel, card = self._incoming.channel, message.card
        message.changed.clear()
        if card == message.shown:
            return
        if message.id:
            try:
                await self._room.edit(channel, message.id, card)
            except (Unreachable, StoreError):
                raise
            except DeploybotError as error:
                log.info("%s: a message cannot be edited and is posted again: %s", self._room.platform, error)
                message.id = ""
        if not message.id:
            message.id = await self._room.send(channel, card)
        message.shown = card

    async def _finish(self) -> None:
        """Wait until the last states have arrived. Cards still open become final, without their buttons."""
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

    async def _insist(self, send: Callable[[], Awaitable[T]]) -> T:
        """Call `send` and retry while the chat (or the database, for its buttons) is unreachable."""
        loop = asyncio.get_running_loop()
        end, pauses = loop.time() + INSIST, iter(_RETRY)
        while True:
            try:
                return await send()
            except (Unreachable, StoreError) as problem:
                wait = requested_pause(problem) or next(pauses)
                if loop.time() + wait > end:
                    raise
                await asyncio.sleep(wait)
