"""Read the answer to one request over any connection: HTTP/1.1 (RFC 9112), by h11, one request per connection.

What arrives is bounded: a head by 64 KiB, and a piece of the body by what one read of the connection returns. Callers
set the timeouts, and may continue to read after one.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import h11

_LONGEST_HEAD = 65_536
_MOST_INTERIM = 10
_MARK = b"HTTP/1."
_AT_ONCE = 500
"""Chunks to decode before other tasks have a turn. A block of bytes may hold 20,000 of one byte each."""
_NO_HTTP = "it does not speak HTTP"


class NotHttp(ValueError):
    """The bytes violate the protocol."""


class CutShort(ConnectionError):
    """The connection ended within the body of an answer."""


class HttpExchange:
    """A GET and its answer. `read` returns some bytes from the connection; empty at its end."""

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        """Start before the request."""
        self._read = read
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._beginning = b""
        self._closed = False
        self._ended = False
        self._has_more = False

    def request(self, target: str, *headers: tuple[str, str]) -> bytes:
        """Return the bytes to send for a GET."""
        request = h11.Request(method="GET", target=target, headers=[*headers, ("Connection", "close")])
        return (self._h11.send(request) or b"") + (self._h11.send(h11.EndOfMessage()) or b"")

    async def status(self) -> int:
        """Read the head of the final answer and return its status.

        Raises NotHttp, and ConnectionError if the connection ends before.
        """
        interim = 0
        while interim < _MOST_INTERIM:
            event = self._event()
            if isinstance(event, h11.Response):
                return event.status_code
            interim += isinstance(event, h11.InformationalResponse)
            if event is h11.NEED_DATA:
                data = await self._read()
                if not data:
                    raise ConnectionError("the connection was closed without an answer")
                self._beginning = (self._beginning + data)[: len(_MARK)]
                # Other protocols may greet, and then wait for an answer.
                if not _MARK.startswith(self._beginning):
                    raise NotHttp(_NO_HTTP)
                self._h11.receive_data(data)
        raise NotHttp("it sends interim answers only")

    async def body(self) -> bytes:
        """Return the bytes of the body that arrived, at least one; empty at its end. Raises NotHttp and CutShort."""
        if self._has_more:
            await asyncio.sleep(0)
        pieces: list[bytes] = []
        while not self._ended and len(pieces) < _AT_ONCE:
            event = self._event()
            if isinstance(event, h11.Data):
                pieces.append(event.data)
            elif isinstance(event, h11.EndOfMessage):
                self._ended = True
            elif pieces:
                break
            else:
                data = await self._read()
                self._closed = not data
                self._h11.receive_data(data)
        self._has_more = len(pieces) == _AT_ONCE
        return b"".join(pieces)

    def _event(self) -> object:
        try:
            return self._h11.next_event()
        except h11.RemoteProtocolError as problem:
            if self._closed:
                raise CutShort("the connection was cut before the end") from problem
            raise NotHttp(_NO_HTTP) from problem
