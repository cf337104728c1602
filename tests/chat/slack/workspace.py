"""A workspace in which the bot is: the real adapter and dispatcher, and the double in place of Slack."""

from __future__ import annotations

import asyncio
import random
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

from deploybot import Card
from deploybot.backoff import Backoff
from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.chat_dependencies import Parts
from deploybot.chat.slack.oauth_scopes import HOOK
from deploybot.chat.slack.slack_chat import SlackChat
from deploybot.chat.slack.slack_settings import SlackSettings
from deploybot.chat.slack.slack_timeouts import Times
from deploybot.chat.unwritable_channels import Closed, no_report
from deploybot.command import Command
from deploybot.domain import Channel, Identity
from deploybot.http_server import WebServer
from deploybot.ports import Tables
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, TEAM, SlackDouble
from tests.doubles.timeline import Post
from tests.kit.command_bot import CommandBot, open_command_bot
from tests.kit.seeds import new_seed

SEED = new_seed()
ROOM = "C0OPS00"
PEOPLE = {"UANA": "ana", "UBEN": "ben", "UCEM": "cem"}
SIGNING_SECRET = "0123456789abcdef0123456789abcdef"
QUICK = Times(ping=0.5, look=0.1, linger=0.3, retry=Backoff(0.02, 0.2), hurry=25.0, renew=0.05)


def dice() -> random.Random:
    """What the seed gives; the seed is printed."""
    tell(f"SEED={SEED}")
    return random.Random(SEED)


def tell(line: str) -> None:
    """Print a line, under what a test measured."""
    print(line, file=sys.stderr)  # noqa: T201  it is told to whoever runs it


async def until(condition: Callable[[], object], *, within: float = 20.0) -> None:
    """Look every few milliseconds whether something is so."""
    async with asyncio.timeout(within):
        while True:
            if condition():
                return
            await asyncio.sleep(0.005)


def settings_for(double: SlackDouble, *, http: bool = False, bot_token: str = BOT_TOKEN) -> SlackSettings:
    """`[slack]` of bot.toml with its secrets filled in."""
    way = {"signing_secret": {"env": "SIGNING"}} if http else {"app_token": {"env": "APP"}}
    made = SlackSettings.model_validate(
        {"bot_token": {"env": "BOT"}, **way, "api_url": double.api_url, "channel": f"slack:{ROOM}"}
    )
    made.bot_token.fill(bot_token)
    if made.app_token is not None:
        made.app_token.fill(APP_TOKEN)
    if made.signing_secret is not None:
        made.signing_secret.fill(SIGNING_SECRET)
    return made


@dataclass
class Workspace:
    """The double, the chat under test, and what is behind it."""

    double: SlackDouble
    bot: CommandBot
    slack: SlackChat
    desk: ButtonTokens
    server: WebServer | None = None

    async def say(self, text: str, user: str = "UANA", channel: str = ROOM, *, thread: str = "") -> str:
        """Write a message or a slash command."""
        return await self.double.say(user, channel, text, thread=thread)

    async def reads(self, *words: str, channel: str = "", within: float = 20.0) -> Post:
        """The newest message of the bot that says all of this."""

        def fits(post: Post) -> bool:
            return (
                post.author == "deploybot"
                and channel in {"", post.channel}
                and all(word in post.text for word in words)
            )

        return await self.double.timeline.until(fits, within=within)

    async def ask(self, text: str, *words: str, user: str = "UANA", channel: str = ROOM) -> Post:
        """Say something, and read the answer with these words."""
        await self.say(text, user, channel)
        return await self.reads(*words)

    async def rest(self) -> None:
        """Return when the bot is at work on nothing any more."""
        async with asyncio.timeout(60):
            while tasks := self.slack._tasks:
                await asyncio.wait(tasks)

    @property
    def posts(self) -> list[Post]:
        """What the bot said, in order."""
        return [post for post in self.double.timeline.posts if post.author == "deploybot"]

    async def send(self, card: Card, channel: Channel | None = None) -> Post:
        """Send a card as the outbox does; what people see of it."""
        channel = channel or Channel("slack", ROOM)
        message = await self.slack.send(channel, card)
        return self.shown(message, channel.id)

    def shown(self, message: str, channel: str = ROOM) -> Post:
        """A message as people see it now."""
        return next(post for post in self.double.timeline.posts if (post.channel, post.id) == (channel, message))


@asynccontextmanager
async def open_workspace(
    *commands: Command,
    http: bool = False,
    enterprise: str = "",
    prepare: Callable[[SlackDouble], None] = lambda _: None,
    times: Times = QUICK,
    ready: bool = True,
    homes: tuple[str, ...] = (),
    closed: Closed = no_report,
) -> AsyncIterator[Workspace]:
    """A workspace with the bot in it; it ends with a look at what the double did not like."""
    async with open_command_bot(*commands) as bot:
        double = SlackDouble(now=bot.clock.now, enterprise=enterprise)
        for user, name in PEOPLE.items():
            double.user(user, name)
        double.web.rates.hurry = times.hurry
        await double.start()
        prepare(double)
        await bot.store.write(lambda tables: _link(tables, enterprise or TEAM))
        made = await _open(double, bot, http=http, times=times, homes=homes, closed=closed)
        try:
            if ready and not http:
                async with asyncio.timeout(20):
                    await double.wire.connected.wait()
            yield made
        finally:
            await made.slack.close()
            if made.server is not None:
                await made.server.close()
            await double.close()
        assert double.violations == []


async def _open(
    double: SlackDouble, bot: CommandBot, *, http: bool, times: Times, homes: tuple[str, ...], closed: Closed
) -> Workspace:
    parts = Parts(
        handle=bot.dispatcher.handle,
        complete=bot.dispatcher.complete,
        recall=_nothing,
        clock=bot.clock,
        bot="0.0",
        commands=bot.services.commands,
    )
    desk = ButtonTokens(bot.store, bot.clock, "slack")
    server = WebServer("127.0.0.1:0", dict) if http else None
    slack = SlackChat(settings_for(double, http=http), parts, desk, server, times=times, homes=homes, closed=closed)
    await slack.start()
    if server is not None:
        await server.start()
        double.wire.hook = f"http://{server.address}{HOOK}"
        double.wire.signing_secret = SIGNING_SECRET
    return Workspace(double, bot, slack, desk, server)


def _link(tables: Tables, team: str) -> None:
    for user, name in PEOPLE.items():
        person = tables.people.named(name)
        assert person is not None
        tables.people.link(person.id, Identity("slack", user, team))


async def _nothing(key: str) -> Card | None:
    del key
    return None
