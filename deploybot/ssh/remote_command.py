"""Run one command over an SSH connection, in bounded memory, and know whether it really ended.

A broken connection ends a channel without an error and without an exit status (RFC 4254, 5.3 and 6.10). So the output
is complete only after a received end of file, and only a received exit status counts.
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
"""Maximum bytes that wait to be read, and the size of the channel's window, which must not be larger.

When reading resumes, asyncssh gives the server a whole new window, however much data is still buffered here.
"""
_STDERR = 8_192
_KILLED = 255


class Broken(Exception):
    """The channel ended too early. It stays in this package, which raises Unreachable instead."""


class Flooded(Exception):
    """The command wrote more than allowed; the text gives the limit. Callers get BadAnswer instead."""


class Exchange(asyncssh.SSHClientSession[bytes]):
    """A running command, created by `opened`. Read its output and write its input here."""

    def __init__(self, connection: asyncssh.SSHClientConnection) -> None:
        """Prepare for a channel that is not open yet."""
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
        """Return the end of the command's stderr."""
        return self._errors.decode("utf-8", "replace")

    async def read(self) -> bytes:
        """Return the output since the last read, at least one byte; empty at the end. Raises Broken."""
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
        """Return all output up to its end. Raises Broken, and Flooded if it is longer than `limit` bytes."""
        whole = bytearray()
        while data := await self.read():
            whole += data
            if len(whole) > limit:
                raise Flooded(f"it is longer than {limit:,} bytes and begins `{ssh_errors.plain_bytes(whole)}`")
        return bytes(whole)

    async def status(self) -> int:
        """Wait for the exit status; 255 if a signal ended the command. Raises Broken."""
        while self._status is None:
            await self._change()
        return self._status

    async def write(self, data: bytes) -> None:
        """Send to stdin as fast as the command reads it. Input that it no longer reads is dropped."""
        await self._writable.wait()
        if self._channel is not None:
            with contextlib.suppress(BrokenPipeError):
                self._channel.write(data)

    def write_eof(self) -> None:
        """Close the command's stdin."""
        if self._channel is not None:
            self._channel.write_eof()

    def leave(self) -> None:
        """Close the channel, even if the command still runs."""
        if self._channel is not None:
            self._channel.abort()

    def opened_too_late(self, opening: asyncio.Task[Any]) -> None:
        """Close a channel that opened after all callers stopped waiting for it. Ignore a failed opening."""
        if not opening.cancelled():
            opening.exception()
        self.leave()

    async def _change(self) -> None:
        if self._closed:
            raise Broken
        self._changed.clear()
        await self._changed.wait()

    def connection_made(self, chan: asyncssh.SSHClientChannel[bytes]) -> None:
        """Handle the open channel; called by asyncssh."""
        self._channel = chan

    def data_received(self, data: bytes, datatype: asyncssh.DataType) -> None:
        """Buffer output and pause the server while it is read too slowly; called by asyncssh."""
        if datatype == asyncssh.EXTENDED_DATA_STDERR:
            self._errors = (self._errors + data)[-_STDERR:]
            return
        self._output += data
        if len(self._output) > _BUFFERED and self._channel is not None:
            self._channel.pause_reading()
        self._changed.set()

    def eof_received(self) -> bool:
        """Note the end of the output, and keep the channel open for the exit status; called by asyncssh."""
        self._end = True
        self._changed.set()
        return True

    def exit_status_received(self, status: int) -> None:
        """Store the exit status; called by asyncssh."""
        self._status = status
        self._changed.set()

    def exit_signal_received(self, signal: str, core_dumped: bool, msg: str, lang: str) -> None:  # noqa: FBT001  asyncssh's signature
        """Store 255 as the status of a command that a signal ended; called by asyncssh."""
        del signal, core_dumped, msg, lang
        self._status = _KILLED
        self._changed.set()

    def pause_writing(self) -> None:
        """Pause writing while the sent data waits to be read; called by asyncssh."""
        self._writable.clear()

    def resume_writing(self) -> None:
        """Continue writing when there is room again; called by asyncssh."""
        self._writable.set()

    def connection_lost(self, exc: Exception | None) -> None:
        """Close right after, when it is known whether the connection closed, too; called by asyncssh."""
        del exc
        asyncio.get_running_loop().call_soon(self._close)

    def _close(self) -> None:
        """Mark the channel closed and the output ended: the server sends the end of file before it closes."""
        self._closed = True
        self._end = self._end or not self._connection.is_closed()
        self._writable.set()
        self._changed.set()


@asynccontextmanager
async def opened(connection: asyncssh.SSHClientConnection, command: str) -> AsyncIterator[Exchange]:
    """Run a command and close its channel on exit. Raises asyncssh.ChannelOpenError if no session is available."""
    exchange = Exchange(connection)
    opening = asyncio.ensure_future(
        connection.create_session(lambda: exchange, command, encoding=None, window=_BUFFERED)
    )
    try:
        await asyncio.shield(opening)
    except asyncio.CancelledError:
        # A caller that stops waiting must not leave a session open on the server.
        opening.add_done_callback(exchange.opened_too_late)
        raise
    try:
        yield exchange
    finally:
        exchange.leave()
