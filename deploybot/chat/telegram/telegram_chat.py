"""Telegram as a chat: each incoming message goes to the dispatcher in a separate task; cards are sent."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from functools import partial
from typing import TYPE_CHECKING

from telegram import Message, Update
from telegram.error import TelegramError

from deploybot.bounded_memory import SeenKeys
from deploybot.card import Card
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.message_conversation import Conversation
from deploybot.chat.resumed_uploads import Uploads
from deploybot.chat.telegram.button_presses import Presses
from deploybot.chat.telegram.command_menu import menus
from deploybot.chat.telegram.forced_replies import ANSWER_WITHIN, PromptQuestion, Prompts, command_of, is_question
from deploybot.chat.telegram.telegram_api import Calls, Limits, make_bot
from deploybot.chat.telegram.telegram_connection import PATH, PollingTimeouts, TelegramConnection
from deploybot.chat.telegram.telegram_escaping import literal
from deploybot.chat.telegram.telegram_incoming import (
    channel_of,
    holds_code,
    identity_of,
    is_hidden,
    meant,
    name_of,
    sender,
    start_payload,
)
from deploybot.chat.telegram.telegram_posting import Post
from deploybot.chat.telegram.telegram_reply_target import INTERVAL, SeenUpdate
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.chat.unwritable_channels import Closed, no_report
from deploybot.command import Incoming
from deploybot.domain import Channel
from deploybot.errors import DeploybotError, StoreError, Unreachable
from deploybot.ports import Store

if TYPE_CHECKING:
    from deploybot.http_server import WebServer

_STOP_WITHIN = 2.0
_LET_GO_WITHIN = 1.0
_REMEMBERED = 1_000
_PAUSES = (1.0, 5.0, 30.0, 120.0)
_NOT_YOURS = "That question has expired or was for someone else. Press the button or send the command again."
_HIDDEN = (
    "You post as the group, so I cannot identify you and did nothing. "
    "Switch off “Remain anonymous” in your rights as an administrator here, or write to me in private."
)
_LIMITS = Limits()
_TIMEOUTS = PollingTimeouts()
log = logging.getLogger(__name__)


class TelegramChat:
    """The `ports.LiveChat` for Telegram.

    It uses long polls. With `settings.webhook_secret` it uses a webhook: `server` receives the updates, and `url` is
    its public URL. `homes` are the chats named in bot.toml; `closed` is called for each one in which the bot can't
    write. `limits`, `timeouts` and `answer_within` (seconds for the answer to a button's question) are for tests.
    """

    platform = "telegram"
    interval = INTERVAL

    def __init__(
        self,
        settings: Telegram,
        parts: Parts,
        store: Store,
        *,
        server: WebServer | None = None,
        url: str = "",
        homes: Sequence[str] = (),
        closed: Closed = no_report,
        limits: Limits = _LIMITS,
        timeouts: PollingTimeouts = _TIMEOUTS,
        answer_within: float = ANSWER_WITHIN,
    ) -> None:
        """Create the parts without connecting."""
        self._parts = parts
        self._homes = homes
        self._hidden = SeenKeys(_REMEMBERED, forget_after=300.0)
        self._bot = make_bot(settings, poll=timeouts.poll, grace=timeouts.grace)
        self._calls = Calls(self._bot, limits)
        self._tasks: set[asyncio.Task[None]] = set()
        self._introduction: asyncio.Task[None] | None = None
        button_tokens = ButtonTokens(store, parts.clock, self.platform)
        self._post = Post(self._calls, button_tokens, self._spawn, Uploads(store, parts.clock, self.platform), closed)
        self._questions = Prompts(self._calls, self._spawn, answer_within)
        secret = settings.webhook_secret.reveal() if settings.webhook_secret and server else ""
        self._line = TelegramConnection(
            self._bot, self._take, self._meet, timeouts=timeouts, url=url if secret else "", secret=secret
        )
        self._presses = Presses(
            self._calls,
            post=self._post,
            button_tokens=button_tokens,
            questions=self._questions,
            parts=parts,
            line=self._line,
            spawn=self._spawn,
        )
        if secret and server is not None:
            server.add_post(PATH, self._line.receive)

    @property
    def problem(self) -> str:
        """Return why no messages are received, and the fix; "" if there is no problem."""
        return self._line.problem

    async def start(self) -> None:
        """Start to connect in the background."""
        self._line.start()

    async def close(self) -> None:
        """Stop listening. Running answers get a moment to end."""
        await self._line.close()
        self._questions.close()
        if self._introduction is not None:
            self._introduction.cancel()
        for wait in (_STOP_WITHIN, _LET_GO_WITHIN):
            if self._tasks:
                _, late = await asyncio.wait(self._tasks, timeout=wait)
                for task in late:
                    task.cancel()
        try:
            async with asyncio.timeout(_LET_GO_WITHIN / 2):
                await self._bot.shutdown()
        except (TelegramError, TimeoutError):
            log.warning("the connections to Telegram could not be closed in time")

    async def send(self, channel: Channel, card: Card) -> str:
        """Post a message. Return its id."""
        return await self._post.send(channel, card)

    async def edit(self, channel: Channel, message: str, card: Card) -> None:
        """Replace a message."""
        await self._post.edit(channel, message, card)

    def _meet(self) -> None:
        """Handle Telegram's first answer: set up chats and menus in the background."""
        self._introduction = asyncio.create_task(self._introduce(), name="telegram-introduction")
        self._introduction.add_done_callback(self._ended)

    async def _introduce(self) -> None:
        """Check the chats named in bot.toml and set the menus. A menu may be refused: people can type commands."""
        with contextlib.suppress(StoreError):
            await self._post.resume()
        for chat in dict.fromkeys(self._homes):
            await _patiently(partial(self._post.look, chat))
        for scope, entries in menus(self._parts.commands.values()):
            await _patiently(partial(self._calls.menu, scope, entries))

    def _spawn(self, work: Coroutine[None, None, None]) -> asyncio.Task[None]:
        """Run a coroutine in a separate task. Its errors are logged."""
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._tasks.discard(task)
        if task.cancelled():
            return
        error = task.exception()
        if isinstance(error, DeploybotError):
            log.warning("%s", error)
        elif error is not None:
            log.error("handling a message from Telegram failed", exc_info=error)

    def _take(self, update: Update, late: bool) -> asyncio.Task[None] | None:  # noqa: FBT001  the signature of `Take`
        """Start to handle an update. Return its task, or None if the update is ignored."""
        if update.callback_query is not None:
            return self._spawn(self._presses.take(update.callback_query, late=late))
        if update.message is not None:
            return self._spawn(self._receive(update.message))
        return None

    async def _receive(self, message: Message) -> None:
        """Handle a message: an answer to a question, a command, or something to ignore."""
        if message.migrate_to_chat_id:
            self._post.moved(str(message.chat.id), str(message.migrate_to_chat_id))
            return
        user = sender(message)
        if user is None:
            await self._turn_away(message)
            return
        if is_question(message):
            await self._answered(message, self._questions.answered(message, user))
            return
        ticket = start_payload(message)
        if ticket and await self._questions.redeem(ticket, message, user):
            return
        text = meant(message, self._line.me)
        if text is not None:
            if holds_code(text):
                self._spawn(self._hide(message))
            await self._obey(message, self._incoming(message, text, channel_of(message)))

    async def _turn_away(self, message: Message) -> None:
        """Explain to an anonymous administrator why a command was ignored, at most every five minutes per chat."""
        asked = is_hidden(message) and (message.text or "").startswith("/") and meant(message, self._line.me)
        if asked and self._hidden.first_time(message.chat.id, self._parts.clock.now()):
            await self._post.note(channel_of(message), literal(_HIDDEN), reply_to=message.message_id)

    async def _hide(self, message: Message) -> None:
        """Delete a message with a one-time code if the bot is allowed to."""
        try:
            await self._calls.delete(channel_of(message), message.message_id)
        except DeploybotError as error:
            log.info("a one-time code could not be deleted from a chat: %s", error)

    async def _answered(self, message: Message, question: PromptQuestion | None) -> None:
        """Run the command that an answer completes. Its result is posted where the button was."""
        if question is None:
            await self._post.note(channel_of(message), literal(_NOT_YOURS), reply_to=message.message_id)
            return
        if question.asks == "code":
            self._spawn(self._hide(message))
        text = command_of(question, message.text or "")
        incoming = self._incoming(message, text, question.channel, press=question.press.hash)
        same = question.channel.id == str(message.chat.id)
        await self._obey(message, incoming, reply_to=message.message_id if same else question.card)

    def _incoming(self, message: Message, text: str, channel: Channel, press: str = "") -> Incoming:
        user = message.from_user
        assert user is not None  # noqa: S101  `sender` has checked it
        known = self._post.known(channel)
        # Messages of the supergroup that a group became are numbered from 1 again.
        elsewhere = "" if known.id == str(message.chat.id) else f"{message.chat.id}/"
        return Incoming(
            identity=identity_of(user),
            channel=known,
            text=text,
            id=f"{elsewhere}{message.message_id}",
            at=message.date.timestamp(),
            name=name_of(user),
            press=press,
            can_pick=True,
        )

    async def _obey(self, message: Message, incoming: Incoming, reply_to: int = 0) -> None:
        """Run a command. If the answer takes a while, react to the message."""

        def show() -> None:
            self._spawn(self._see(channel_of(message), message.message_id))

        tied = reply_to or (0 if incoming.channel.private else message.message_id)
        room = SeenUpdate(self._post, self._line.me.name, self._questions, tied, show)
        try:
            await Conversation(room, incoming).answer(self._parts)
        finally:
            room.answered()

    async def _see(self, channel: Channel, message: int) -> None:
        try:
            await self._calls.see(channel, message)
        except DeploybotError as error:
            log.debug("Telegram: a reaction was refused: %s", error)


async def _patiently(work: Callable[[], Awaitable[None]]) -> None:
    """Run a background call. Retry it while Telegram does not answer."""
    for pause in _PAUSES:
        try:
            await work()
        except Unreachable as error:
            await asyncio.sleep(error.retry_after or pause)
        except DeploybotError as error:
            log.warning("%s", error)
            return
        else:
            return
    log.warning("Telegram: a chat was not checked or a menu not set, because Telegram did not answer")
