"""Implement `ports.Servers`: all servers of bot.toml, each with its host and engine, over one connection pool."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from deploybot.domain import Sight
from deploybot.ports import Engine
from deploybot.settings import Server
from deploybot.ssh.detached_jobs import LOG_CAP
from deploybot.ssh.ssh_host import SshHost
from deploybot.ssh.ssh_pool import Pool

EngineFactory = Callable[[Server], Engine | None]


class SshServers:
    """All servers. Hosts and engines are made when first requested, and connect at first use."""

    def __init__(
        self, servers: Mapping[str, Server], pool: Pool, engine: EngineFactory, *, log_cap: int = LOG_CAP
    ) -> None:
        """Take the servers and the pool. `engine` makes a server's Engine, or returns None if it can have none."""
        self._servers = servers
        self._pool = pool
        self._make_engine = engine
        self._log_cap = log_cap
        self._hosts: dict[str, SshHost] = {}
        self._engines: dict[str, Engine | None] = {}

    def host(self, name: str) -> SshHost:
        """Return the host of a server by name. Raise KeyError if bot.toml has none."""
        if name not in self._hosts:
            if name not in self._servers:
                raise KeyError(name)
            docker = self._servers[name].docker or ""
            # Other addresses are relative to the bot's own machine.
            docker = docker if docker.startswith("/") else ""
            self._hosts[name] = SshHost(name, self._pool, log_cap=self._log_cap, docker=docker)
        return self._hosts[name]

    def engine(self, name: str) -> Engine | None:
        """Return a server's Docker Engine, or None if it can have none."""
        if name not in self._engines:
            self._engines[name] = self._make_engine(self._servers[name])
        return self._engines[name]

    def sights(self) -> dict[str, Sight]:
        """Return the last known state of each server's connection; see `Pool.sights`."""
        return self._pool.sights()

    async def drop(self, name: str) -> None:
        """Abort the connection to a server without closing it properly, as a network failure would."""
        await self._pool.drop(name)

    async def close(self) -> None:
        """Disconnect from all servers within a few seconds. Detached jobs continue.

        The code that made the engines closes them.
        """
        for host in self._hosts.values():
            host.close()
        await self._pool.close()
