"""Calls to the Bot API: rate-limited, with our own errors, and never with the token in a text.

The limits are from https://core.telegram.org/bots/faq#my-bot-is-hitting-limits-how-do-i-avoid-this. `Pace` keeps a
margin for network delay: two messages sent a second apart can arrive a little closer together.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
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

from deploybot.backoff import RequestedPauses
from deploybot.chat.rate_limits import Pace, Rate, Urgency
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.domain import Channel
from deploybot.errors import ChannelClosed, Unreachable, UserError

T = TypeVar("T")

WHAT = "Telegram"
_WITHIN = 20.0
_UPLOAD_WITHIN = 60.0
_SLOWEST = 100_000.0
"""Bytes a second: a slower upload is cancelled."""
_TURN_WITHIN = 25.0
_ANSWER_TRIES = 3
_TOKEN_PAUSE = 60.0
_LONGEST_REST = 3.0
_CONNECTIONS = 16
_NO_PREVIEW = LinkPreviewOptions(is_disabled=True)
_GENERAL = "1"
_OVERALL, _CHAT, _GROUP = Rate(28, 1.0), Rate(1, 1.0), Rate(20, 60.0)
_NO_TOPIC = ("thread not found", "topic_closed", "topic_deleted")
_NO_CHAT = ("chat not found", "not enough rights", "have no rights", "chat_write_forbidden", "chat_restricted")
_NOT_MODIFIED = "message is not modified"
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Limits:
    """The rate limits: overall, per chat, and per group in addition."""

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
    """The topic is closed or deleted."""


class Closed(ChannelClosed):
    """The bot can't write there: it was removed or blocked, or the person never started a chat with it."""


def make_bot(settings: Telegram, *, poll: float = 0.0, grace: float = 10.0) -> Bot:
    """Return the library's bot, which connects on first use. `poll` is the length of a long poll in seconds."""
    for name in ("httpx", "httpcore"):  # they log URLs that contain the token
        logging.getLogger(name).setLevel(logging.WARNING)
    logging.getLogger("telegram").setLevel(logging.CRITICAL)  # its errors are logged here, in one line each
    os.environ.setdefault("PTB_TIMEDELTA", "true")  # without it, the library warns about times that are numbers
    tls = {"verify": httpx.create_ssl_context()}  # one context for both: each takes most of a megabyte
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


def error_text(error: BaseException) -> str:
    """Return an error as text without a URL or a token."""
    if isinstance(error, BadRequest | Forbidden):
        return error.message
    cause = error.__cause__ or error
    if isinstance(error, TelegramError) and isinstance(cause, TelegramError):
        return f"it answered “{error.message.partition('. Parsing')[0][:100]}”"
    return "no answer in time" if "Time" in type(cause).__name__ else f"the connection failed ({type(cause).__name__})"


