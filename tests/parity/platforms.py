"""Slack and Telegram as ways to the bot, each on its double."""

from __future__ import annotations

import asyncio

from deploybot.chat.button_tokens import ButtonTokens
from deploybot.chat.rate_limits import Rate
from deploybot.chat.slack.slack_chat import SlackChat
from deploybot.chat.slack.slack_settings import SlackSettings
from deploybot.chat.slack.slash_command_names import slash_name
from deploybot.chat.telegram.telegram_api import Limits
from deploybot.chat.telegram.telegram_chat import TelegramChat
from deploybot.chat.telegram.telegram_settings import Telegram as TelegramSettings
from deploybot.domain import Channel, Identity
from deploybot.settings import Secret
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, TEAM, SlackDouble
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.limits import FREE
from tests.doubles.timeline import Post
from tests.kit.command_bot import NUMBERS, STRANGER, CommandBot
from tests.parity.ways import WITHIN, DoubleWay, Message

_FAST = Rate(1_000, 1.0)


class SlackWay(DoubleWay):
    """Slack. `manner` is how people speak there: `slash` command, `mention` in a channel, or `direct` message."""

    def __init__(self, bot: CommandBot, manner: str = "slash") -> None:
        super().__init__(bot)
        self.name, self._manner = f"slack {manner}", manner
        self.double = self._double = SlackDouble(now=bot.clock.now)
        for who in NUMBERS:
            self._double.user(self.user(who), who)
        self.people = frozenset(NUMBERS) | {self.user(STRANGER).lower()}

    @property
    def chat_double(self) -> SlackDouble:
        """The double, with what Slack alone has."""
        return self._double

    async def connect(self) -> None:
        settings = SlackSettings.model_validate(
            {"bot_token": {"env": "B"}, "app_token": {"env": "A"}, "api_url": self._double.api_url}
        )
        settings.bot_token.fill(BOT_TOKEN)
        assert isinstance(settings.app_token, Secret)
        settings.app_token.fill(APP_TOKEN)
        self.chat = SlackChat(settings, self.parts, ButtonTokens(self.bot.store, self.bot.clock, "slack"))
        self._double.wire.connected.clear()
        await self.chat.start()
        async with asyncio.timeout(WITHIN):
            await self._double.wire.connected.wait()

    def user(self, who: str) -> str:
        return f"U{NUMBERS.get(who, who)}"

    def identity(self, who: str) -> Identity:
        return Identity("slack", self.user(who), TEAM)

    def channel(self, where: str) -> Channel:
        return Channel("slack", where, private=where.startswith("D"))

    def new_channel(self) -> str:
        return f"{'D' if self._manner == 'direct' else 'C'}{next(self.numbers):09}"

    async def type(self, who: str, where: str, text: str) -> None:
        if self._manner == "slash":
            name, _, rest = text.partition(" ")
            known = name in self.bot.services.commands
            text = f"{slash_name(name)} {rest}".strip() if known else f"/deploybot {text}"
        elif self._manner == "mention":
            text = f"@deploybot {text}"
        await self._double.say(self.user(who), where, text)

    async def answer(self, who: str, message: Message, text: str) -> Message:
        """In the modal if one is open, else through the button."""
        modal = next((post for post in self.double.timeline.posts if post.id in self._double.state.views), None)
        if modal is None:
            return await super().answer(who, message, text)
        await self.double.press(self.user(who), modal, "Send", answer=text)
        return await self.answered(who, message.where)

    async def press_again(self, who: str, post: Post, label: str) -> None:
        value = next(one.value for one in post.buttons if one.label == label)
        action = {"type": "button", "block_id": "b", "action_id": "run:0:", "value": value}
        trigger = self._double.state.new_trigger(self.user(who), post.channel)
        await self._double.press_raw(self.user(who), post, action, trigger)


class TelegramWay(DoubleWay):
    """Telegram. `manner` is where people speak: with commands in a `group`, by the bot's `name` there, or `private`.

    `hurried` is without the limits of messages a second, where these are not what is tested.
    """

    def __init__(self, bot: CommandBot, manner: str = "group", *, hurried: bool = True) -> None:
        super().__init__(bot)
        self.name, self._manner = f"telegram {manner}", manner
        self.double = self._double = TelegramDouble(FREE if hurried else None)
        self._limits = Limits(_FAST, _FAST, _FAST) if hurried else Limits()
        self.people = frozenset(self._double.user(self.user(who)).name for who in (*NUMBERS, STRANGER))

    @property
    def chat_double(self) -> TelegramDouble:
        """The double, with what Telegram alone has."""
        return self._double

    async def connect(self) -> None:
        settings = TelegramSettings.model_validate({"token": {"env": "T"}, "api_url": self._double.api_url})
        settings.token.fill(self._double.token)
        self.chat = TelegramChat(settings, self.parts, self.bot.store, limits=self._limits)
        await self.chat.start()

    def user(self, who: str) -> str:
        return NUMBERS.get(who, who)

    def identity(self, who: str) -> Identity:
        return Identity("telegram", self.user(who))

    def channel(self, where: str) -> Channel:
        return Channel("telegram", where, private=not where.startswith("-"))

    def new_channel(self) -> str:
        if self._manner == "private":
            return ""
        where = f"-100{next(self.numbers):010}"
        self._double.group(where)
        return where

    async def say(self, who: str, text: str, where: str = "") -> Message:
        return await super().say(who, text, where or self.new_channel() or self.user(who))

    async def type(self, who: str, where: str, text: str) -> None:
        text = f"@{self._double.username} {text}" if self._manner == "name" else f"/{text}"
        await self._double.say(self.user(who), where, text)

    async def answer(self, who: str, message: Message, text: str) -> Message:
        """As a reply to the question."""
        post = await self.double.timeline.until(lambda post: "Reply to this message" in post.text, within=WITHIN)
        await self._double.say(self.user(who), message.where, text, reply_to=post.id)
        return await self.answered(who, message.where)

    async def press_again(self, who: str, post: Post, label: str) -> None:
        value = next(one.value for one in post.buttons if one.label == label)
        await self._double.send_press(self.user(who), post, value)
