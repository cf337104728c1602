"""The rooms in which one message, or one pressed button, is answered.

A group has no message for one person alone. So what is wrong with a command is said in the group, below the command,
with buttons that obey its sender alone; what holds something for its reader alone goes to the private chat; and what
comes of a pressed button at once, and is a refusal, is told to whoever pressed, in the note that Telegram has for that.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from deploybot.card import Card
from deploybot.chat.telegram.telegram_api import Calls, Closed
from deploybot.chat.telegram.telegram_posting import Post, Spawn
from deploybot.chat.telegram.telegram_rendering import alert_of
from deploybot.command import Incoming
from deploybot.domain import Place
from deploybot.errors import DeploybotError, UserError

INTERVAL = 3.0
"""Seconds between two messages to one chat: a group takes twenty a minute."""
NOTE = 200
"""How many characters the answer to a press may have."""
_SOON = 0.5
_AT_MOST = 5.0
_FOR_YOU = "This is for you alone. Open a chat with me, press Start, and ask again there."
_THERE = "I answered in our private chat."
log = logging.getLogger(__name__)


class MessageReply:
    """`talk.Room` for one message, whose first answer is tied to it in groups. `me` is the bot's name."""

    platform = "telegram"
    interval = INTERVAL
    edit_interval = INTERVAL

    def __init__(self, post: Post, me: str, reply_to: int = 0) -> None:
        """`reply_to` is the message that is answered, 0 for none."""
        self._post = post
        self._me = me
        self._reply_to = reply_to
        self._told = False

    async def send(self, place: Place, card: Card) -> str:
        """Say a card."""
        return await self._say(place, card)

    async def edit(self, place: Place, message: str, card: Card) -> None:
        """Replace a message."""
        async with self._post.answering(place):
            await self._post.edit(place, message, card)

    async def nod(self, card: Card) -> None:
        """A message has no sign beside itself."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """What is wrong with a command, or everybody sees, is no secret; anything else goes to the private chat."""
        if card.aside or not card.ok:
            await self._say(incoming.place, card, incoming.identity.user)
            return
        try:
            if not self._told:
                await self._post.send(Place("telegram", incoming.identity.user, private=True), card)
                self._told = True
        except Closed:
            button = InlineKeyboardButton("Open a chat with me", url=f"https://t.me/{self._me}")
            await self._post.note(incoming.place, _FOR_YOU, InlineKeyboardMarkup([[button]]), self._reply_to)
        else:
            await self._post.note(incoming.place, _THERE, reply_to=self._reply_to)
        self.said()

    async def _say(self, place: Place, card: Card, owner: str = "") -> str:
        """Say a card; its buttons are for `owner` alone, where one is given."""
        async with self._post.answering(place):
            message = await self._post.send(place, card, reply_to=self._reply_to, owner=owner)
        self.said()
        return message

    def said(self) -> None:
        """Something was said."""
        self._reply_to = 0


class SeenUpdate(MessageReply):
    """The same, with a pair of eyes below the message where the answer takes a while."""

    def __init__(self, post: Post, me: str, reply_to: int, show: Callable[[], None]) -> None:
        """`show` puts the eyes there."""
        super().__init__(post, me, reply_to)
        self._timer = asyncio.get_running_loop().call_later(_SOON, show)

    def said(self) -> None:
        """Something was said, or nothing will be."""
        super().said()
        self._timer.cancel()


class PressReply(MessageReply):
    """The room of a pressed button. Whoever pressed is answered within a second, with the reason of a refusal."""

    def __init__(self, post: Post, me: str, calls: Calls, query: str, spawn: Spawn) -> None:
        """`query` is Telegram's id of the press.

        `open` is whether it may be answered still; `too_late` becomes true where nobody waits for its answer any more.
        """
        super().__init__(post, me)
        self._calls = calls
        self._query = query
        self.open = True
        self.too_late = False
        self._spawn = spawn
        self._timer = asyncio.get_running_loop().call_later(_SOON, self._wait_no_more)

    async def _say(self, place: Place, card: Card, owner: str = "") -> str:
        """Say a card; a refusal that comes at once, and has no more to say, only to whoever pressed."""
        short = card.aside or not (card.code or card.lines or card.table or card.files or card.buttons or card.key)
        if self.open and not card.ok:
            heard = await self.answer(alert_of(card, NOTE), alert=True)
            if short and heard:
                return ""
        return await super()._say(place, card, owner)

    async def nod(self, card: Card) -> None:
        """A note on top of the chat, where it comes at once."""
        await self.answer(alert_of(card, NOTE))

    async def answer(self, text: str = "", *, alert: bool = False, url: str = "") -> bool:
        """Answer the press, once; whether that arrived. That nobody waits for it any more is no reason to stop."""
        if not self.open:
            return False
        self.open = False
        self._timer.cancel()
        try:
            await self._calls.answer(self._query, text, alert=alert, url=url)
        except UserError as error:
            self.too_late = True
            log.info("a press could not be answered: %s", error)
        except DeploybotError as error:
            log.warning("a press was not answered: %s", error)
        else:
            return True
        return False

    def hold(self) -> None:
        """Let whoever pressed wait a little longer: what they are to be told is on its way."""
        self._timer.cancel()
        if self.open:
            self._timer = asyncio.get_running_loop().call_later(_AT_MOST, self._wait_no_more)

    def _wait_no_more(self) -> None:
        self._spawn(self._acknowledge())

    async def _acknowledge(self) -> None:
        await self.answer()
