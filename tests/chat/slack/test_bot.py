"""The whole bot with Slack: wired by bot.toml, told ill by `/healthz`, and going on where Slack does not."""

from __future__ import annotations

import asyncio
import dataclasses
import logging
import os
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

import aiohttp
import pytest

from deploybot.bot import Bot
from deploybot.card import Card
from deploybot.config import load
from deploybot.domain import Channel
from deploybot.ports import Store, Tables
from deploybot.store.database import Database
from deploybot.wiring.infrastructure import adapters
from tests.chat.slack.workspace import ROOM, SIGNING_SECRET, until
from tests.doubles.slack import APP_TOKEN, BOT_TOKEN, SlackDouble
from tests.e2e.conftest import RunningBot, open_running_bot
from tests.lab import free_port

T = TypeVar("T")
HTTP_TOKEN = "health-token-0123456789"
SOCKET_MODE = 'app_token = { env = "SLACK_APP_TOKEN" }'
HTTP_MODE = 'signing_secret = { env = "SLACK_SIGNING_SECRET" }'


@dataclass
class SlackSetup:
    """A bot.toml with Slack in it, and the double that it names."""

    double: SlackDouble
    path: Path
    address: str

    def write(self, way: str = SOCKET_MODE) -> Path:
        self.path.write_text(f"""
[bot]
data = "data"
[slack]
bot_token = {{ env = "SLACK_BOT_TOKEN" }}
{way}
channel = "slack:{ROOM}"
api_url = "{self.double.api_url}"
[http]
listen = "{self.address}"
token = {{ env = "HTTP_TOKEN" }}
url = "https://bot.example.com"
""")
        self.double.wire.hook = f"http://{self.address}/slack/events" if way == HTTP_MODE else ""
        return self.path

    async def health(self) -> tuple[int, list[str]]:
        url, opened = f"http://{self.address}/healthz", {"Authorization": f"Bearer {HTTP_TOKEN}"}
        async with aiohttp.ClientSession(headers=opened) as session, session.get(url) as answer:
            parts = (await answer.json())["parts"]
            return answer.status, [name for name, part in parts.items() if not part["ok"]]


@pytest.fixture
async def slack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[SlackSetup]:
    monkeypatch.setenv("SLACK_BOT_TOKEN", BOT_TOKEN)
    monkeypatch.setenv("SLACK_APP_TOKEN", APP_TOKEN)
    monkeypatch.setenv("HTTP_TOKEN", HTTP_TOKEN)
    monkeypatch.setenv("SLACK_SIGNING_SECRET", SIGNING_SECRET)
    address = f"127.0.0.1:{free_port()}"
    double = SlackDouble()
    await double.start()
    double.wire.signing_secret = SIGNING_SECRET
    yield SlackSetup(double, tmp_path / "bot.toml", address)
    await double.close()
    assert double.violations == []


async def _let_in(running: RunningBot) -> None:
    card = await running.say("allow slack:T0TEAM/UANA:ana admin")
    assert card.ok, card.title


@pytest.mark.parametrize("way", [SOCKET_MODE, HTTP_MODE])
async def test_a_person_of_the_console_is_the_same_in_slack(slack: SlackSetup, way: str) -> None:
    async with open_running_bot(slack.write(way)) as running:
        await _let_in(running)
        if way == SOCKET_MODE:
            await slack.double.wire.connected.wait()
        await slack.double.say("UANA", ROOM, "/whoami")
        post = await slack.double.timeline.until(lambda one: "You are ana." in one.text)
        assert post.only_for == "UANA"
        assert await slack.health() == (200, [])


class Slow:
    """A store whose writes let many reads go before them."""

    problem = ""

    def __init__(self, store: Store) -> None:
        self._store = store
        self.read = store.read

    async def write(self, work: Callable[[Tables], T]) -> T:
        for _ in range(10):
            await self.read(lambda _: None)
        return await self._store.write(work)


async def test_what_waited_while_the_bot_was_away_is_said_without_a_complaint(
    slack: SlackSetup, caplog: pytest.LogCaptureFixture
) -> None:
    settings = load(slack.write(), os.environ)
    async with Database(settings.bot.data / "deploybot.db", durable=False) as store:
        await store.write(lambda tables: tables.outbox.put(Channel("slack", ROOM), Card(title="it waited"), 1.0))
    world = adapters(settings)
    bot = Bot(settings, dataclasses.replace(world, store=Slow(world.store)))
    serving = asyncio.create_task(bot.serve())
    await slack.double.timeline.until(lambda one: "it waited" in one.text)
    bot.stop()
    await serving
    assert "is not connected" not in caplog.text


async def test_a_revoked_token_is_one_line_and_the_rest_goes_on(
    slack: SlackSetup, caplog: pytest.LogCaptureFixture
) -> None:
    slack.double.web.dead = "token_revoked"
    async with open_running_bot(slack.write()) as running:
        await until(lambda: running.bot._chats[1].problem)
        assert await slack.health() == (503, ["slack"])
        assert (await running.say("whoami")).title == "You are ana."
    errors = [one.getMessage() for one in caplog.records if one.levelno >= logging.ERROR]
    assert errors == ["Slack: bot_token was revoked: install the app again and give its new token (token_revoked)"]
    assert BOT_TOKEN not in caplog.text


async def test_where_slack_is_away_the_rest_goes_on(slack: SlackSetup) -> None:
    path = slack.write()
    await slack.double.close()
    async with open_running_bot(path) as running:
        assert (await running.say("whoami")).title == "You are ana."
        chat = running.bot._chats[1]
        await until(lambda: chat.problem)
        assert "cannot be reached" in chat.problem
