"""Where chaos happens: servers behind a bad network, a repository, a bot and a person."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self

from deploybot.domain import Identity, Role
from deploybot.ports import Tables
from deploybot.store.database import Database
from tests.chaos import app
from tests.chaos.app import Site, Source, There
from tests.chaos.config import Way, bot_toml
from tests.chaos.person import Person
from tests.chaos.process import Bot
from tests.chaos.scenario import Fault, Trouble
from tests.lab import Lab, LabError, Proxy, Sshd
from tests.lab.run import send

PERSON = "ana"
ROLLED = "rolled"


class ChaosLab:
    """Use it as an async context manager; the bot is started by whoever needs it.

    `web1` is a usual server, `web2` one with nothing but busybox, so without git. `good` counts the good
    releases of each site that one can go back through.
    """

    def __init__(self, lab: Lab, folder: Path) -> None:
        """Take a laboratory and a folder of its own."""
        folder.mkdir(parents=True, exist_ok=True)
        self._lab = lab
        self._folder = folder
        self._config = folder / "bot.toml"
        self._stack = AsyncExitStack()
        self.data = folder / "data"
        self.source = Source(folder / "repo.git")
        self.ways: dict[str, Way] = {}
        self.sites: tuple[Site, ...] = ()
        self.bot = Bot(self._config, folder / "bot.log")
        self.person = Person(self.data, self.bot)
        self.good: Counter[Site] = Counter()

    async def __aenter__(self) -> Self:
        """Make the servers and bot.toml, and let the person in."""
        await self._make_servers()
        for site in self.sites:
            for name in site.servers:
                _give_folder(site, self.ways[name].sshd)
        self._config.write_text(self._bot_toml())
        async with Database(self.data / "deploybot.db") as store:
            await store.write(_let_in)
        return self

    async def _make_servers(self) -> None:
        """Fill `ways` and `sites`."""
        await self._make_way("web1", self._lab.sshd)
        await self._make_way("web2", self._lab.busybox_sshd)
        self.sites = _sites(self.ways["web1"].sshd.home)

    def _bot_toml(self) -> str:
        return bot_toml(self.data, self.source.url, self.ways, self.sites)

    async def __aexit__(self, *_: object) -> None:
        """End the bot and the servers."""
        await self.person.leave()
        if self.bot.alive:
            await self.bot.stop()
        await self._stack.aclose()

    async def look(self, site: Site) -> dict[str, There]:
        """What is really on each server of a site."""
        return {name: await app.look(site, self.ways[name].sshd) for name in site.servers}

    async def suffer(self, trouble: Trouble) -> None:
        """Let a fault happen, and end."""
        sshd, proxy = self.ways[trouble.server].sshd, self.ways[trouble.server].proxy
        if trouble.fault is Fault.CUT:
            proxy.cut()
        elif trouble.fault is Fault.SESSIONS:
            # The bot may be back before the last of them is gone.
            with suppress(LabError):
                await asyncio.to_thread(sshd.kill_sessions)
        elif trouble.fault is Fault.REBOOT:
            await asyncio.to_thread(sshd.reboot)
        elif trouble.fault is Fault.RUNNER:
            send(app.runners(sshd), signal.SIGKILL)
        elif trouble.fault is Fault.SSHD:
            await asyncio.to_thread(sshd.stop)
            await asyncio.sleep(trouble.lasts)
            await asyncio.to_thread(sshd.start)
        else:
            (proxy.stall if trouble.fault is Fault.STALL else proxy.swallow)()
            await asyncio.sleep(trouble.lasts)
            proxy.resume()

    async def _make_way(self, name: str, make: Callable[[str], Sshd]) -> None:
        sshd = await asyncio.to_thread(make, name)
        self._stack.callback(self._lab.discard, sshd.box)
        self.ways[name] = Way(sshd, await self._stack.enter_async_context(Proxy(sshd.address, sshd.port)))


def _sites(home: Path) -> tuple[Site, ...]:
    """One server by the strategy `files`, both by it, one by `script`, and both in a roll-out."""
    places = (
        ("shop", "one", "files", ("web1",)),
        ("shop", "both", "files", ("web1", "web2")),
        ("tool", "one", "script", ("web1",)),
        ("shop", ROLLED, "files", ("web1", "web2")),
    )
    return tuple(
        Site(
            app=app_name,
            environment=environment,
            strategy=strategy,
            servers=servers,
            directory=home / f"{app_name}-{environment}",
            port=8081 + at,
            rolled=environment == ROLLED,
        )
        for at, (app_name, environment, strategy, servers) in enumerate(places)
    )


def _give_folder(site: Site, sshd: Sshd) -> None:
    """Make a site's directory for the server's user, where it lies deep in a tree of root's."""
    folder = site.folder(sshd)
    folder.mkdir(parents=True, exist_ok=True)
    shutil.chown(folder, sshd.box.account.uid)


def _let_in(tables: Tables) -> None:
    person = tables.people.add(PERSON, Identity("console", str(os.getuid())))
    tables.people.grant(person.id, Role.ADMIN)
