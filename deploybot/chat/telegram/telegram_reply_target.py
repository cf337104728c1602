"""The targets for answers to one message or one pressed button.

A group has no messages for one person alone. So problems with a command are posted in the group below the command, with
buttons that only its sender may press. Private answers go to the private chat. An immediate refusal after a press is
shown to the person in Telegram's own pop-up note.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

from telegram import InlineKeyboardButton, InlineKeyboardMarkup

from deploybot.card import Card
from deploybot.chat.button_tokens import Press
from deploybot.chat.telegram.forced_replies import PromptQuestion, Prompts
from deploybot.chat.telegram.telegram_api import Calls, Closed
from deploybot.chat.telegram.telegram_posting import Post, Spawn
from deploybot.chat.telegram.telegram_rendering import alert_of
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, UserError

INTERVAL = 3.0
"""Seconds between two messages to one chat: a group accepts twenty a minute."""
NOTE = 200
"""The maximum number of characters in the answer to a press."""
_SOON = 0.5
_AT_MOST = 5.0
_FOR_YOU = "I can show you this only in private. Open a chat with me, press Start, and ask again there."
_THERE = "I answered in our private chat."
log = logging.getLogger(__name__)


class MessageReply:
    """A `ReplyRoom` for one message. In groups, its first answer is a reply to it. `me` is the bot's name."""

    platform = "telegram"
    interval = INTERVAL
    edit_interval = INTERVAL

    def __init__(self, post: Post, me: str, questions: Prompts, reply_to: int = 0) -> None:
        """`reply_to` is the message that is answered, 0 for none."""
        self._post = post
        self._me = me
        self._questions = questions
        self._reply_to = reply_to
        self._whispered = False

    async def send(self, channel: Channel, card: Card) -> str:
        """Post a card. In a private chat, its person is the one to ask for a reason."""
        if card.asks_reason and channel.private:
            return await self._ask(channel, card, channel.id)
        return await self._post_card(channel, card)

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message."""
        async with self._post.answering(channel):
            await self._post.edit(channel, message, card)

    async def nod(self, card: Card) -> None:
        """Do nothing: there is no press to confirm."""

    async def whisper(self, incoming: Incoming, card: Card) -> None:
        """Answer in the private chat. Problems and `aside` cards are not secret: post them where the command was."""
        if card.aside or not card.ok:
            user = incoming.identity.user
            if card.asks_reason:
                await self._ask(incoming.channel, card, user, incoming.name)
            else:
                await self._post_card(incoming.channel, card, user)
            return
        try:
            if not self._whispered:
                await self._post.send(Channel("telegram", incoming.identity.user, private=True), card)
                self._whispered = True
        except Closed:
            button = InlineKeyboardButton("Open a chat with me", url=f"https://t.me/{self._me}")
            await self._post.note(incoming.channel, _FOR_YOU, InlineKeyboardMarkup([[button]]), self._reply_to)
        else:
            await self._post.note(incoming.channel, _THERE, reply_to=self._reply_to)
        self.answered()

    async def _ask(self, channel: Channel, card: Card, user: str, name: str = "") -> str:
        """Ask a person for the reason that the card's button takes. No card is posted."""
        question = PromptQuestion(
            user=int(user),
            name=name,
            press=Press("", card.buttons[0].command),
            channel=channel,
            card=self._reply_to,
            asks="because",
            text=f"{card.title} {card.buttons[0].asks}",
            hint=card.hint,
        )
        await self._questions.ask(question)
        self.answered()
        return ""

    async def _post_card(self, channel: Channel, card: Card, owner: str = "") -> str:
        """Post a card. If `owner` is given, only that user may press its buttons."""
        async with self._post.answering(channel):
            message = await self._post.send(channel, card, reply_to=self._reply_to, owner=owner)
        self.answered()
        return message

    def answered(self) -> None:
        """Note that an answer was posted: further ones are not replies."""
        self._reply_to = 0


class SeenUpdate(MessageReply):
    """The same, with a 👀 reaction to the message if the answer takes a while."""

    def __init__(self, post: Post, me: str, questions: Prompts, reply_to: int, show: Callable[[], None]) -> None:
        """`show` adds the reaction."""
        super().__init__(post, me, questions, reply_to)
        self._timer = asyncio.get_running_loop().call_later(_SOON, show)

    def answered(self) -> None:
        """Note that an answer was posted, or that none will come."""
        super().answered()
        self._timer.cancel()


class PressReply(MessageReply):
    """The target for a pressed button. The press is answered within a second, a refusal with its reason."""

    picker = ""
    """The id of the pressed message if it is a picker: the next one replaces it."""

    def __init__(self, post: Post, me: str, questions: Prompts, *, calls: Calls, query: str, spawn: Spawn) -> None:
        """`query` is Telegram's id of the press.

        `open` is whether it can still be answered. `too_late` becomes true if Telegram no longer accepts an answer.
        """
        super().__init__(post, me, questions)
        self._calls = calls
        self._query = query
        self.open = True
        self.too_late = False
        self._spawn = spawn
        self._timer = asyncio.get_running_loop().call_later(_SOON, self._wait_no_more)

    async def _ask(self, channel: Channel, card: Card, user: str, name: str = "") -> str:
        """Ask below the pressed picker, whose buttons go."""
        if self.picker:
            self._reply_to = int(self.picker)
            await self._replace_picker(channel, replace(card, buttons=()), user)
        return await super()._ask(channel, card, user, name)

    async def _post_card(self, channel: Channel, card: Card, owner: str = "") -> str:
        """Post a card. An immediate short refusal is shown only to the person who pressed."""
        if card.picks and self.picker:
            return await self._replace_picker(channel, card, owner)
        short = card.aside or not (card.code or card.lines or card.table or card.files or card.buttons or card.key)
        if self.open and not card.ok:
            received = await self.answer(alert_of(card, NOTE), alert=True)
            if short and received:
                return ""
        return await super()._post_card(channel, card, owner)

    async def _replace_picker(self, channel: Channel, card: Card, owner: str) -> str:
        """Show the next picker in place of the pressed one. If that one can't be edited any more, post it."""
        message, self.picker = self.picker, ""
        try:
            async with self._post.answering(channel):
                await self._post.edit(channel, message, card, owner=owner)
        except UserError:
            return await super()._post_card(channel, card, owner)
        return message

    async def nod(self, card: Card) -> None:
        """Show a note on top of the chat, if the press can still be answered."""
        await self.answer(alert_of(card, NOTE))

    async def answer(self, text: str = "", *, alert: bool = False, url: str = "") -> bool:
        """Answer the press once. Return whether the answer arrived. A press that is too old raises no error."""
        if not self.open:
            return False
        self.open = False
        self._timer.cancel()
        try:
            await self._calls.answer(self._query, text, alert=alert, url=url)
        except UserError as error:
            self.too_late = True
            log.info("Telegram: a button press could not be answered: %s", error)
        except DeploybotError as error:
            log.warning("Telegram: a button press was not answered: %s", error)
        else:
            return True
        return False

    def hold(self) -> None:
        """Delay the automatic answer: the real one is being prepared."""
        self._timer.cancel()
        if self.open:
            self._timer = asyncio.get_running_loop().call_later(_AT_MOST, self._wait_no_more)

    def _wait_no_more(self) -> None:
        self._spawn(self._acknowledge())

    async def _acknowledge(self) -> None:
        await self.answer()
