"""A real bot on servers in memory, for the drivers: they run in a process of their own, with a copy of the bot."""

from __future__ import annotations

import asyncio
import dataclasses
import os
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import deploybot
from deploybot.bot import Bot
from deploybot.card import Card
from deploybot.chat.console.client_connection import ClientConnection, open_link
from deploybot.chat.console.console_protocol import Show
from deploybot.chat.console.terminal_cards import plain
from deploybot.command import Incoming
from deploybot.config import load
from deploybot.domain import Channel, Deployment, Identity, Role
from deploybot.errors import ConfigError
from deploybot.ports import Tables
from deploybot.testing import FakeHost, FakeRefs, FakeServers
from deploybot.wiring.infrastructure import Adapters, adapters

WITHIN = 30.0
ANA = Identity("console", "1000")
_SHOP = """
[bot]
data = "data"
[servers.web1]
ssh = "deploy@203.0.113.10"
agent = true
[apps.shop]
repo = "git@example.com:acme/shop.git"
strategy = "{strategy}"
directory = "/srv/shop"
environments.production.servers = ["web1"]
"""


@dataclass
class ExtendedBot:
    """The bot, its server and repository, and what the console shows."""

    bot: Bot
    world: Adapters
    host: FakeHost
    refs: FakeRefs
    shown: list[Show] = field(default_factory=list)
    changed: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def say(self, text: str) -> Card:
        """Type a command as ana, an admin; the card that answers."""
        line = Incoming(
            identity=ANA, channel=Channel("console", "console"), text=text, id=text, at=time.time(), name="ana"
        )
        card = await self.bot.dispatcher.handle(line, _silence)
        assert card is not None
        return card

    async def deploy(self, text: str) -> Deployment:
        """Type a deployment; the deployment once it has ended."""
        card = await self.say(text)
        assert card.queued, plain(card, 100)
        number = int(card.key.partition(":")[2])
        async with asyncio.timeout(WITHIN):
            await self.bot.deployments.queue.idle(number)
        found = await self.bot.deployments.get(number)
        assert found is not None
        return found

    async def sees(self, *texts: str) -> str:
        """Wait until one card on the console has all of these texts."""

        def found() -> str:
            cards = [plain(show.card, 100) for show in self.shown]
            return next((card for card in cards if all(text in card for text in texts)), "")

        async with asyncio.timeout(WITHIN), self.changed:
            await self.changed.wait_for(found)
        return found()


async def _silence(card: Card) -> None:
    del card


def bot_toml(home: Path, more: str, *, strategy: str = "files") -> Path:
    """Write a bot.toml with the app `shop` and these tables."""
    path = home / "bot.toml"
    path.write_text(_SHOP.format(strategy=strategy) + more)
    return path


def secret(home: Path, name: str, value: str) -> None:
    """Write the file of a secret."""
    (home / name).write_text(value)
    (home / name).chmod(0o600)


def problems(path: Path) -> str:
    """Return what is wrong with a bot.toml, a line for each problem."""
    try:
        load(path, {})
    except ConfigError as error:
        return "\n".join(error.problems)
    return ""


@asynccontextmanager
async def open_extended_bot(path: Path) -> AsyncIterator[ExtendedBot]:
    """Run a bot with ana on its allowlist, and a client on its console."""
    settings = load(path, {})
    host, refs = FakeHost("web1"), FakeRefs(path.parent, main="1" * 40, v2="2" * 40)
    world = dataclasses.replace(adapters(settings), servers=FakeServers([host]), refs=refs)
    bot = Bot(settings, world)
    ready = asyncio.Event()
    async with asyncio.TaskGroup() as group:
        serving = group.create_task(bot.serve(ready.set))
        serving.add_done_callback(lambda _: ready.set())
        await ready.wait()
        if not serving.done():
            await world.store.write(_let_in)
            running = ExtendedBot(bot, world, host, refs)
            client = await _watch(running, settings.bot.data / "console.sock")
            try:
                yield running
            finally:
                await client.close()
                bot.stop()


def _let_in(tables: Tables) -> None:
    tables.people.grant(tables.people.add("ana", ANA).id, Role.ADMIN)


async def _watch(running: ExtendedBot, socket: Path) -> ClientConnection:
    """Connect to the console, and keep what it shows."""

    async def show(shown: Show) -> None:
        async with running.changed:
            running.shown.append(shown)
            running.changed.notify_all()

    return await open_link(socket, show)


def main(drive: Callable[[Path], Awaitable[None]]) -> None:
    """Run a driver in the folder that the command line names, with a copy of the bot and not with this one."""
    assert Path(deploybot.__file__).parents[1] == Path(os.environ["PYTHONPATH"].split(os.pathsep)[0])
    asyncio.run(_finished(drive(Path(sys.argv[1]))))


async def _finished(work: Awaitable[None]) -> None:
    await work
