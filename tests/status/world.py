"""The app `shop` on real servers, and the services that look at it through the bot's own SSH pool."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from deploybot.engine import docker_engine
from deploybot.ports import Engine
from deploybot.server_pool import SshServers
from deploybot.settings import App, Environment, Server, Settings
from deploybot.ssh.ssh_pool import Pool
from tests.lab import Sshd


@dataclass
class World:
    """Servers by name, as bot.toml and as the laboratory has them."""

    settings: Settings
    servers: SshServers
    machines: Mapping[str, Sshd]

    @property
    def app(self) -> App:
        return self.settings.apps["shop"]

    @property
    def environment(self) -> Environment:
        return self.app.environments["production"]


@asynccontextmanager
async def world(data: Path, machines: Sequence[Sshd], *, socket: str = "", **app: object) -> AsyncIterator[World]:
    """Settings for these machines, and their hosts; with `socket` they have Docker there."""
    named = {f"web{number}": machine for number, machine in enumerate(machines, 1)}
    servers = {
        name: {
            "name": name,
            "ssh": machine.ssh_target,
            "key": {"file": str(machine.client_key)},
            "host_key": machine.host_key,
            "docker": socket or None,
            "connect_timeout": "4s",
        }
        for name, machine in named.items()
    }
    shop: dict[str, object] = {
        "name": "shop",
        "repo": "git@example.com:acme/shop.git",
        "strategy": "compose",
        "directory": "/srv/shop",
        "environments": {"production": {"name": "production", "app": "shop", "servers": list(named)}},
    }
    made = Settings.model_validate({"bot": {"data": data}, "servers": servers, "apps": {"shop": shop | app}})
    pool = Pool(made.servers)
    engines: list[docker_engine.DockerEngine] = []

    def engine(server: Server) -> Engine | None:
        found = docker_engine.engine(server, pool, hosts.host(server.name))
        engines.extend([found] if found else [])
        return found

    hosts = SshServers(made.servers, pool, engine)
    try:
        yield World(made, hosts, named)
    finally:
        for one in engines:
            await one.close()
        await hosts.close()
