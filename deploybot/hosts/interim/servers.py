"""ports.Servers over SSH: hosts and engines, made when first asked for, all over one pool."""

from __future__ import annotations

from deploybot.hosts.interim.host import SshHost
from deploybot.hosts.interim.ssh import Pool
from deploybot.ports import Engine
from deploybot.settings import Settings


class SshServers:
    """All servers of bot.toml."""

    def __init__(self, settings: Settings) -> None:
        """Take bot.toml; nothing is connected yet."""
        self._settings = settings
        self.pool = Pool(settings.servers)
        self._hosts: dict[str, SshHost] = {}
        self._engines: dict[str, Engine] = {}

    def host(self, name: str) -> SshHost:
        """The server of that name; KeyError when bot.toml has none."""
        if name not in self._hosts:
            self.pool.server(name)
            self._hosts[name] = SshHost(name, self.pool)
        return self._hosts[name]

    def engine(self, name: str) -> Engine | None:
        """Its Docker Engine, or None where bot.toml gives none; docker-py is imported only for the first."""
        server = self._settings.servers[name]
        if server.docker is None:
            return None
        if name not in self._engines:
            from deploybot.hosts.docker import engine  # noqa: PLC0415  memory: only where an engine is used

            made = engine(server, self.pool.forward)
            if made is None:
                return None
            self._engines[name] = made
        return self._engines[name]

    async def drop(self, name: str) -> None:
        """Cut the connection to a server without a word, as a broken link would."""
        self.pool.drop(name)

    async def close(self) -> None:
        """Close every connection."""
        await self.pool.close()
