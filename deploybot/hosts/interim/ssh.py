"""One pooled SSH connection a server, by asyncssh: pinned keys, keepalive, a deadline on everything.

Nothing of the user's own SSH set-up counts (`config=None`, explicit keys, an agent only where bot.toml says so).
Without a pinned host key nothing is sent. A link that is dead is noticed within 20 seconds.
"""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import asyncssh

from deploybot.errors import HostKeyMismatch, Unreachable
from deploybot.hosts.interim.problems import explained
from deploybot.settings import Server

T = TypeVar("T")

KEEPALIVE = 5.0
KEEPALIVE_MISSED = 2
SESSIONS = 8
"""At once on one connection; sshd's MaxSessions is 10 as installed."""
HANDSHAKES = 6
"""At once over all; sshd's MaxStartups begins to drop at 10."""
_CLOSE_WITHIN = 2.0
_OUTPUT_LIMIT = 4_000_000


class Link:
    """The connection to one server: opened on demand, shared by all, opened anew after a loss."""

    def __init__(self, server: Server, via: Callable[[], Coroutine[Any, Any, asyncssh.SSHClientConnection]] | None):
        """Take the server, and how to get at its jump host's connection where it has one."""
        self.server = server
        self._via = via
        self._connection: asyncssh.SSHClientConnection | None = None
        self._opening: asyncio.Task[asyncssh.SSHClientConnection] | None = None
        self._sessions = asyncio.Semaphore(SESSIONS)
        self.generation = 0

    async def connection(self, handshakes: asyncio.Semaphore) -> asyncssh.SSHClientConnection:
        """The open connection; those who ask at the same moment share one handshake."""
        if self._connection is not None and not self._connection.is_closed():
            return self._connection
        if self._opening is None or self._opening.done():
            self._opening = asyncio.create_task(self._open(handshakes))
        return await asyncio.shield(self._opening)

    async def _open(self, handshakes: asyncio.Semaphore) -> asyncssh.SSHClientConnection:
        server = self.server
        if not server.host_key:
            raise Unreachable(
                server.name, "bot.toml pins no host key for it", hint=f"Pin it with: deploybot trust {server.name}"
            )
        try:
            async with handshakes, asyncio.timeout(server.connect_timeout * 2):
                tunnel = await self._via() if self._via else None
                self._connection = await asyncssh.connect(server.host, server.port, tunnel=tunnel, **_options(server))
        except asyncssh.HostKeyNotVerifiable as problem:
            raise await _mismatch(server) from problem
        except (OSError, asyncssh.Error, TimeoutError, ValueError) as problem:
            raise explained(server, problem) from problem
        self.generation += 1
        return self._connection

    @asynccontextmanager
    async def session(self) -> AsyncIterator[None]:
        """A place for one more session: waits while the connection has as many as the server takes."""
        async with self._sessions:
            yield

    def drop(self) -> None:
        """Cut the connection without a word."""
        if self._connection is not None:
            self._connection.abort()

    async def close(self) -> None:
        """Close it, within two seconds."""
        if self._opening is not None and not self._opening.done():
            self._opening.cancel()
        connection, self._connection = self._connection, None
        if connection is None:
            return
        connection.close()
        try:
            async with asyncio.timeout(_CLOSE_WITHIN):
                await connection.wait_closed()
        except TimeoutError:
            connection.abort()


