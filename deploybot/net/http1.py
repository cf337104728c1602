"""Read the answer to one request over any connection: HTTP/1.1 (RFC 9112), by h11, one request per connection.

What arrives is bounded: a head by 64 KiB, and a piece of the body by what one read of the connection returns. Callers
set the timeouts, and may continue to read after one.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Awaitable, Callable

import h11

_LONGEST_HEAD = 65_536
_MOST_INTERIM = 10
_MARK = b"HTTP/1."
_AT_ONCE = 500
"""Chunks to decode before other tasks have a turn. A block of bytes may hold 20,000 of one byte each."""
_END_OF_HEAD = b"\r\n\r\n"
_CHUNK = re.compile(rb"([0-9A-Fa-f]{1,5})\r\n")
_BEGUN_SIZE = re.compile(rb"[0-9A-Fa-f]{0,5}\r?")
_LONGEST_CHUNK = 65_536
_NO_BODY = frozenset({204, 304})
_NO_HTTP = "it does not speak HTTP"


class NotHttp(ValueError):
    """The bytes violate the protocol."""


class CutShort(ConnectionError):
    """The connection ended within the body of an answer."""


class HttpExchange:
    """A GET and its answer. `read` returns some bytes from the connection; empty at its end.

    Chunks in their usual form are decoded here, because Engines send each line of a log as a chunk, and h11 takes
    several times as long for one. h11 decodes everything else: the head, and all from the first unusual chunk on.
    """

    def __init__(self, read: Callable[[], Awaitable[bytes]]) -> None:
        """Start before the request."""
        self._read = read
        self._h11 = h11.Connection(h11.CLIENT, max_incomplete_event_size=_LONGEST_HEAD)
        self._beginning = b""
        self._tail = b""
        self._held = b""
        self._usual = False
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
                self._begin_body(event)
                return event.status_code
            interim += isinstance(event, h11.InformationalResponse)
            if event is h11.NEED_DATA:
                data = self._held or await self._read()
                if not data:
                    raise ConnectionError("the connection was closed without an answer")
                self._beginning = (self._beginning + data)[: len(_MARK)]
                # Other protocols may greet, and then wait for an answer.
                if not _MARK.startswith(self._beginning):
                    raise NotHttp(_NO_HTTP)
                self._h11.receive_data(self._head_in(data))
        raise NotHttp("it sends interim answers only")

    def _head_in(self, data: bytes) -> bytes:
        """Return the part of some bytes that belongs to a head, and hold the rest."""
        seen = self._tail + data
        end = seen.find(_END_OF_HEAD)
        size = len(data) if end < 0 else end + len(_END_OF_HEAD) - len(self._tail)
        self._tail = b"" if end >= 0 else seen[1 - len(_END_OF_HEAD) :]
        self._held = data[size:]
        return data[:size]

    def _begin_body(self, head: h11.Response) -> None:
        coding = dict(head.headers).get(b"transfer-encoding", b"")
        # A head with bare line feeds ends elsewhere: h11 has some of the body then.
        begun, _ = self._h11.trailing_data
        self._usual = coding.lower() == b"chunked" and head.status_code not in _NO_BODY and not begun
        if not self._usual:
            self._leave_to_h11()

    def _leave_to_h11(self) -> None:
        self._usual = False
        if self._held:
            self._h11.receive_data(self._held)
        self._held = b""

    async def _usual_chunks(self) -> list[bytes]:
        """Return the data of chunks as it arrived; none from the first unusual chunk on."""
        while self._usual:
            pieces, size, is_usual = _whole_chunks(self._held)
            self._held = self._held[size:]
            if is_usual and len(pieces) < _AT_ONCE:
                part, self._held = _begun_chunk(self._held)
                pieces += [part] if part else []
            if pieces:
                return pieces
            data = await self._read() if is_usual else b""
            self._held += data
            self._closed = is_usual and not data
            if not data:
                self._leave_to_h11()
        if self._closed:
            self._h11.receive_data(b"")
        return []

    async def body(self) -> bytes:
        """Return the bytes of the body that arrived, at least one; empty at its end. Raises NotHttp and CutShort."""
        if self._has_more:
            await asyncio.sleep(0)
        pieces = await self._usual_chunks() if self._usual else []
        if pieces:
            self._has_more = len(pieces) == _AT_ONCE
            return b"".join(pieces)
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


def _begun_chunk(data: bytes) -> tuple[bytes, bytes]:
    """Return what arrived of a chunk's data, but for its last byte, and the rest as a chunk of its own."""
    found = _CHUNK.match(data)
    if found is None:
        return b"", data
    size, start = int(found[1], 16), found.end()
    arrived = min(len(data) - start, size - 1)
    if arrived <= 0:
        return b"", data
    return data[start : start + arrived], b"%x\r\n%s" % (size - arrived, data[start + arrived :])


def _whole_chunks(data: bytes) -> tuple[list[bytes], int, bool]:
    """Return the data of the whole chunks that some bytes begin with, and how many bytes those are.

    The last value is whether the rest may become a usual chunk: one with data, not too long, without an extension.
    """
    pieces: list[bytes] = []
    at = 0
    while len(pieces) < _AT_ONCE:
        found = _CHUNK.match(data, at)
        if found is None:
            return pieces, at, _BEGUN_SIZE.fullmatch(data, at) is not None
        size, start = int(found[1], 16), found.end()
        end = data[start + size : start + size + 2]
        if not 0 < size <= _LONGEST_CHUNK or not b"\r\n".startswith(end):
            return pieces, at, False
        if len(end) < len(b"\r\n"):
            return pieces, at, True
        pieces.append(data[start : start + size])
        at = start + size + 2
    return pieces, at, True
