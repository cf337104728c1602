"""The production adapter against the Telegram double over loopback, with the whole way in behind it."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field

import pytest

from deploybot.card import Card
from deploybot.chat.chat_dependencies import Parts, Reply
from deploybot.chat.rate_limits import Rate
from deploybot.chat.telegram.telegram_api import Limits
from deploybot.chat.telegram.telegram_chat import TelegramChat
from deploybot.chat.telegram.telegram_connection import PollingTimeouts
from deploybot.chat.telegram.telegram_escaping import JOINER
from deploybot.chat.telegram.telegram_settings import Telegram
from deploybot.chat.unwritable_channels import Closed, no_report
from deploybot.command import Command, Incoming
from deploybot.domain import Channel, Identity
from deploybot.http_server import WebServer
from deploybot.ports import Tables
from deploybot.settings import Secret
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.limits import FREE
from tests.doubles.telegram.rooms import Json
from tests.doubles.timeline import Post
from tests.kit.command_bot import NUMBERS, CommandBot, open_command_bot
from tests.lab import free_port

GROUP = "-1001000000001"
ANA, BEN, CEM = (NUMBERS[name] for name in ("ana", "ben", "cem"))
QUICK = Limits(overall=Rate(10_000, 1.0), chat=Rate(10_000, 1.0), group=Rate(10_000, 1.0))
HASTY = PollingTimeouts(poll=1.0, grace=1.0, first=0.05, rival=0.2, token=0.3, look=0.2, handed=0.05)
HOOK_SECRET = "a secret of the webhook, 24+"


def settings_of(double: TelegramDouble, *, hook: str = "", channel: Channel | None = None) -> Telegram:
    token = Secret(env="TELEGRAM_TOKEN")
    token.fill(double.token)
    secret = Secret(env="TELEGRAM_HOOK") if hook else None
    if secret:
        secret.fill(hook)
    return Telegram(token=token, api_url=double.api_url, webhook_secret=secret, channel=channel)


@dataclass(slots=True)
class TelegramBot:
    """A bot in Telegram, and what happens there. `received` is what dispatch was given."""

    bot: CommandBot
    double: TelegramDouble
    chat: TelegramChat
    received: list[Incoming] = field(default_factory=list)

    async def say(self, user: str, text: str, channel: str = GROUP, *, fields: Json | None = None, **more: str) -> str:
        """Have somebody write, with `fields` in the message besides; the number of their message."""
        return await self.double.say(user, channel, text, **more, **(fields or {}))  # type: ignore[arg-type]

    async def sees(self, text: str, channel: str = "", *, within: float = 10.0) -> Post:
        """The newest message of the bot that holds a text."""
        return await self.double.timeline.until(
            lambda post: (
                post.author == self.double.username
                and text in post.text.replace(JOINER, "")
                and channel in {"", post.channel}
            ),
            within=within,
        )

    def said(self, channel: str = GROUP) -> list[str]:
        """All that the bot has said to everybody in a channel."""
        bot = self.double.username
        return [post.text for post in self.double.timeline.seen_by("", channel) if post.author == bot]

    def all_text(self) -> str:
        """Everything that is to be seen anywhere."""
        return "\n".join(post.text for post in self.double.timeline.posts)

    async def ask(self, user: str, text: str, answer: str, channel: str = GROUP) -> Post:
        """Have somebody write, and wait for the answer."""
        await self.say(user, text, channel)
        return await self.sees(answer, channel)

    async def settled(self, user: str = ANA) -> None:
        """Return when all that was said before was heard: updates come in order, and each is worked on at once."""
        mark = f"help unknown{next(_MARKS)}"
        await self.say(user, f"/{mark}", user)
        await self.sees(mark.partition(" ")[2], user)


_MARKS = itertools.count(1)


def _link(tables: Tables) -> None:
    for name, user in NUMBERS.items():
        person = tables.people.named(name)
        assert person is not None
        tables.people.link(person.id, Identity("telegram", user))


async def no_recall(_: str) -> Card | None:
    return None


@asynccontextmanager
async def open_telegram_bot(
    *more: Command,
    double: TelegramDouble | None = None,
    limits: Limits = QUICK,
    timeouts: PollingTimeouts = HASTY,
    hook: str = "",
    homes: tuple[str, ...] = (),
    closed: Closed = no_report,
    answer_within: float = 60.0,
    started: bool = True,
) -> AsyncIterator[TelegramBot]:
    """Build it, start it, take it down; every limit of Telegram must have been kept."""
    double = double or TelegramDouble(FREE)
    async with AsyncExitStack() as stack:
        stack.push_async_callback(double.close)
        await double.start()
        made = await stack.enter_async_context(open_command_bot(*more))
        made.clock.advance(time.time() - made.clock.now())
        await made.store.write(_link)
        received: list[Incoming] = []

        async def handle(incoming: Incoming, reply: Reply) -> Card | None:
            received.append(incoming)
            return await made.dispatcher.handle(incoming, reply)

        parts = Parts(
            handle=handle,
            complete=made.dispatcher.complete,
            recall=no_recall,
            clock=made.clock,
            bot="0",
            commands=made.services.commands,
        )
        port = free_port()
        server = WebServer(f"127.0.0.1:{port}", dict) if hook else None
        chat = TelegramChat(
            settings_of(double, hook=hook),
            parts,
            made.store,
            server=server,
            url=f"http://127.0.0.1:{port}" if hook else "",
            homes=homes,
            closed=closed,
            limits=limits,
            timeouts=timeouts,
            answer_within=answer_within,
        )
        if server:
            stack.push_async_callback(server.close)
            await server.start()
        stack.push_async_callback(chat.close)
        if started:
            await chat.start()
            await until(lambda: double.inbox.polls > 1 or bool(double.inbox.webhook.url))
        yield TelegramBot(made, double, chat, received)
    assert double.violations == []


@pytest.fixture
async def telegram() -> AsyncIterator[TelegramBot]:
    async with open_telegram_bot() as made:
        yield made


def channel(channel: str = GROUP, thread: str = "") -> Channel:
    return Channel("telegram", channel, thread, private=not channel.startswith("-"))


async def until(condition: Callable[[], bool], *, within: float = 10.0) -> None:
    """Return once it holds; for what has no event to wait for."""
    async with asyncio.timeout(within):
        while not condition():  # noqa: ASYNC110  the double keeps what it was called with, and tells nobody
            await asyncio.sleep(0.01)
