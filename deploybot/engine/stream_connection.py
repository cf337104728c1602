"""Carry the bytes of a Docker Engine's stream over a socket, TLS, or a channel of an SSH connection."""

from __future__ import annotations

import abc
import asyncio
import socket
import ssl
from collections import deque
from dataclasses import dataclass
from typing import Any, cast
from urllib.parse import urlsplit

import asyncssh

from deploybot import trusted_files
from deploybot.settings import DockerTls

_BLOCK = 131_072
_WINDOW = 524_288
_GATHER = 0.004
"""Seconds to wait for more bytes to join the first: a log arrives in pieces of a line or two."""


@dataclass(frozen=True, slots=True)
class EngineAddress:
    """The address of an Engine, seen from the bot: `unix:///path` or `tcp://host:port`, the latter with TLS files."""

    url: str
    tls: DockerTls | None = None


class Wire(abc.ABC):
    """A two-way connection of bytes. A slow reader holds the other side back.

    asyncssh gives a server a whole new window with the first bytes that it delivers after a pause, however many it
    still buffers. A pause after every few bytes would collect everything in memory. So reading pauses only when two
    windows wait here, and continues when there is room for all bytes that one pause can leave.
    """

    def __init__(self) -> None:
        """Start without any data."""
        self._waiting: deque[bytes] = deque()
        self._size = 0
        self._paused = False
        self._ended = False
        self._news = asyncio.Event()

    @abc.abstractmethod
    def write(self, data: bytes) -> None:
        """Send `data`. A request is short, so this does not wait."""

    @abc.abstractmethod
    def abort(self) -> None:
        """Drop the connection at once."""

    @abc.abstractmethod
    def _hold(self, *, back: bool) -> None:
        """Pause the other side, or let it continue."""

    async def read(self) -> bytes:
        """Return up to about 128 KiB, at least a byte; empty at the end. A cancelled read loses nothing."""
        while not self._waiting and not self._ended:
            self._news.clear()
            await self._news.wait()
        if self._size < _BLOCK and not self._ended:
            await asyncio.sleep(_GATHER)
        taken, size = [], 0
        while self._waiting and size < _BLOCK:
            taken.append(self._waiting.popleft())
            size += len(taken[-1])
        self._size -= size
        if self._paused and self._size <= _WINDOW:
            self._paused = False
            self._hold(back=False)
        return b"".join(taken)

    def _take(self, data: bytes) -> None:
        """Buffer data that arrived."""
        self._waiting.append(data)
        self._size += len(data)
        if self._size > 2 * _WINDOW and not self._paused:
            self._paused = True
            self._hold(back=True)
        self._news.set()

    def _end(self) -> None:
        """Mark the end of the data. The data itself shows whether it is complete."""
        self._ended = True
        self._news.set()


class SocketWire(Wire, asyncio.Protocol):
    """A connection over a socket of this machine."""

    def __init__(self) -> None:
        """Use `dial` instead."""
        super().__init__()
        self._transport: asyncio.Transport | None = None

    @classmethod
    async def dial(cls, address: EngineAddress) -> SocketWire:
        """Connect, with TLS if files are given. Raises OSError."""
        loop, parts = asyncio.get_running_loop(), urlsplit(address.url)
        if parts.scheme == "unix":
            return (await loop.create_unix_connection(cls, parts.path))[1]
        context = tls_context(address.tls) if address.tls else None
        transport, wire = await loop.create_connection(cls, parts.hostname or "", parts.port or 0, ssl=context)
        _keep_alive(transport.get_extra_info("socket"))
        return wire

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Store the transport; called by asyncio."""
        self._transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        """Buffer the data; called by asyncio."""
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark the end, also of a complete stream; called by asyncio."""
        del exc
        self._end()

    def write(self, data: bytes) -> None:
        """Send `data`."""
        if self._transport:
            self._transport.write(data)

    def abort(self) -> None:
        """Drop the connection at once."""
        if self._transport:
            self._transport.abort()

    def _hold(self, *, back: bool) -> None:
        if self._transport and not self._transport.is_closing():
            (self._transport.pause_reading if back else self._transport.resume_reading)()


class ChannelWire(Wire, asyncssh.SSHUNIXSession[bytes]):
    """A channel to a Unix socket of the server (`direct-streamlocal@openssh.com`, OpenSSH's PROTOCOL)."""

    def __init__(self) -> None:
        """Use `dial` instead."""
        super().__init__()
        self._channel: asyncssh.SSHUNIXChannel[bytes] | None = None

    @classmethod
    async def dial(cls, connection: asyncssh.SSHClientConnection, path: str) -> ChannelWire:
        """Open a channel to a socket on the server. Raises ConnectionError if it does not open."""
        wire = cls()
        opening = asyncio.ensure_future(
            connection.create_unix_connection(lambda: wire, path, encoding=None, window=_WINDOW)
        )
        try:
            await asyncio.shield(opening)
        except asyncio.CancelledError:
            # A caller that stops waiting must not leave a channel open.
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
        """Store the open channel; called by asyncssh."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: Any) -> None:  # noqa: ANN401  asyncssh's
        """Buffer the data; called by asyncssh."""
        del datatype  # there is one kind here
        self._take(data)

    def connection_lost(self, exc: Exception | None) -> None:
        """Mark the end, also of a complete stream; called by asyncssh."""
        del exc
        self._end()

    def write(self, data: bytes) -> None:
        """Send `data`."""
        if self._channel:
            self._channel.write(data)

    def abort(self) -> None:
        """Drop the channel at once."""
        if self._channel:
            self._channel.abort()

    def _hold(self, *, back: bool) -> None:
        if self._channel:
            (self._channel.pause_reading if back else self._channel.resume_reading)()


def tls_context(tls: DockerTls) -> ssl.SSLContext:
    """Return a context with the TLS files of bot.toml. It checks the Engine's certificate and sends the bot's.

    Raises OSError and trusted_files.UnsafeFileError.
    """
    context = ssl.create_default_context(cadata=trusted_files.read(tls.ca).decode("ascii", errors="replace"))
    # Certificates made as Docker's documentation says have no key identifiers. Python 3.13 would refuse them; Docker's
    # own client and Python before 3.13 do not.
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT
    # OpenSSL accepts only paths for these files. A file that only trusted users can change stays as verified here.
    trusted_files.verify(tls.cert)
    trusted_files.verify(tls.key, private=True)
    context.load_cert_chain(str(tls.cert), str(tls.key))
    return context


def _keep_alive(connection: socket.socket) -> None:
    """Detect within about 20 s that the other machine is gone, even on an idle connection."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 10)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 5)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 2)
