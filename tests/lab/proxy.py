"""A bad network: see `Proxy`. As a program it is a good one: `proxy PORT TO_HOST TO_PORT`."""

from __future__ import annotations

import asyncio
import enum
import socket
import struct
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Self

if TYPE_CHECKING:
    from types import TracebackType

_CHUNK = 1 << 16
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)


class _Mode(enum.Enum):
    FORWARD = enum.auto()
    STALL = enum.auto()
    SWALLOW = enum.auto()


class Proxy:
    """A TCP proxy on loopback that forwards to one address, until told otherwise.

    Use it as an async context manager. `sent` and `received` count the bytes that
    reached the server and the client; `connections` counts those ever accepted.
    """

    def __init__(self, to_address: str, to_port: int, *, port: int = 0) -> None:
        """Forward to `to_address:to_port` from `port` (0: a free one)."""
        self.address = "127.0.0.1"
        self.port = port
        self.sent = 0
        self.received = 0
        self.connections = 0
        self._to = (to_address, to_port)
        self._mode = _Mode.FORWARD
        self._flowing = asyncio.Event()
        self._flowing.set()
        self._limit: int | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Self:
        """Listen."""
        self._server = await asyncio.start_server(self._accept, self.address, self.port)
        self.port = self._server.sockets[0].getsockname()[1]
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Stop listening, and reset what is open."""
        assert self._server
        self._server.close()
        self.cut()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def serve_forever(self) -> None:
        """Forward until cancelled."""
        assert self._server
        await self._server.serve_forever()

    def cut(self) -> None:
        """Reset (RST) every open connection, both ways. New ones are forwarded."""
        for writer in self._writers:
            _reset(writer)
        self._writers.clear()

    def refuse(self) -> None:
        """Refuse new connections from now on."""
        assert self._server
        self._server.close()

    def cut_after(self, count: int) -> None:
        """Reset everything once `count` more bytes have gone through, either way, summed up."""
        self._limit = self.sent + self.received + count

    def stall(self) -> None:
        """Forward nothing any more, and keep every connection open: a half-open line."""
        self._set(_Mode.STALL)

    def swallow(self) -> None:
        """Take everything and throw it away: the peers see success, and no answer."""
        self._set(_Mode.SWALLOW)

    def resume(self) -> None:
        """Forward again. What was stalled arrives now, what was swallowed is lost."""
        self._set(_Mode.FORWARD)

    def _set(self, mode: _Mode) -> None:
        self._mode = mode
        if mode is _Mode.STALL:
            self._flowing.clear()
        else:
            self._flowing.set()

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        task = asyncio.current_task()
        assert task
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        self._writers.add(writer)
        with suppress(OSError, asyncio.CancelledError):
            await self._flowing.wait()
            await self._join(reader, writer)
        self._close(writer)

    async def _join(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self._mode is _Mode.SWALLOW:
            while await reader.read(_CHUNK):
                pass
            return
        there_reader, there_writer = await asyncio.open_connection(*self._to)
        self._writers.add(there_writer)
        try:
            await asyncio.gather(
                self._pump(reader, there_writer, to_server=True),
                self._pump(there_reader, writer, to_server=False),
            )
        finally:
            self._close(there_writer)

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, to_server: bool) -> None:
        while data := await reader.read(_CHUNK):
            await self._flowing.wait()
            if writer.is_closing():
                return
            if self._mode is _Mode.FORWARD:
                await self._pass_on(data, writer, to_server=to_server)
        with suppress(OSError):
            writer.write_eof()

    async def _pass_on(self, data: bytes, writer: asyncio.StreamWriter, *, to_server: bool) -> None:
        allowed = len(data) if self._limit is None else self._limit - self.sent - self.received
        writer.write(data[:allowed])
        if to_server:
            self.sent += len(data[:allowed])
        else:
            self.received += len(data[:allowed])
        await writer.drain()
        if allowed <= len(data) and self._limit is not None:
            self._limit = None
            self.cut()

    def _close(self, writer: asyncio.StreamWriter) -> None:
        self._writers.discard(writer)
        writer.close()


def _reset(writer: asyncio.StreamWriter) -> None:
    connection: socket.socket = writer.get_extra_info("socket")
    with suppress(OSError):
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
    writer.transport.abort()


async def _main(port: str, to_address: str, to_port: str) -> None:
    async with Proxy(to_address, int(to_port), port=int(port)) as proxy:
        await proxy.serve_forever()


if __name__ == "__main__":
    asyncio.run(_main(*sys.argv[1:]))
