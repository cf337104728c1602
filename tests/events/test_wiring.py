"""Events in the bot itself: there where bot.toml lets anything call, and nowhere else."""

from __future__ import annotations

import asyncio
import hmac
from pathlib import Path

import pytest
from aiohttp import ClientSession

from deploybot.bot import Bot
from deploybot.domain import Channel
from deploybot.ports import Notification, Tables
from deploybot.wiring.infrastructure import adapters
from tests.events.channel import push
from tests.kit.settings import bot_settings
from tests.lab import free_port
from tests.webhooks.recorded import PAYLOADS

HOOK = {"github": {"secret": {"env": "S"}}}


@pytest.mark.parametrize(("hooks", "there"), [({}, False), (HOOK, True)])
def test_there_are_no_senders_where_nothing_may_call(tmp_path: Path, hooks: dict[str, object], there: bool) -> None:
    made = bot_settings(tmp_path / "data", apps={"shop": {"hooks": hooks}}, http={})
    assert (Bot(made, adapters(made)).notifier is not None) is there


async def test_without_a_channel_in_bot_toml_the_console_gets_it(tmp_path: Path) -> None:
    made = bot_settings(tmp_path / "data", apps={"shop": {"hooks": HOOK}}, http={})
    world = adapters(made)
    telling = Bot(made, world).notifier
    assert telling is not None
    async with world.database:
        await telling.handle_event(made.apps["shop"], push(), "d")
        (item,) = await world.store.read(lambda tables: tables.outbox.due(1e12))
    assert item.channel == Channel("console", "console")


async def test_a_webhook_becomes_a_message(tmp_path: Path) -> None:
    """From the bot's own port to its outbox, through the real receiver and inbox."""
    listen = f"127.0.0.1:{free_port()}"
    made = bot_settings(tmp_path / "data", apps={"shop": {"hooks": HOOK}}, http={"listen": listen})
    secret = made.apps["shop"].hooks["github"].secret
    bot = Bot(made, world := adapters(made))
    ready = asyncio.Event()
    serving = asyncio.create_task(bot.serve(ready.set))
    async with asyncio.timeout(60):
        await ready.wait()
        body = (PAYLOADS / "github" / "push.json").read_bytes().replace(b"brightloaf/oven", b"acme/shop")
        body = body.replace(b"https://github.com/", b"https://example.com/")
        signature = hmac.new(secret.reveal().encode(), body, "sha256").hexdigest()
        headers = {
            "X-GitHub-Event": "push",
            "X-GitHub-Delivery": "d-1",
            "X-Hub-Signature-256": f"sha256={signature}",
            "Content-Type": "application/json",
        }
        async with (
            ClientSession() as session,
            session.post(f"http://{listen}/hooks/shop/github", data=body, headers=headers) as answer,
        ):
            assert answer.status < 300
        while not (told := await world.store.read(_told)):  # noqa: ASYNC110  a database has no event
            await asyncio.sleep(0.02)
        bot.stop()
        await serving
    assert [one.channel.platform for one in told] == ["console"]
    assert told[0].messages == 1


def _told(tables: Tables) -> tuple[Notification, ...]:
    """Where the push was told."""
    things = tables.events.about("shop", "a41be0c2d3f4051627384950a1b2c3d4e5f60718", 1)
    return tables.events.notifications("shop", things[0]) if things else ()
