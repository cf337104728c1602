"""Cards become messages: sent, edited in place, their buttons tied to them, their files behind them.

A message's id is its number in its chat, and `NUMBER@CHAT` where the chat is another than the place says, because
the group became a supergroup (https://core.telegram.org/bots/api#responseparameters).
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections import OrderedDict
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from weakref import WeakValueDictionary

from telegram import InlineKeyboardMarkup

from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.rate_limits import urgency_of
from deploybot.chat.resumed_uploads import ResumedUpload, Uploads
from deploybot.chat.telegram.inline_keyboard import keyboard
from deploybot.chat.telegram.telegram_api import Calls, ChatMoved, NoTopic
from deploybot.chat.telegram.telegram_rendering import Page, page_of
from deploybot.chat.unwritable_channels import Closed, nobody_hears
from deploybot.domain import Place
from deploybot.errors import DeploybotError, StoreError, Unreachable, UserError
from deploybot.units import show_size

_DOCUMENT = 50_000_000
"""A bot may send files of so many bytes."""
_TRIES = 5
_AGAIN = 3.0
"""Seconds; longer than a stop lets tasks be, which so finds what failed waiting, and not in mid-call."""
_AT_ONCE = 3
_HEAVY = 50_000
_REMEMBERED = 1_000
log = logging.getLogger(__name__)

Spawn = Callable[[Coroutine[None, None, None]], object]


class Post:
    """Sends and edits cards. `spawn` runs what nobody waits for."""

    def __init__(
        self, calls: Calls, desk: ButtonTokens, spawn: Spawn, uploads: Uploads, closed: Closed = nobody_hears
    ) -> None:
        self._calls = calls
        self._desk = desk
        self._uploads = uploads
        self._closed = closed
        self._spawn = spawn
        self._moves: dict[str, str] = {}
        self._answering: WeakValueDictionary[str, asyncio.Semaphore] = WeakValueDictionary()
        self._handed: OrderedDict[tuple[str, int], None] = OrderedDict()

    def moved(self, old: str, new: str) -> None:
        """Note that a group has another number now; what bot.toml and the database call it goes on to work."""
        if self._moves.get(old) != new:
            log.warning(
                "the Telegram group %s became the supergroup %s: replace %s by %s in bot.toml",
                old,
                new,
                new,
                old,
            )
        self._moves[old] = new

    def now(self, place: Place) -> Place:
        """The place with the number that its chat has now."""
        channel = place.channel
        for _ in self._moves:
            channel = self._moves.get(channel, channel)
        return dataclasses.replace(place, channel=channel) if channel != place.channel else place

    def known(self, place: Place) -> Place:
        """The place with the number that its chat had first, so that both numbers are one place to the bot."""
        before = {new: old for old, new in self._moves.items()}
        channel = place.channel
        for _ in before:
            channel = before.get(channel, channel)
        return dataclasses.replace(place, channel=channel) if channel != place.channel else place

    async def look(self, chat: str) -> None:
        """See whether a chat that bot.toml names is there, and under which number. Raises Unreachable."""
        try:
            await self._calls.look(chat)
        except ChatMoved as move:
            self.moved(chat, move.chat)
        except UserError as error:
            log.warning("the chat %s of bot.toml: %s Add me to it, or correct its number.", chat, error)
            await self._closed(chat, str(error))

    @asynccontextmanager
    async def answering(self, place: Place) -> AsyncIterator[None]:
        """Wait for a chance to answer: few answers a chat stand in line with what the outbox has to say there."""
        turns = self._answering.setdefault(place.channel, asyncio.Semaphore(_AT_ONCE))
        async with turns:
            yield

    async def send(self, place: Place, card: Card, *, reply_to: int = 0, owner: str = "") -> str:
        """Say a card; its message's id. Its buttons are for `owner` alone, where one is given."""
        while True:
            real = self.now(place)
            try:
                number = await self._send(real, card, reply_to, owner)
            except ChatMoved as move:
                if move.chat in {real.channel, place.channel}:
                    raise
                self.moved(real.channel, move.chat)
            except NoTopic:
                if not place.thread:
                    raise
                place = dataclasses.replace(place, thread="")
            else:
                return str(number) if real.channel == place.channel else f"{number}@{real.channel}"

    async def _send(self, place: Place, card: Card, reply_to: int, owner: str) -> int:
        page = await _page(card)
        tokens = await self._desk.lay_out(place, card.buttons)
        markup = keyboard(card.buttons, tokens, owner)
        number = await self._calls.send(place, page.html, markup, reply_to, urgency=urgency_of(card))
        try:
            await self._desk.sent(place, card.buttons, tokens, str(number))
        except StoreError as error:
            # The message is there, and must not be sent again; the desk ties the buttons when one is pressed.
            log.warning("the buttons of a message could not be tied to it: %s", error)
        await self._hand_over(place, number, card, page)
        return number

    async def edit(self, place: Place, message: str, card: Card) -> None:
        """Replace a message. UserError where it cannot be any more, so that the card is said anew."""
        number, _, chat = message.partition("@")
        real = dataclasses.replace(place, channel=chat or place.channel)
        if self.now(real).channel != real.channel:
            raise UserError("The message stayed behind when its Telegram group became a supergroup.")
        tokens = await self._desk.lay_out(real, card.buttons, number)
        page = await _page(card)
        try:
            markup, urgency = keyboard(card.buttons, tokens), urgency_of(card, edits=True)
            await self._calls.edit(real, int(number), page.html, markup, urgency=urgency)
        except ChatMoved as move:
            self.moved(real.channel, move.chat)
            raise
        await self._hand_over(real, int(number), card, page)

    async def note(
        self, place: Place, html: str, markup: InlineKeyboardMarkup | None = None, reply_to: int = 0
    ) -> None:
        """Say a sentence of the chat's own."""
        await self._calls.send(self.now(place), html, markup, reply_to)

    async def resume(self) -> None:
        """Go on with the files that an earlier bot began to hand over. StoreError."""
        for upload in await self._uploads.left():
            place, number = Place("telegram", upload.channel, thread=upload.thread), int(upload.message)
            self._handed[place.channel, number] = None
            self._spawn(self._log(place, number, upload))

    async def _hand_over(self, place: Place, number: int, card: Card, page: Page) -> None:
        """Send the files of a message that will not change any more, once, without keeping its sender waiting."""
        if not card.final or not (card.files or page.whole) or (place.channel, number) in self._handed:
            return
        self._handed[place.channel, number] = None
        while len(self._handed) > _REMEMBERED:
            self._handed.popitem(last=False)
        wanted = [ResumedUpload(place.channel, str(number), place.thread, file.name, file.path) for file in card.files]
        begun = [one for one in wanted if await self._uploads.begin(one)]
        self._spawn(self._files(place, number, page.name(card) if page.whole else "", page, begun))

    async def _files(self, place: Place, number: int, whole: str, page: Page, logs: Sequence[ResumedUpload]) -> None:
        if whole:
            await self._file(place, number, whole, page.whole.encode("utf-8", "replace"))
        for upload in logs:
            await self._log(place, number, upload)

    async def _log(self, place: Place, number: int, upload: ResumedUpload) -> None:
        """A file of this machine, or why it does not come."""
        try:
            size = (await asyncio.to_thread(Path(upload.path).stat)).st_size
            if 0 < size <= _DOCUMENT:
                await self._file(place, number, upload.name, Path(upload.path), upload)
                return
        except OSError as error:
            log.warning("%s cannot be handed over: %s", upload.name, error.strerror)
            sentence = f"{upload.name} cannot be read here."
        else:
            too_big = f"{upload.name} has {show_size(size)}, more than Telegram takes from a bot"
            sentence = f"{too_big}. The bot's machine has it: {upload.path}" if size else ""
        await self._uploads.share(upload)
        if sentence:
            await self._sorry(place, number, sentence)

    async def _file(
        self, place: Place, number: int, name: str, content: bytes | Path, upload: ResumedUpload | None = None
    ) -> None:
        """Send a file, with patience: the message it belongs to is there already."""
        for _ in range(_TRIES):
            try:
                if upload is not None:
                    await self._uploads.share(upload)
                await self._calls.document(place, name, content, number)
            except Unreachable as error:
                if upload is not None:
                    await self._uploads.fail(upload)
                await asyncio.sleep(error.retry_after or _AGAIN)
            except DeploybotError as error:
                log.warning("Telegram did not take %s: %s", name, error)
                return
            else:
                return
        log.warning("Telegram did not take %s: it did not answer", name)

    async def _sorry(self, place: Place, number: int, sentence: str) -> None:
        try:
            await self.send(place, Card(title=sentence), reply_to=number)
        except DeploybotError as error:
            log.warning("Telegram: an explanation did not arrive: %s", error)


async def _page(card: Card) -> Page:
    """A card as a message; a long one is made in a thread, so that it keeps nobody waiting."""
    rows = len(card.lines) + len(card.details) + (len(card.table.rows) if card.table else 0)
    if len(card.text) + sum(map(len, card.code)) + 100 * rows < _HEAVY:
        return page_of(card)
    return await asyncio.to_thread(page_of, card)
