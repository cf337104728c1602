"""The whole bot with Telegram in its bot.toml, beside its console: one goes on when the other is ill."""

from __future__ import annotations

import asyncio
import json
import os
import re
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiohttp import ClientSession

from deploybot.bot import Bot
from deploybot.card import Card
from deploybot.chat.telegram.telegram_connection import PATH
from deploybot.command import Incoming
from deploybot.config import load
from deploybot.domain import Channel, Identity
from deploybot.ports import Tables
from deploybot.settings import Settings
from deploybot.wiring.infrastructure import adapters
from tests.chat.telegram.conftest import ANA, BEN, GROUP, until
from tests.doubles.telegram import TelegramDouble
from tests.doubles.telegram.limits import FREE
from tests.lab import free_port

HTTP_TOKEN = "health-token-0123456789"
HOME = Card(title="#42 deploy v2 to shop", key="deployment:42", text="replaces v1")


@asynccontextmanager
async def running(settings: Settings) -> AsyncIterator[Bot]:
    bot = Bot(settings, adapters(settings))
    ready = asyncio.Event()
    serving = asyncio.create_task(bot.serve(ready.set))
    try:
        async with asyncio.timeout(60):
            await ready.wait()
        yield bot
    finally:
        bot.stop()
        async with asyncio.timeout(60):
            await serving


@pytest.fixture
async def double() -> AsyncIterator[TelegramDouble]:
    made = TelegramDouble(FREE)
    made.group(GROUP, forum=True, topics=(7,))
    await made.start()
    yield made
    await made.close()
    assert made.violations == []


def config(folder: Path, double: TelegramDouble, *, hook: bool = False) -> Settings:
    port = free_port()
    path = folder / "bot.toml"
    path.write_text(f"""
[bot]
data = "{folder / "data"}"
[telegram]
token = {{ env = "TG_TOKEN" }}
channel = "telegram:{GROUP}/7"
api_url = "{double.api_url}"
{'webhook_secret = { env = "TG_HOOK" }' if hook else ""}
[http]
listen = "127.0.0.1:{port}"
token = {{ env = "HTTP_TOKEN" }}
url = "http://127.0.0.1:{port}"
""")
    return load(
        path,
        {**os.environ, "TG_TOKEN": double.token, "TG_HOOK": "a-secret-of-the-hook-24-chars", "HTTP_TOKEN": HTTP_TOKEN},
    )


async def health(settings: Settings) -> tuple[int, object]:
    assert settings.http is not None
    opened = {"Authorization": f"Bearer {HTTP_TOKEN}"}
    async with ClientSession(headers=opened) as session, session.get(f"{settings.http.url}/healthz") as answer:
        parts = (await answer.json())["parts"]
        return answer.status, [name for name, part in parts.items() if not part["ok"]]


async def received(double: TelegramDouble, text: str, channel: str = "") -> None:
    await double.timeline.until(
        lambda post: post.author == "thebot" and text in post.text and channel in {"", post.channel}
    )


@pytest.mark.parametrize("hook", [False, True])
async def test_from_the_first_administrator_to_the_first_status(
    double: TelegramDouble,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    hook: bool,
) -> None:
    settings = config(tmp_path, double, hook=hook)
    async with running(settings):
        found = re.search("claim ([0-9A-Z]{4}-[0-9A-Z]{4})", capfd.readouterr().err)
        assert found
        await double.say(ANA, ANA, f"/claim {found[1]}")
        await received(double, "administrator", ANA)
        await double.say(ANA, GROUP, "/whoami")
        await received(double, f"telegram:{ANA}", ANA)
        await double.say(BEN, GROUP, "/status")
        await received(double, f"allow telegram:{BEN}:", GROUP)
        await until(lambda: len(double.menus) == 3)
        assert await health(settings) == (200, [])
        assert bool(double.inbox.webhook.url.endswith(PATH)) is hook
    assert double.inbox.pending == 0


async def test_the_outbox_speaks_in_the_topic_of_bot_toml(double: TelegramDouble, tmp_path: Path) -> None:
    settings = config(tmp_path, double)
    world_channel = Channel("telegram", GROUP, "7")
    async with running(settings) as bot:

        def put(tables: Tables) -> None:
            tables.outbox.put(world_channel, HOME, 0.0)

        double.unkind.broken = 2
        await bot._world.store.write(put)
        await received(double, "#42 deploy v2", GROUP)
        post = next(post for post in double.timeline.posts if "#42" in post.text)
        assert post.thread == "7"


async def test_a_revoked_token_is_reported_by_healthz_and_the_console_goes_on(
    double: TelegramDouble, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = config(tmp_path, double)
    double.token, token = "1:revoked", double.token
    async with running(settings) as bot:
        await until(lambda: "rejected the bot's token" in caplog.text)
        assert await health(settings) == (503, ["telegram"])
        channel = Channel("console", "console")
        incoming = Incoming(identity=Identity("console", "0"), channel=channel, text="help", id="1", at=0.0)
        card = await bot.dispatcher.handle(incoming, _silence)
        assert card is not None
        assert card.ok
    assert caplog.text.count("rejected the bot's token") == 1
    assert token not in caplog.text


async def _silence(_: Card) -> None:
    return None


_NEEDLESS = {"aiohttp", "pygments", "rich.console", "slack_bolt", "slack_sdk", "telegram.ext", "docker"}
_MAKE_A_BOT = """
import json, os, sys
from pathlib import Path
from deploybot.wiring.infrastructure import adapters
from deploybot.bot import Bot
from deploybot.config import load

settings = load(Path(sys.argv[1]), {**os.environ, "TG_TOKEN": "123456789:AAFdoubleDOUBLEdoubleDOUBLEdoubleDOU"})
Bot(settings, adapters(settings))
print(json.dumps(sorted(sys.modules)))
"""


def test_long_polls_do_without_a_web_server(tmp_path: Path) -> None:
    path = tmp_path / "bot.toml"
    path.write_text(f'[bot]\ndata = "{tmp_path}/data"\n[telegram]\ntoken = {{ env = "TG_TOKEN" }}\n')
    done = subprocess.run([sys.executable, "-c", _MAKE_A_BOT, path], capture_output=True, check=True, timeout=60)
    loaded = json.loads(done.stdout)
    assert "telegram" in loaded
    assert _NEEDLESS.isdisjoint(loaded)
