"""Calls to the Bot API: at the pace Telegram takes, with its errors as ours, and never with the token in a text.

The limits are those of https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this; `Pace` leaves a
margin for the way there, since two messages that leave a second apart may arrive a little less than a second apart.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, TypeVar

import httpx
from telegram import (
    Bot,
    BotCommand,
    BotCommandScope,
    ForceReply,
    InlineKeyboardMarkup,
    InputFile,
    LinkPreviewOptions,
    Message,
    ReplyParameters,
)
from telegram.error import BadRequest, ChatMigrated, Forbidden, InvalidToken, RetryAfter, TelegramError
from telegram.request import HTTPXRequest

from deploybot.chat.rate_limits import Pace, Rate, Urgency
from deploybot.domain import Place
from deploybot.errors import ChannelClosed, Unreachable, UserError
from deploybot.settings import Telegram

T = TypeVar("T")

WHAT = "Telegram"
_WITHIN = 20.0
_UPLOAD_WITHIN = 60.0
_TURN_WITHIN = 25.0
_ANSWER_TRIES = 3
_TOKEN_PAUSE = 60.0
_LONGEST_REST = 3.0
_CONNECTIONS = 16
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_GENERAL = "1"
_OVERALL, _CHAT, _GROUP = Rate(28, 1.0), Rate(1, 1.0), Rate(20, 60.0)
_NO_TOPIC = ("thread not found", "topic_closed", "topic_deleted")
_NO_CHAT = "chat not found"
_NOT_MODIFIED = "message is not modified"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """How fast we speak: in all, in any chat, and in a group besides."""

    overall: Rate = _OVERALL
    chat: Rate = _CHAT
    group: Rate = _GROUP


class ChatMoved(UserError):
    """A group became a supergroup, which has another number."""

    def __init__(self, chat: str) -> None:
        """Take the new number."""
        super().__init__(f"The Telegram group is a supergroup now: {chat}.")
        self.chat = chat


class NoTopic(UserError):
    """The topic is closed or gone."""


class Closed(ChannelClosed):
    """The bot may not write there: it was removed or blocked, or nobody has started a chat with it."""


def make_bot(settings: Telegram, *, poll: float = 0.0, grace: float = 10.0) -> Bot:
    """The library's bot, which connects when it is first used; `poll` is how long a long poll lasts, in seconds."""
    for name in ("httpx", "httpcore"):  # they log addresses, and the token is part of each
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("telegram").setLevel(logging.CRITICAL)  # each of its errors is told here, in a line
    os.environ.setdefault("PTB_TIMEDELTA", "true")  # the library warns of times as numbers, wherever it is told to wait
    tls = {"verify": httpx.create_ssl_context()}  # one for both: each takes most of a megabyte
    calls = HTTPXRequest(_CONNECTIONS, read_timeout=10.0, connect_timeout=5.0, pool_timeout=10.0, httpx_kwargs=tls)
    polls = HTTPXRequest(1, read_timeout=poll + grace, connect_timeout=5.0, pool_timeout=5.0, httpx_kwargs=tls)
    base = settings.api_url
    return Bot(
        settings.token.reveal(),
        base_url=f"{base}/bot",
        base_file_url=f"{base}/file/bot",
        request=calls,
        get_updates_request=polls,
    )


def told(error: BaseException) -> str:
    """What happened, in words without an address or a token."""
    if isinstance(error, BadRequest | Forbidden):
        return error.message
    cause = error.__cause__ or error
    if isinstance(error, TelegramError) and isinstance(cause, TelegramError):
        return f"it answered “{error.message.partition('. Parsing')[0][:100]}”"
    return "no answer in time" if "Time" in type(cause).__name__ else f"the connection failed ({type(cause).__name__})"


