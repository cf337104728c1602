"""Both doubles, with people and rooms in them, and a real bot on the demo's town that is in both chats."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploybot.chat.console.child_bot import OwnBot
from deploybot.demo.demo_setup import DemoSetup, town
from tests.doubles.page import Chat
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, TEAM, SlackDouble
from tests.doubles.telegram import TelegramDouble

CHANNEL, GROUP = "C0DEPLOYS1", "-1001234567890"
PEOPLE = {"ana": ("U0ANA", "1001", "admin"), "ben": ("U0BEN", "1002", "approver"), "cem": ("U0CEM", "1003", "viewer")}
_ALLOWED_WITHIN = 60.0
_CONNECTED_WITHIN = 30.0

_BOT_TOML = """
[slack]
bot_token = {{ file = "keys/slack_bot" }}
app_token = {{ file = "keys/slack_app" }}
channel = "slack:{channel}"
api_url = "{slack}"

[telegram]
token = {{ file = "keys/telegram" }}
channel = "telegram:{group}"
api_url = "{telegram}"
"""


@dataclass(frozen=True, slots=True)
class BotInBothChats:
    """What there is: the doubles, the town that is deployed to, and the bot."""

    slack: SlackDouble
    telegram: TelegramDouble
    town: DemoSetup
    bot: OwnBot

    def chats(self) -> dict[str, Chat]:
        """The same for the page."""
        slack_rooms = {CHANNEL: "# deploys", "D{user}": "deploybot (direct)", "home:{user}": "deploybot (home)"}
        telegram_rooms = {GROUP: "Deploys (group)", "{user}": "deploybot (private)"}
        return {
            "slack": Chat(self.slack, {slack: who for who, (slack, _, _) in PEOPLE.items()}, slack_rooms),
            "telegram": Chat(self.telegram, {number: who for who, (_, number, _) in PEOPLE.items()}, telegram_rooms),
        }


@asynccontextmanager
async def bot_in_both_chats(folder: Path) -> AsyncIterator[BotInBothChats]:
    """Set it all up in an empty folder, and take it away again."""
    slack, telegram = SlackDouble(), TelegramDouble()
    for who, (user, number, _) in PEOPLE.items():
        slack.user(user, who)
        telegram.user(number).name = who
    telegram.group(GROUP).title = "Deploys"
    await slack.start()
    await telegram.start()
    try:
        async with town(folder) as made:
            _configure(made, slack, telegram)
            for who in PEOPLE:
                await _allow(made, who)
            bot = OwnBot(made.command("run"))
            await bot.start()
            try:
                await _connected(slack, telegram)
                yield BotInBothChats(slack, telegram, made, bot)
            finally:
                await bot.stop()
    finally:
        await slack.close()
        await telegram.close()


def _configure(made: DemoSetup, slack: SlackDouble, telegram: TelegramDouble) -> None:
    """Have production want an approval, and add the chats to bot.toml."""
    for name, token in {"slack_bot": BOT_TOKEN, "slack_app": APP_TOKEN, "telegram": telegram.token}.items():
        file = made.folder / "keys" / name
        file.touch(mode=0o600)
        file.write_text(token)
    chats = _BOT_TOML.format(channel=CHANNEL, slack=slack.api_url, group=GROUP, telegram=telegram.api_url)
    made.want_approvals()
    made.config.write_text(f"{made.config.read_text()}{chats}")


async def _allow(made: DemoSetup, who: str) -> None:
    """Let somebody in, as one person in both chats."""
    slack, telegram, role = PEOPLE[who]
    for identity in (f"slack:{TEAM}/{slack}", f"telegram:{telegram}"):
        command = made.command("allow", who, role, "--identity", identity)
        async with asyncio.timeout(_ALLOWED_WITHIN):
            process = await asyncio.create_subprocess_exec(
                *command, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.STDOUT
            )
            told, _ = await process.communicate()
        if process.returncode:
            raise RuntimeError(told.decode())


async def _connected(slack: SlackDouble, telegram: TelegramDouble) -> None:
    """Wait until the bot listens to both."""
    async with asyncio.timeout(_CONNECTED_WITHIN):
        await slack.wire.connected.wait()
        while not telegram.inbox.polls:  # noqa: ASYNC110  the double has no event for this
            await asyncio.sleep(0.05)
