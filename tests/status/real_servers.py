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
from tests.kit.settings import bot_settings
from tests.lab import Sshd


@dataclass
class RealServers:
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
async def open_real_servers(
    data: Path, machines: Sequence[Sshd], *, socket: str = "", **app: object
) -> AsyncIterator[RealServers]:
    """Settings for these machines, and their hosts; with `socket` they have Docker there."""
    named = {f"web{number}": machine for number, machine in enumerate(machines, 1)}
    servers = {
        name: {
            "ssh": machine.ssh_target,
            "key": {"file": str(machine.client_key)},
            "host_key": machine.host_key,
            "connect_timeout": "20s",
            **({"docker": socket} if socket else {}),
        }
        for name, machine in named.items()
    }
    made = bot_settings(data, servers=servers, apps={"shop": {"strategy": "compose", **app}})
    pool = Pool(made.servers)
    engines: list[docker_engine.DockerEngine] = []

    def engine(server: Server) -> Engine | None:
        found = docker_engine.engine(server, pool, hosts.host(server.name))
        engines.extend([found] if found else [])
        return found

    hosts = SshServers(made.servers, pool, engine)
    try:
        yield RealServers(made, hosts, named)
    finally:
        for one in engines:
            await one.close()
        await hosts.close()
