"""One command over an SSH connection: its output in bounded memory, and whether its end was really seen.

A link that breaks ends a channel without an error and without an exit status (RFC 4254, 5.3 and 6.10), so only an
end of file that was received is the end of the output, and only a received exit status is one.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import asyncssh

from deploybot.ssh import ssh_errors

_BUFFERED = 262_144
"""Bytes that wait to be read, and the channel's window, which must not be larger.

With the first bytes after a pause asyncssh gives the server a whole new window, whatever it still holds.
"""
_STDERR = 8_192
_KILLED = 255


class Broken(Exception):
    """The channel ended before what was waited for. It never leaves this package: Unreachable is made of it."""


class Flooded(Exception):
    """The command writes more than it may; the text says how much that is. BadAnswer is made of it."""


class Exchange(asyncssh.SSHClientSession[bytes]):
    """A running command. Made by `opened`; output is read from it, what it should read is written to it."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        """Nothing has happened yet."""
        self._connection = connection
        self._channel: asyncssh.SSHClientChannel[bytes] | None = None
        self._output = bytearray()
        self._errors = bytearray()
        self._end = False
        self._closed = False
        self._status: int | None = None
        self._changed = asyncio.Event()
        self._writable = asyncio.Event()
        self._writable.set()

    @property
    def errors(self) -> str:
        """The end of what it wrote to stderr."""
        return self._errors.decode("utf-8", "replace")

    async def read(self) -> bytes:
        """What has come since the last time, at least one byte; empty at the end of the output. Raises Broken."""
        while not self._output:
            if self._end:
                return b""
            await self._change()
        data = bytes(self._output)
        self._output.clear()
        if self._channel is not None:
            self._channel.resume_reading()
        return data

    async def rest(self, limit: int) -> bytes:
        """All output up to its end. Raises Broken, and Flooded where it is longer than `limit` bytes."""
        whole = bytearray()
        while data := await self.read():
            whole += data
            if len(whole) > limit:
                raise Flooded(f"it is longer than {limit:,} bytes and begins `{ssh_errors.plain_bytes(whole)}`")
        return bytes(whole)

    async def status(self) -> int:
        """The exit status once it has come, 255 for an end by a signal. Raises Broken."""
        while self._status is None:
            await self._change()
        return self._status

    async def write(self, data: bytes) -> None:
        """Send to its stdin, as fast as it reads. What a program does not read any more is dropped."""
        await self._writable.wait()
        if self._channel is not None:
            with contextlib.suppress(BrokenPipeError):
                self._channel.write(data)

    def write_eof(self) -> None:
        """End its stdin."""
        if self._channel is not None:
            self._channel.write_eof()

    def leave(self) -> None:
        """Close the channel, whatever still goes on."""
        if self._channel is not None:
            self._channel.abort()

    def opened_too_late(self, opening: asyncio.Task[Any]) -> None:
        """Called when the channel is open, or could not be opened, after everybody had stopped waiting for it."""
        if not opening.cancelled():
            opening.exception()
        self.leave()

    async def _change(self) -> None:
        if self._closed:
            raise Broken
        self._changed.clear()
        await self._changed.wait()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Called by asyncssh when the channel is open."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Called by asyncssh; what is read too slowly is held back on the server."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._errors = (self._errors + data)[-_STDERR:]
            return
        self._output += data
        if len(self._output) > _BUFFERED and self._channel is not None:
            self._channel.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        """Called by asyncssh; the channel stays open for the exit status."""
        self._end = True
        self._changed.set()
        return True

    def exit_status_received(self, status: int) -> None:
        """Called by asyncssh."""
        self._status = status
        self._changed.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: FBT001  asyncssh's signature
        """Called by asyncssh."""
        del signal, core_dumped, msg, lang
        self._status = _KILLED
        self._changed.set()

    def pause_writing(self) -> None:
        """Called by asyncssh when what was written waits to be read."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Called by asyncssh when there is room again."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Called by asyncssh when the channel is closed, by whomever; whether the link is, too, shows right after."""
        del exc
        asyncio.get_running_loop().call_soon(self._close)

    def _close(self) -> None:
        """The server may close a channel before asyncssh has told of the end of file, but only after it."""
        self._closed = True
        self._end = self._end or not self._connection.is_closed()
        self._writable.set()
        self._changed.set()


@asynccontextmanager
async def opened(connection: asyncssh.SSHClientConnection, command: str) -> AsyncIterator[Exchange]:
    """Run a command; it is left when the block is. Raises asyncssh.ChannelOpenError when no session can be had."""
    exchange = Exchange(connection)
    opening = asyncio.ensure_future(
        connection.create_session(lambda: exchange, command, encoding=None, window=_BUFFERED)
    )
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        # Whoever does not wait any more must not leave a session open on the server.
        opening.add_done_callback(exchange.opened_too_late)
        raise
    try:
        yield exchange
    finally:
        exchange.leave()
