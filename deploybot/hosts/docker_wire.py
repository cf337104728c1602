"""The ways that bytes of a stream come from a Docker Engine: a socket, TLS, or a channel of an SSH connection."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import urlsplit

import asyncssh

from deploybot.settings import DockerTls

_BLOCK = 65_536
_WINDOW = 524_288


@dataclass(frozen=True, slots=True)
class Address:
    """Where an Engine is reached from here: `unix:///path` or `tcp://host:port`, the latter with TLS files."""

    url: str
    tls: DockerTls | None = None


class Wire(Protocol):
    """A connection of bytes both ways."""

    def write(self, data: bytes) -> None:
        """Send; a request is short, and nobody waits for it to be taken."""

    async def read(self) -> bytes:
        """Up to 64 KiB of what has come, at least a byte; nothing at the end."""

    def abort(self) -> None:
        """Drop the connection at once."""


class SocketWire:
    """Over a socket of this machine."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Take what asyncio has connected."""
        self._reader = reader
        self._writer = writer

    @classmethod
    async def dial(cls, address: Address) -> SocketWire:
        """Connect, with TLS where files are given. Raises OSError."""
        parts = urlsplit(address.url)
        if parts.scheme == "unix":
            return cls(*await asyncio.open_unix_connection(parts.path, limit=_BLOCK))
        context = _tls_context(address.tls) if address.tls else None
        reader, writer = await asyncio.open_connection(parts.hostname, parts.port, ssl=context, limit=_BLOCK)
        _keep_alive(writer.get_extra_info("socket"))
        return cls(reader, writer)

    def write(self, data: bytes) -> None:
        """Send."""
        self._writer.write(data)

    async def read(self) -> bytes:
        """What has come."""
        return await self._reader.read(_BLOCK)

    def abort(self) -> None:
        """Drop the connection at once."""
        self._writer.transport.abort()


class ChannelWire(asyncssh.SSHUNIXSession[bytes]):
    """Over a channel that leads to a Unix socket of the server (`direct-streamlocal@openssh.com`, OpenSSH's PROTOCOL).

    asyncssh gives the server a whole new window with the first bytes that it hands over after a pause, however many
    it still holds: who reads slowly, pausing again each time, would collect everything in memory. So reading is
    paused only when more than a window waits here, and goes on only when nothing does.
    """

    def __init__(self) -> None:
        """Nothing has come yet."""
        self._channel: asyncssh.SSHUNIXChannel[bytes] | None = None
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._news = asyncio.Event()

    @classmethod
    async def dial(cls, connection: asyncssh.SSHClientConnection, path: str) -> ChannelWire:
        """Open a channel to a socket on the server. Raises ConnectionError when it does not open."""
        wire = cls()
        opening = asyncio.ensure_future(
            connection.create_unix_connection(lambda: wire, path, encoding=None, window=_WINDOW)
        )
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # Who does not wait any more must not leave a channel open.
            opening.add_done_callback(wire._opened_too_late)
            raise
        except asyncssh.Error as problem:
            raise ConnectionError(problem.reason) from problem
        return wire

    def _opened_too_late(self, opening: asyncio.Future[Any]) -> None:
        if not opening.cancelled():
            opening.exception()
        self.abort()

    def connection_made(self, chan: asyncssh.SSHUNIXChannel[bytes]) -> None:
        """Called by asyncssh when the channel is open."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: Any) -> None:  # noqa: ANN401  asyncssh's
        """Called by asyncssh."""
        del datatype  # there is one kind here
        self._waiting.append(data)
        self._size += len(data)
        if self._size > _WINDOW and not self._paused and self._channel:
            self._paused = True
            self._channel.pause_reading()
        self._news.set()

    def eof_received(self) -> bool:
        """Called by asyncssh at the end; the channel closes."""
        self._end()
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncssh when the channel is closed."""
        del exc  # whoever reads sees by what came whether that was all
        self._end()

    def _end(self) -> None:
        self._ended = True
        self._news.set()

    def write(self, data: bytes) -> None:
        """Send."""
        if self._channel:
            self._channel.write(data)

    async def read(self) -> bytes:
        """What has come."""
        while not self._waiting and not self._ended:
            self._news.clear()
            await self._news.wait()
        taken, size = [], 0
        while self._waiting and size < _BLOCK:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._size -= size
        if self._paused and not self._waiting and self._channel:
            self._paused = False
            self._channel.resume_reading()
        return b"".join(taken)

    def abort(self) -> None:
        """Drop the channel at once."""
        if self._channel:
            self._channel.abort()


def _tls_context(tls: DockerTls) -> ssl.SSLContext:
    context = ssl.create_default_context(cafile=str(tls.ca))
    context.load_cert_chain(str(tls.cert), str(tls.key))
    return context


def _keep_alive(connection: socket.socket) -> None:
    """Notice within about 20 s that the other machine is gone, also while nothing is said."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