class Calls:
    """Calls of the Bot API. They raise Unreachable if a retry may help, else ChatMoved, Closed or UserError."""

    def __init__(self, bot: Bot, limits: Limits) -> None:
        """Take the bot and its rate limits."""
        self._bot = bot
        self._limits = limits
        self._pace = Pace([limits.overall])
        self._pauses = RequestedPauses()

    async def send(
        self,
        channel: Channel,
        html: str,
        markup: InlineKeyboardMarkup | ForceReply | None = None,
        reply_to: int = 0,
        *,
        urgency: Urgency = Urgency.ANSWER,
    ) -> int:
        """Post a message. Return its number in its chat. `reply_to` is the number of the message it answers, or 0."""

        async def work() -> Message:
            return await self._bot.send_message(
                int(channel.id),
                html,
                parse_mode="HTML",
                reply_markup=markup,
                link_preview_options=_NO_PREVIEW,
                message_thread_id=_topic(channel),
                reply_parameters=_reply(reply_to),
            )

        return (await self._paced(channel.id, work, urgency=urgency)).message_id

    async def edit(
        self,
        channel: Channel,
        message: int,
        html: str,
        markup: InlineKeyboardMarkup | None,
        *,
        urgency: Urgency = Urgency.ANSWER,
    ) -> None:
        """Replace a message and its buttons; None removes them. An unchanged message is no error."""

        async def work() -> object:
            return await self._bot.edit_message_text(
                html,
                int(channel.id),
                message,
                parse_mode="HTML",
                reply_markup=markup,
                link_preview_options=_NO_PREVIEW,
            )

        try:
            await self._paced(channel.id, work, urgency=urgency)
        except UserError as error:
            if _NOT_MODIFIED not in error.sentence.lower():
                raise

    async def document(self, channel: Channel, name: str, content: bytes | Path, reply_to: int) -> None:
        """Send a file as a reply to a message. Raises OSError if the file can't be read."""

        async def work() -> Message:
            handle = io.BytesIO(content) if isinstance(content, bytes) else await asyncio.to_thread(_open, content)
            with handle:
                return await self._bot.send_document(
                    int(channel.id),
                    InputFile(handle, filename=name, read_file_handle=False),
                    disable_content_type_detection=True,
                    message_thread_id=_topic(channel),
                    reply_parameters=_reply(reply_to),
                )

        size = len(content) if isinstance(content, bytes) else (await asyncio.to_thread(content.stat)).st_size
        await self._paced(channel.id, work, _UPLOAD_WITHIN + size / _SLOWEST, urgency=Urgency.CARD)

    async def answer(self, query: str, text: str = "", *, alert: bool = False, url: str = "") -> None:
        """Answer the press of a button with a note for the person, or with a URL to open.

        The person waits and sees a clock, so a failed answer is retried at once.
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

    async def see(self, channel: Channel, message: int) -> None:
        """React to a message with 👀: it was seen, and the answer takes a while."""
        await self._tried("", lambda: self._bot.set_message_reaction(int(channel.id), message, "👀"), _WITHIN)

    async def delete(self, channel: Channel, message: int) -> None:
        """Delete a message if the bot is allowed to."""
        await self._tried("", lambda: self._bot.delete_message(int(channel.id), message), _WITHIN)

    async def menu(self, scope: BotCommandScope, entries: Sequence[BotCommand]) -> None:
        """Set the command menu of a kind of chat."""
        await self._tried("", lambda: self._bot.set_my_commands(entries, scope), _WITHIN)

    async def look(self, chat: str) -> None:
        """Check that a chat exists."""
        await self._tried("", lambda: self._bot.get_chat(int(chat)), _WITHIN)

    async def _paced(
        self, chat: str, work: Callable[[], Awaitable[T]], within: float = _WITHIN, *, urgency: Urgency
    ) -> T:
        """Make a call that counts as a message. It waits for the rate limits, and fails during a requested pause."""
        self._pauses.check(WHAT, chat)
        rates = (self._limits.chat, self._limits.group) if chat.startswith("-") else (self._limits.chat,)
        try:
            async with asyncio.timeout(_TURN_WITHIN):
                await self._pace.turn(chat, *rates, urgency=urgency)
        except TimeoutError:
            raise Unreachable(WHAT, "too many messages for that chat", retry_after=1.0) from None
        self._pauses.check(WHAT, chat)
        try:
            return await self._tried(chat, work, within)
        finally:
            self._pace.answered(chat, *rates)

    async def _tried(self, chat: str, work: Callable[[], Awaitable[T]], within: float) -> T:
        """Make a call, and turn its errors into our own."""
        try:
            async with asyncio.timeout(within):
                return await work()
        except RetryAfter as error:
            seconds = seconds_of(error)
            self._pauses.note(chat, seconds)
            raise Unreachable(WHAT, "it asked the bot to slow down", retry_after=seconds) from None
        except ChatMigrated as error:
            raise ChatMoved(str(error.new_chat_id)) from None
        except InvalidToken:
            raise Unreachable(WHAT, "it rejected the bot's token", retry_after=_TOKEN_PAUSE) from None
        except Forbidden as error:
            raise Closed(f"Telegram: {error_text(error)}.") from None
        except BadRequest as error:
            if any(sign in error.message.lower() for sign in _NO_TOPIC):
                raise NoTopic(f"Telegram: {error_text(error)}.") from None
            if any(sign in error.message.lower() for sign in _NO_CHAT):
                raise Closed(f"Telegram: {error_text(error)}.") from None
            raise UserError(f"Telegram: {error_text(error)}.") from None
        except (TelegramError, TimeoutError) as error:
            raise Unreachable(WHAT, error_text(error)) from None


def seconds_of(error: RetryAfter) -> float:
    """Return how long Telegram wants a pause, plus 0.1 seconds for clock differences."""
    asked = error.retry_after
    return (asked.total_seconds() if isinstance(asked, timedelta) else float(asked)) + 0.1


def _open(path: Path) -> IO[bytes]:
    return path.open("rb")


def _topic(channel: Channel) -> int | None:
    """Return the forum topic of a channel, or None for the general topic."""
    return int(channel.thread) if channel.thread and channel.thread != _GENERAL else None


def _reply(message: int) -> ReplyParameters | None:
    return ReplyParameters(message, allow_sending_without_reply=True) if message else None