class Pool:
    """All links, and the sockets that are forwarded through them."""

    def __init__(self, servers: Mapping[str, Server]) -> None:
        """Take bot.toml's servers; nothing is connected yet."""
        self._handshakes = asyncio.Semaphore(HANDSHAKES)
        self._links: dict[str, Link] = {}
        for name, server in servers.items():
            via = (lambda jump: lambda: self.connection(jump))(server.jump) if server.jump else None
            self._links[name] = Link(server, via)
        self._folder: Path | None = None
        self._forwards: dict[tuple[str, str], tuple[int, Path]] = {}
        self._forwarding: dict[tuple[str, str], asyncio.Lock] = {}

    def server(self, name: str) -> Server:
        """A server's settings; KeyError when bot.toml has none of that name."""
        return self._links[name].server

    def generation(self, name: str) -> int:
        """Counts a server's connections, so that what was learnt over one can be kept as long as it lasts."""
        return self._links[name].generation

    async def connection(self, name: str) -> asyncssh.SSHClientConnection:
        """The open connection to a server. Raises Unreachable in plain words."""
        return await self._links[name].connection(self._handshakes)

    @asynccontextmanager
    async def process(self, name: str, command: str) -> AsyncIterator[asyncssh.SSHClientProcess[bytes]]:
        """Run a command attached, as bytes; closed, not waited for, at the block's end."""
        link = self._links[name]
        async with link.session():
            connection = await self.connection(name)
            try:
                process = await connection.create_process(command, encoding=None)
            except (OSError, asyncssh.Error) as problem:
                raise explained(link.server, problem) from problem
            try:
                yield process
            except (asyncssh.Error, OSError) as problem:
                raise explained(link.server, problem) from problem
            finally:
                process.close()

    async def run(self, name: str, command: str, data: bytes = b"", *, timeout: float, hold: bool = False) -> bytes:
        """Give a command its stdin and take its whole stdout (at most 4 MB).

        With `hold` its stdin stays open until it ends. Raises Unreachable when the link breaks or time is over.
        """
        server = self.server(name)
        try:
            async with asyncio.timeout(timeout), self.process(name, command) as process:
                if data:
                    process.stdin.write(data)
                if not hold:
                    process.stdin.write_eof()
                return await process.stdout.read()
        except TimeoutError as problem:
            raise Unreachable(server.name, f"it did not answer within {timeout:.0f} s") from problem

    async def forward(self, name: str, remote: str) -> Path:
        """A local socket that leads to a Unix socket on the server; made again after a reconnect."""
        lock = self._forwarding.setdefault((name, remote), asyncio.Lock())
        async with lock:
            connection = await self.connection(name)
            kept = self._forwards.get((name, remote))
            if kept is not None and kept[0] == self.generation(name):
                return kept[1]
            if kept is not None:
                kept[1].unlink(missing_ok=True)
            local = self._sockets() / f"{len(self._forwards)}-{os.urandom(4).hex()}"
            try:
                # sshd leaves Nagle's algorithm on until a first session was opened, and all would wait for it.
                await self.run(name, "exec true", timeout=10.0)
                await connection.forward_local_path(str(local), remote)
            except (OSError, asyncssh.Error) as problem:
                raise explained(self.server(name), problem) from problem
            self._forwards[name, remote] = (self.generation(name), local)
            return local

    def _sockets(self) -> Path:
        if self._folder is None:
            self._folder = Path(tempfile.mkdtemp(prefix="deploybot-"))
        return self._folder

    def drop(self, name: str) -> None:
        """Cut the connection to a server without a word, as a broken link would."""
        self._links[name].drop()

    async def close(self) -> None:
        """Close all of it."""
        await asyncio.gather(*(link.close() for link in self._links.values()))
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None


def _options(server: Server) -> dict[str, Any]:
    """What asyncssh.connect is told: all of it said, nothing left to the user's files."""
    keys: list[Any] = []
    if server.key is not None:
        passphrase = server.passphrase.reveal() if server.passphrase else None
        key = asyncssh.read_private_key(server.key.file, passphrase)
        keys = [(key, asyncssh.read_certificate(server.certificate.file))] if server.certificate else [key]
    trusted = [asyncssh.import_public_key(line) for line in server.host_key]
    return {
        "username": server.user,
        "config": None,
        "known_hosts": (trusted, [], []),
        "client_keys": keys or None,
        "agent_path": os.environ.get("SSH_AUTH_SOCK") if server.agent else None,
        "password": server.password.reveal() if server.password else None,
        "gss_host": None,
        "kbdint_auth": False,
        "host_based_auth": False,
        "keepalive_interval": KEEPALIVE,
        "keepalive_count_max": KEEPALIVE_MISSED,
        "connect_timeout": server.connect_timeout,
        "login_timeout": server.connect_timeout,
    }


async def _mismatch(server: Server) -> HostKeyMismatch:
    """Say which key was pinned and which one the server shows."""
    pinned = ", ".join(asyncssh.import_public_key(line).get_fingerprint() for line in server.host_key)
    try:
        _, shown = await fetch_host_key(server)
    except Unreachable:
        shown = "another one"
    return HostKeyMismatch(
        server.name,
        f"it shows the host key {shown}, and bot.toml pins {pinned}; nothing was sent",
        hint=f"If the server was really set up anew: deploybot trust {server.name}. If not, somebody is in between.",
    )


async def fetch_host_key(server: Server) -> tuple[str, str]:
    """The host key that a server shows, as a line for bot.toml, and its SHA-256 fingerprint. Nobody logs in."""
    try:
        async with asyncio.timeout(server.connect_timeout * 2):
            key = await asyncssh.get_server_host_key(server.host, server.port, config=None)
    except (OSError, asyncssh.Error, TimeoutError) as problem:
        raise explained(server, problem) from problem
    if key is None:
        raise Unreachable(server.name, "it showed no host key")
    line = " ".join(key.export_public_key("openssh").decode().split()[:2])
    return line, key.get_fingerprint()
