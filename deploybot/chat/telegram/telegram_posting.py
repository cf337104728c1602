"""Post and edit cards as messages, with their buttons and files.

A message's id is its number in its chat. It is `NUMBER@CHAT` if the chat's number differs from the channel's,
because the group became a supergroup (https://core.telegram.org/bots/api#responseparameters).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar
from weakref import WeakValueDictionary

from telegram import InlineKeyboardMarkup

from deploybot.bounded_memory import SeenKeys
from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.rate_limits import urgency_of
from deploybot.chat.resumed_uploads import ResumedUpload, Uploads
from deploybot.chat.telegram.inline_keyboard import keyboard
from deploybot.chat.telegram.telegram_api import Calls, ChatMoved, NoTopic
from deploybot.chat.telegram.telegram_rendering import Page, page_of
from deploybot.chat.unwritable_channels import Closed, no_report
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, StoreError, Unreachable, UserError
from deploybot.units import show_size

_DOCUMENT = 50_000_000
"""The largest file that a bot may send, in bytes."""
_TRIES = 5
_AGAIN = 3.0
"""Seconds between retries: longer than a stop waits, so that it cancels a failed upload in its pause."""
_AT_ONCE = 3
_HEAVY = 50_000
_REMEMBERED = 1_000
_TIME_TAG = '"tg-time"'
T = TypeVar("T")
log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[None, None, None]], object]


class Post:
    """Sends and edits cards. `spawn` runs coroutines in the background."""

    def __init__(
        self, calls: Calls, button_tokens: ButtonTokens, spawn: Spawn, uploads: Uploads, closed: Closed = no_report
    ) -> None:
        self._calls = calls
        self._button_tokens = button_tokens
        self._uploads = uploads
        self._closed = closed
        self._spawn = spawn
        self._moves: dict[str, str] = {}
        self._answering: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._shows_times = True
        self._handed = SeenKeys(_REMEMBERED)

    def moved(self, old: str, new: str) -> None:
        """Note a group's new number. The old one in bot.toml and the database continues to work."""
        if self._moves.get(old) != new:
            log.warning(
                "the Telegram group %s became the supergroup %s: replace %s by %s in bot.toml",
                old,
                new,
                Channel("telegram", old),
                Channel("telegram", new),
            )
        self._moves[old] = new

    def now(self, channel: Channel) -> Channel:
        """Return the channel with the current number of its chat."""
        current = channel.id
        for _ in self._moves:
            current = self._moves.get(current, current)
        return dataclasses.replace(channel, id=current) if current != channel.id else channel

    def known(self, channel: Channel) -> Channel:
        """Return the channel with the first number of its chat, so that all its numbers are one channel."""
        before = {new: old for old, new in self._moves.items()}
        first = channel.id
        for _ in before:
            first = before.get(first, first)
        return dataclasses.replace(channel, id=first) if first != channel.id else channel

    async def look(self, chat: str) -> None:
        """Check whether a chat named in bot.toml exists, and note its current number. Raises Unreachable."""
        try:
            await self._calls.look(chat)
        except ChatMoved as move:
            self.moved(chat, move.chat)
        except UserError as error:
            named = Channel("telegram", chat)
            log.warning("cannot use %s of bot.toml: %s Add the bot to it, or correct its id.", named, error)
            await self._closed(chat, str(error))

    @asynccontextmanager
    async def answering(self, channel: Channel) -> AsyncIterator[None]:
        """Wait for a turn to answer. Only a few answers per chat compete with the outbox for the rate limit."""
        turns = self._answering.setdefault(channel.id, asyncio.Semaphore(_AT_ONCE))
        async with turns:
            yield

    async def send(self, channel: Channel, card: Card, *, reply_to: int = 0, owner: str = "") -> str:
        """Post a card. Return its message's id. If `owner` is given, only that user may press its buttons."""
        while True:
            real = self.now(channel)
            try:
                number = await self._send(real, card, reply_to, owner)
            except ChatMoved as move:
                if move.chat in {real.id, channel.id}:
                    raise
                self.moved(real.id, move.chat)
            except NoTopic:
                if not channel.thread:
                    raise
                channel = dataclasses.replace(channel, thread="")
            else:
                return str(number) if real.id == channel.id else f"{number}@{real.id}"

    async def _send(self, channel: Channel, card: Card, reply_to: int, owner: str) -> int:
        tokens = await self._button_tokens.lay_out(channel, card.buttons)
        markup = keyboard(card.buttons, tokens, owner)

        async def put(page: Page) -> int:
            return await self._calls.send(channel, page.html, markup, reply_to, urgency=urgency_of(card))

        page, number = await self._dated(card, put)
        try:
            await self._button_tokens.sent(channel, card.buttons, tokens, str(number))
        except StoreError as error:
            # The message is posted, and must not be sent again. The buttons are bound when one is pressed.
            log.warning("Telegram: the buttons of a message could not be linked to it: %s", error)
        await self._hand_over(channel, number, card, page)
        return number

    async def edit(self, channel: Channel, message: str, card: Card, *, owner: str = "") -> None:
        """Replace a message. Raises UserError if that is no longer possible, so that the card is posted again."""
        number, _, chat = message.partition("@")
        real = dataclasses.replace(channel, id=chat or channel.id)
        if self.now(real).id != real.id:
            raise UserError("The message stayed behind when its Telegram group became a supergroup.")
        tokens = await self._button_tokens.lay_out(real, card.buttons, number)
        markup, urgency = keyboard(card.buttons, tokens, owner), urgency_of(card, edits=True)

        async def put(page: Page) -> None:
            await self._calls.edit(real, int(number), page.html, markup, urgency=urgency)

        try:
            page, _ = await self._dated(card, put)
        except ChatMoved as move:
            self.moved(real.id, move.chat)
            raise
        await self._hand_over(real, int(number), card, page)

    async def _dated(self, card: Card, put: Callable[[Page], Awaitable[T]]) -> tuple[Page, T]:
        """Render a card and send it with `put`. A server of the Bot API before 9.5 gets the times as text only."""
        if self._shows_times and card.times:
            page = await _page(card)
            try:
                return page, await put(page)
            except UserError as refused:
                if _TIME_TAG not in str(refused):
                    raise
                self._shows_times = False
                log.info("Telegram: times are shown in UTC: %s", refused)
        page = await _page(dataclasses.replace(card, times=()))
        return page, await put(page)

    async def note(
        self, channel: Channel, html: str, markup: InlineKeyboardMarkup | None = None, reply_to: int = 0
    ) -> None:
        """Post a short message that is not a card."""
        await self._calls.send(self.now(channel), html, markup, reply_to)

    async def resume(self) -> None:
        """Resume the uploads of an earlier run. Raises StoreError."""
        for upload in await self._uploads.left():
            channel, number = Channel("telegram", upload.channel, thread=upload.thread), int(upload.message)
            self._handed.first_time((channel.id, number))
            self._spawn(self._log(channel, number, upload))

    async def _hand_over(self, channel: Channel, number: int, card: Card, page: Page) -> None:
        """Send the files of a final message once, in the background."""
        has_files = card.final and (card.files or page.whole)
        if not has_files or not self._handed.first_time((channel.id, number)):
            return
        wanted = [ResumedUpload(channel.id, str(number), channel.thread, file.name, file.path) for file in card.files]
        begun = [one for one in wanted if await self._uploads.begin(one)]
        self._spawn(self._files(channel, number, page.name(card) if page.whole else "", page, begun))

    async def _files(
        self, channel: Channel, number: int, whole: str, page: Page, logs: Sequence[ResumedUpload]
    ) -> None:
        if whole:
            await self._file(channel, number, whole, page.whole.encode("utf-8", "replace"))
        for upload in logs:
            await self._log(channel, number, upload)

    async def _log(self, channel: Channel, number: int, upload: ResumedUpload) -> None:
        """Send a file of this machine, or post why it can't be sent."""
        try:
            size = (await asyncio.to_thread(Path(upload.path).stat)).st_size
            if 0 < size <= _DOCUMENT:
                await self._file(channel, number, upload.name, Path(upload.path), upload)
                return
        except OSError as error:
            log.warning("%s cannot be uploaded: %s", upload.name, error.strerror)
            sentence = f"{upload.name} cannot be read here."
        else:
            too_big = f"{upload.name} has {show_size(size)}, more than bots may send on Telegram"
            sentence = f"{too_big}. It is on the bot's machine: {upload.path}" if size else ""
        await self._uploads.share(upload)
        if sentence:
            await self._sorry(channel, number, sentence)

    async def _file(
        self, channel: Channel, number: int, name: str, content: bytes | Path, upload: ResumedUpload | None = None
    ) -> None:
        """Send a file, with retries: its message is already posted."""
        why = ""
        for _ in range(_TRIES):
            try:
                if upload is not None:
                    await self._uploads.share(upload)
                await self._calls.document(channel, name, content, number)
            except Unreachable as error:
                if upload is not None:
                    await self._uploads.fail(upload)
                why = str(error)
                await asyncio.sleep(error.retry_after or _AGAIN)
            except DeploybotError as error:
                why = str(error)
                break
            else:
                return
        log.warning("Telegram did not accept %s: %s", name, why)
        there = f" It is on the bot's machine: {upload.path}" if upload is not None else ""
        explained = await self._sorry(channel, number, f"{name} was not uploaded: {why.rstrip('.')}.{there}")
        if explained and upload is not None:
            await self._uploads.share(upload)

    async def _sorry(self, channel: Channel, number: int, sentence: str) -> bool:
        """Post why a file is missing. Return whether that worked."""
        try:
            await self.send(channel, Card(title=sentence), reply_to=number)
        except DeploybotError as error:
            log.warning("Telegram: an explanation did not arrive: %s", error)
            return False
        return True


async def _page(card: Card) -> Page:
    """Render a card. A long one is rendered in a thread, so that it does not block the event loop."""
    rows = len(card.lines) + len(card.details) + (len(card.table.rows) if card.table else 0)
    if len(card.text) + sum(map(len, card.code)) + 100 * rows < _HEAVY:
        return page_of(card)
    return await asyncio.to_thread(page_of, card)
