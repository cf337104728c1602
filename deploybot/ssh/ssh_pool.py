"""The connection pool: one shared SSH connection per server, opened on first use and reopened after it breaks."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import asyncssh

from deploybot.domain import Sight
from deploybot.errors import ServerDown, Unreachable
from deploybot.metrics import METRICS
from deploybot.settings import Server
from deploybot.ssh import ssh_errors, ssh_login
from deploybot.ssh.session_limits import LoginLimits
from deploybot.ssh.ssh_connection import SshConnection
from deploybot.ssh.ssh_login import fetch_host_key

__all__ = ["Pool", "fetch_host_key"]

_LONGEST_SOCKETS_PATH = 80
_GOODBYE = 2.0


class Pool:
    """The connections to all servers of bot.toml."""

    def __init__(self, servers: Mapping[str, Server], *, sockets: Path | None = None) -> None:
        """Create the pool without connecting.

        `sockets` is a private folder for forwarded sockets; its contents are deleted. If none is given, or its path is
        too long for a Unix socket, the pool creates a new folder. `close` deletes it.
        """
        self._servers = servers
        self._given = sockets
        self._sockets: Path | None = None
        self._connections: dict[str, SshConnection] = {}
        self._opening: dict[str, asyncio.Task[SshConnection]] = {}
        self._logins = LoginLimits()
        self._failed: dict[str, Sight] = {}
        self._closed = False

    def sights(self) -> dict[str, Sight]:
        """Return the last known state of each server, without asking any. Servers never contacted are left out."""
        seen = dict(self._failed)
        for name, connection in self._connections.items():
            if name not in seen and connection.answered:
                seen[name] = Sight(connection.answered_at)
        return seen

    async def connection(self, name: str) -> SshConnection:
        """Return the open connection to a server, or open one. Concurrent callers share one handshake.

        Raises KeyError for a name that is not in bot.toml, otherwise HostKeyMismatch or Unreachable.
        """
        connection = self._connections.get(name)
        if connection is not None and not connection.closed:
            return connection
        if name not in self._opening:
            server = self._servers[name]
            if self._closed:
                raise Unreachable(name, "the bot is shutting down")
            task = asyncio.create_task(self._open(server), name=f"connect to {name}")
            task.add_done_callback(lambda done: self._opened(name, done))
            self._opening[name] = task
        return await asyncio.shield(self._opening[name])

    async def client(self, name: str) -> asyncssh.SSHClientConnection:
        """Return the asyncssh connection to a server, ready for channels other than sessions."""
        connection = await self.connection(name)
        seconds = self._servers[name].connect_timeout
        try:
            async with asyncio.timeout(seconds):
                await connection.begun()
        except TimeoutError as problem:
            raise ssh_errors.silent(name, seconds) from problem
        return connection.client

    def silent(self, name: str) -> bool:
        """Return whether a server is connected but no command has completed there yet."""
        connection = self._connections.get(name)
        return connection is not None and not connection.closed and not connection.answered

    async def forward(self, name: str, remote: str) -> Path:
        """Return a private local socket that leads to a Unix socket on a server. It changes after a reconnect."""
        await self.client(name)
        connection = await self.connection(name)
        try:
            return await connection.forward(remote)
        except (asyncssh.Error, OSError) as problem:
            raise ssh_errors.connecting(self._servers[name], problem) from problem

    async def open_tcp(
        self, name: str, host: str, port: int, *, timeout: float
    ) -> tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]:
        """Connect to host:port from a server, within `timeout` seconds. Raises Unreachable if that fails."""
        what = f"{host}:{port} on {name}"
        try:
            async with asyncio.timeout(timeout):
                client = await self.client(name)
                opening = asyncio.ensure_future(client.open_connection(host, port, encoding=None))
                try:
                    return await asyncio.shield(opening)
                except asyncio.CancelledError:
                    opening.add_done_callback(_close_late)
                    raise
        except TimeoutError as problem:
            raise Unreachable(what, f"no answer within {timeout:g} s") from problem
        except asyncssh.ChannelOpenError as problem:
            raise ssh_errors.opening(what, problem) from problem
        except (asyncssh.Error, OSError) as problem:
            raise ServerDown(name, ssh_errors.BROKE, broke=True) from problem

    async def host_key(self, name: str) -> tuple[str, str]:
        """Return a server's host key, fetched through its jump host if it has one; see `fetch_host_key`."""
        server = self._servers[name]
        return await fetch_host_key(server, tunnel=await self._tunnel(server))

    async def drop(self, name: str) -> None:
        """Cut the connection to a server without closing it properly, as a network failure would."""
        connection = self._connections.get(name)
        if connection is not None:
            connection.client.abort()
            await self._wait_closed(connection)

    async def close(self) -> None:
        """Close all connections within a few seconds. Detached jobs keep running on the servers."""
        self._closed = True
        for task in self._opening.values():
            task.cancel()
        await asyncio.gather(*self._opening.values(), return_exceptions=True)
        for connection in self._connections.values():
            connection.client.close()
        await asyncio.gather(*(self._wait_closed(connection) for connection in self._connections.values()))
        self._connections.clear()
        if self._sockets is not None:
            await asyncio.to_thread(_clear, self._given or self._sockets)

    async def _open(self, server: Server) -> SshConnection:
        tunnel = await self._tunnel(server)
        sockets = self._folder()
        async with self._logins.of(server.host, server.port):
            return SshConnection(server.name, await ssh_login.connect(server, tunnel), sockets)

    async def _tunnel(self, server: Server) -> asyncssh.SSHClientConnection | None:
        return await self.client(server.jump) if server.jump else None

    def _opened(self, name: str, task: asyncio.Task[SshConnection]) -> None:
        self._opening.pop(name, None)
        if task.cancelled():
            return
        problem = task.exception()
        METRICS.ssh_connections.add(name, "failed" if problem else "made")
        if problem is not None:
            self._failed[name] = Sight(time.time(), *_reason_of(problem))
            return
        self._failed.pop(name, None)
        old = self._connections.get(name)
        if old is not None:
            old.gone()
        self._connections[name] = task.result()

    def _folder(self) -> Path:
        """Return the private folder for sockets. Create or empty it on first use."""
        if self._sockets is None:
            self._sockets = _made(self._given)
        return self._sockets

    async def _wait_closed(self, connection: SshConnection) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_GOODBYE):
                await connection.client.wait_closed()
        if not connection.closed:
            connection.client.abort()
        connection.gone()


def _reason_of(problem: BaseException) -> tuple[str, str]:
    """Return why a server could not be reached, and a hint."""
    if isinstance(problem, Unreachable):
        return problem.why, problem.hint
    return "connecting to it failed", "See the bot's log."


def _made(given: Path | None) -> Path:
    if given is None:
        return Path(tempfile.mkdtemp(prefix="deploybot-"))
    _clear(given)
    if len(str(given)) <= _LONGEST_SOCKETS_PATH:
        given.mkdir(mode=0o700, parents=True)
        return given
    made = Path(tempfile.mkdtemp(prefix="deploybot-"))
    # The next bot can find and delete this folder, even if this bot is killed.
    given.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    given.symlink_to(made)
    return made


def _clear(sockets: Path) -> None:
    """Delete the folder; if it is a link, delete its target, too."""
    shutil.rmtree(sockets.resolve(), ignore_errors=True)
    if sockets.is_symlink():
        sockets.unlink()


def _close_late(opening: asyncio.Task[tuple[asyncssh.SSHReader[Any], asyncssh.SSHWriter[Any]]]) -> None:
    """Close a connection that opened after all callers stopped waiting for it."""
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[1].channel.abort()
