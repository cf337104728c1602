"""Handle pressed buttons: look up the token, ask for input if needed, and run the command."""

from __future__ import annotations

import dataclasses
import logging

from telegram import CallbackQuery, MaybeInaccessibleMessage, Message

from deploybot.card import Card, Tone
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.message_conversation import Conversation
from deploybot.chat.telegram.forced_replies import PromptQuestion, Prompts
from deploybot.chat.telegram.inline_keyboard import read_data
from deploybot.chat.telegram.telegram_api import Calls
from deploybot.chat.telegram.telegram_connection import TelegramConnection
from deploybot.chat.telegram.telegram_incoming import channel_of, identity_of, name_of
from deploybot.chat.telegram.telegram_posting import Post, Spawn
from deploybot.chat.telegram.telegram_rendering import alert_of
from deploybot.chat.telegram.telegram_reply_target import NOTE, PressReply
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import StoreError, Unreachable, UserError

_NO_DATABASE = "My database does not answer, so I do not know what this button does."
_CANNOT_ASK = "I cannot ask you anything just now. Press again in a minute."
_ASK = {"because": "Why?", "code": "Your one-time code?"}
log = logging.getLogger(__name__)


class Presses:
    """Handles presses. They carry no timestamp: a press is too old if Telegram rejects the answer to it."""

    def __init__(
        self,
        calls: Calls,
        *,
        post: Post,
        button_tokens: ButtonTokens,
        questions: Prompts,
        parts: Parts,
        line: TelegramConnection,
        spawn: Spawn,
    ) -> None:
        self._calls = calls
        self._post = post
        self._button_tokens = button_tokens
        self._questions = questions
        self._parts = parts
        self._line = line
        self._spawn = spawn

    async def take(self, query: CallbackQuery, *, late: bool) -> None:
        """Handle one press. `late` is whether it may have waited while the bot was not running."""
        message = query.message
        if query.from_user.is_bot or message is None:
            return
        channel = _channel(message)
        room = PressReply(
            self._post, self._line.me.name, self._questions, calls=self._calls, query=query.id, spawn=self._spawn
        )
        try:
            await self._obey(query, channel, message, room, late=late)
        except StoreError:
            await self._refuse(channel, message.message_id, room, Card(title=_NO_DATABASE))
        except UserError as refusal:
            await self._refuse(channel, message.message_id, room, Card(title=refusal.sentence, hint=refusal.hint))
        except Unreachable as error:
            log.warning("Telegram: a question could not be asked: %s", error)
            await room.answer(_CANNOT_ASK, alert=True)
        finally:
            await room.answer()

    async def _obey(
        self, query: CallbackQuery, channel: Channel, message: MaybeInaccessibleMessage, room: PressReply, *, late: bool
    ) -> None:
        """Look up what the button does, and do it. Raises UserError if the button no longer works."""
        data = read_data(query.data or "")
        if data.owner not in {"", str(query.from_user.id)}:
            raise UserError("This question is for someone else.", hint="Type the command yourself.")
        press = await self._button_tokens.press(data.token, channel.id, str(message.message_id))
        if data.asks:
            question = PromptQuestion(
                user=query.from_user.id,
                name=name_of(query.from_user),
                press=press,
                channel=channel,
                card=message.message_id,
                asks=data.asks,
                text=data.question or _ASK[data.asks],
                aside=data.asks == "code" or message.chat.type == "channel",
            )
            await self._ask(question, room)
            return
        if late and not await room.answer() and room.too_late:
            await self._stale(query, channel, message.message_id)
            return
        if press.is_pick:
            room.picker = str(message.message_id)
        incoming = Incoming(
            identity=identity_of(query.from_user),
            channel=self._post.known(channel),
            text=press.command,
            id=f"press {query.id}",
            at=self._parts.clock.now(),
            name=name_of(query.from_user),
            press=press.hash,
            can_pick=True,
        )
        await Conversation(room, incoming).answer(self._parts)

    async def _refuse(self, channel: Channel, message: int, room: PressReply, card: Card) -> None:
        """Show the person why nothing was done. If only they can't see it, post it below the message."""
        if room.open and (await room.answer(alert_of(card, NOTE), alert=True) or room.too_late):
            return
        await self._post.send(channel, dataclasses.replace(card, tone=Tone.WARN), reply_to=message)

    async def _ask(self, question: PromptQuestion, room: PressReply) -> None:
        """Ask below the card or in the private chat, which the person may have to open first."""
        room.hold()
        if not await self._questions.ask(question):
            await room.answer(url=f"https://t.me/{self._line.me.name}?start={question.ticket}")
        elif question.aside and not question.channel.private:
            await room.answer("I asked you in our private chat.")

    async def _stale(self, query: CallbackQuery, channel: Channel, message: int) -> None:
        """Report a press that was ignored because it was made while the bot was not running."""
        log.info("ignored a button that was pressed while the bot was offline")
        name = name_of(query.from_user)
        title = f"A button was pressed here while I was offline, so I ignored it ({name})."
        card = Card(title=title, hint="Press it again if you still want it.")
        await self._post.send(channel, card, reply_to=message)


def _channel(message: MaybeInaccessibleMessage) -> Channel:
    if isinstance(message, Message):
        return channel_of(message)
    return Channel("telegram", str(message.chat.id), private=message.chat.type == "private")
