"""Find the socket of a server's Docker Engine if bot.toml does not name it, and reach it through SSH."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

import asyncssh

from deploybot.engine.stream_connection import ChannelWire, Wire
from deploybot.errors import EngineError, Unreachable
from deploybot.ports import Host
from deploybot.settings import Server

_ASK_WITHIN = 5.0
_FIND_WITHIN = 8.0
_LONGEST_WORD = 200
_UNIX = "unix://"
_INSTALL = (
    "Install Docker there and let the user use it, or set `docker` in [servers.{server}] to the path of the Engine's "
    "socket."
)


class Ssh(Protocol):
    """The part of the SSH connection pool that an Engine needs."""

    async def forward(self, name: str, remote: str) -> Path:
        """Return a local socket that leads to a Unix socket on a server. It changes after a reconnect."""

    async def client(self, name: str) -> asyncssh.SSHClientConnection:
        """Return the open connection to a server."""


class EngineSocket:
    """The Engine's socket on a server. `path` is its last known path; empty until it is known."""

    def __init__(self, server: Server, ssh: Ssh, host: Host | None) -> None:
        """Create it without asking the server. `host` is the same server; without it bot.toml must name the socket."""
        self.path = server.docker or ""
        self._server = server.name
        self._named = bool(server.docker)
        self._known = self._named
        self._ssh = ssh
        self._host = host

    async def forward(self) -> Path:
        """Return a local socket that leads to the Engine's socket."""
        return await self._ssh.forward(self._server, await self._where())

    async def dial(self) -> Wire:
        """Open a channel to the Engine's socket."""
        return await ChannelWire.dial(await self._ssh.client(self._server), await self._where())

    async def why(self) -> str:
        """Return in one word why the socket does not answer. If it was discovered, discover it again next time."""
        self._known = self._named
        if self._host is None:
            return ""
        output = b""
        async for chunk in self._host.stream("docker_why", {"DEPLOYBOT_SOCKET": self.path}, timeout=_ASK_WITHIN):
            output = (output + chunk)[:_LONGEST_WORD]
        return output.decode(errors="replace").strip()

    async def _where(self) -> str:
        """Return the path. Ask the server once where its own `docker` finds the Engine."""
        if not self._known:
            self.path = await self._find()
            self._known = True
        return self.path

    async def _find(self) -> str:
        where = (await self._host.facts(timeout=_FIND_WITHIN, docker=False)).docker_host if self._host else ""
        what = f"Docker on {self._server}"
        if not where:
            hint = _INSTALL.format(server=self._server)
            raise Unreachable(what, "no Docker was found there", hint=hint)
        if not where.startswith(_UNIX):
            raise EngineError(
                f"{what} is at {where}, which the bot cannot reach: set `docker` in [servers.{self._server}]"
            )
        return where.removeprefix(_UNIX)