class Calls:
    """What the chat does at Telegram. Raises Unreachable to try again, Moved, Closed or UserError for good."""

    def __init__(self, bot: Bot, limits: Limits) -> None:
        """Take the bot and how fast it may speak."""
        self._bot = bot
        self._limits = limits
        self._pace = Pace([limits.overall])
        self._quiet: dict[str, float] = {}

    async def send(
        self,
        place: Place,
        html: str,
        markup: InlineKeyboardMarkup | ForceReply | None = None,
        reply_to: int = 0,
        *,
        urgency: Urgency = Urgency.ANSWER,
    ) -> int:
        """Post a message; its number in its chat. `reply_to` is the number of the message it answers, 0 for none."""

        async def work() -> Message:
            return await self._bot.send_message(
                int(place.channel),
                html,
                parse_mode="HTML",
                reply_markup=markup,
                link_preview_options=_NO_PREVIEW,
                message_thread_id=_topic(place),
                reply_parameters=_reply(reply_to),
            )

        return (await self._said(place.channel, work, urgency=urgency)).message_id

    async def edit(
        self,
        place: Place,
        message: int,
        html: str,
        markup: InlineKeyboardMarkup | None,
        *,
        urgency: Urgency = Urgency.ANSWER,
    ) -> None:
        """Replace a message and its buttons, of which None leaves none; nothing happens where it reads so already."""

        async def work() -> object:
            return await self._bot.edit_message_text(
                html,
                int(place.channel),
                message,
                parse_mode="HTML",
                reply_markup=markup,
                link_preview_options=_NO_PREVIEW,
            )

        try:
            await self._said(place.channel, work, urgency=urgency)
        except UserError as error:
            if _NOT_MODIFIED not in error.sentence.lower():
                raise

    async def document(self, place: Place, name: str, content: bytes | Path, reply_to: int) -> None:
        """Hand over a file, below a message. OSError where it cannot be read."""

        async def work() -> Message:
            handle = io.BytesIO(content) if isinstance(content, bytes) else await asyncio.to_thread(_open, content)
            with handle:
                return await self._bot.send_document(
                    int(place.channel),
                    InputFile(handle, filename=name, read_file_handle=False),
                    disable_content_type_detection=True,
                    message_thread_id=_topic(place),
                    reply_parameters=_reply(reply_to),
                )

        await self._said(place.channel, work, _UPLOAD_WITHIN, urgency=Urgency.CARD)

    async def answer(self, query: str, text: str = "", *, alert: bool = False, url: str = "") -> None:
        """Answer the press of a button: a note for the one who pressed, or an address to open.

        Whoever pressed waits and sees a clock, so it is tried again at once where Telegram fails.
        """

        async def work() -> bool:
            return await self._bot.answer_callback_query(query, text or None, show_alert=alert, url=url or None)

        for left in reversed(range(_ANSWER_TRIES)):
            try:
                await self._tried("", work, _WITHIN)
            except Unreachable as error:
                if not left or error.retry_after > _LONGEST_REST:
                    raise
                await asyncio.sleep(error.retry_after)
            else:
                return

    async def see(self, place: Place, message: int) -> None:
        """Put a pair of eyes below a message: it was seen, and the answer takes a while."""
        await self._tried("", lambda: self._bot.set_message_reaction(int(place.channel), message, "👀"), _WITHIN)

    async def delete(self, place: Place, message: int) -> None:
        """Take a message out of a chat, where the bot may."""
        await self._tried("", lambda: self._bot.delete_message(int(place.channel), message), _WITHIN)

    async def menu(self, scope: BotCommandScope, entries: Sequence[BotCommand]) -> None:
        """Set the menu of commands that a kind of chat shows."""
        await self._tried("", lambda: self._bot.set_my_commands(entries, scope), _WITHIN)

    async def look(self, chat: str) -> None:
        """See that a chat is there."""
        await self._tried("", lambda: self._bot.get_chat(int(chat)), _WITHIN)

    async def _said(
        self, chat: str, work: Callable[[], Awaitable[T]], within: float = _WITHIN, *, urgency: Urgency
    ) -> T:
        """A call that counts as a message: when it is its turn, and unless the chat is to be left alone."""
        self._keep_quiet(chat)
        rates = (self._limits.chat, self._limits.group) if chat.startswith("-") else (self._limits.chat,)
        try:
            async with asyncio.timeout(_TURN_WITHIN):
                await self._pace.turn(chat, *rates, urgency=urgency)
        except TimeoutError:
            raise Unreachable(WHAT, "there is more to say in that chat than it takes", retry_after=1.0) from None
        self._keep_quiet(chat)
        try:
            return await self._tried(chat, work, within)
        finally:
            self._pace.answered(chat, *rates)

    def _keep_quiet(self, chat: str) -> None:
        """Raise Unreachable while Telegram has asked for silence in this chat."""
        left = self._quiet.get(chat, 0.0) - time.monotonic()
        if left > 0:
            raise Unreachable(WHAT, "it asked for a pause", retry_after=left)
        self._quiet.pop(chat, None)

    async def _tried(self, chat: str, work: Callable[[], Awaitable[T]], within: float) -> T:
        """A call, its errors as ours."""
        try:
            async with asyncio.timeout(within):
                return await work()
        except RetryAfter as error:
            seconds = seconds_of(error)
            self._quiet[chat] = time.monotonic() + seconds
            raise Unreachable(WHAT, "it asked for a pause", retry_after=seconds) from None
        except ChatMigrated as error:
            raise ChatMoved(str(error.new_chat_id)) from None
        except InvalidToken:
            raise Unreachable(WHAT, "it does not accept the bot's token", retry_after=_TOKEN_PAUSE) from None
        except Forbidden as error:
            raise Closed(f"Telegram: {told(error)}.") from None
        except BadRequest as error:
            if any(sign in error.message.lower() for sign in _NO_TOPIC):
                raise NoTopic(f"Telegram: {told(error)}.") from None
            if _NO_CHAT in error.message.lower():
                raise Closed(f"Telegram: {told(error)}.") from None
            raise UserError(f"Telegram: {told(error)}.") from None
        except (TelegramError, TimeoutError) as error:
            raise Unreachable(WHAT, told(error)) from None


def seconds_of(error: RetryAfter) -> float:
    """How long Telegram wants to be left alone, and a moment more for the clocks' sake."""
    asked = error.retry_after
    return (asked.total_seconds() if isinstance(asked, timedelta) else float(asked)) + 0.1


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _topic(place: Place) -> int | None:
    """A forum's topic; the general one is said by leaving it out."""
    return int(place.thread) if place.thread and place.thread != _GENERAL else None


def _reply(message: int) -> ReplyParameters | None:
    return ReplyParameters(message, allow_sending_without_reply=True) if message else None
