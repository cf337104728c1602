"""Send a GET to a Docker Engine and read a streamed answer, logs or events, on the event loop.

docker-py has streams too, but a thread that follows a quiet container can't be cancelled and ignores its timeout. It
also reads line by line, which is slow for a long log. So docker-py sends the ordinary requests
(`deploybot.engine.docker_engine`), and this module reads streams: HTTP/1.1, one request per connection (RFC 9112).
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from deploybot.engine.stream_connection import Wire
from deploybot.net.stream_frames import BadStream, Chunked
from deploybot.untrusted_input import Unreadable, digits_of, json_of, text_of

Dial = Callable[[], Awaitable[Wire]]

_LONGEST_HEAD = 65_536
_LONGEST_ERROR = 65_536
LONGEST_WORDS = 500
_OK = 200
_BLANK_LINE = b"\r\n\r\n"


class EngineRefused(Exception):
    """The Engine answered with an error. `status` is the HTTP status, the text is the Engine's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BrokenOff(ConnectionError):
    """The connection ended before the answer did."""


class CutShort(BrokenOff):
    """The connection ended within the answer's body."""


class StreamAnswer:
    """The body of an answer. Its end is marked in one of the three ways of RFC 9112."""

    def __init__(self, wire: Wire, headers: dict[str, str], first: bytes) -> None:
        """Take the bytes that arrived after the head, and the headers in lower case."""
        self._wire = wire
        self._first = first
        self._chunked = Chunked() if headers.get("transfer-encoding") == "chunked" else None
        self._left = digits_of(headers.get("content-length", "-1"), "Content-Length")

    async def read(self, timeout: float) -> bytes:
        """Return the bytes that arrived, at least one; empty at the end.

        Raises TimeoutError if nothing arrives for `timeout` seconds (reading may continue then), CutShort if the
        connection ends before the body, BadStream and OSError.
        """
        piece = b""
        while not piece and self._left and not (self._chunked and self._chunked.done):
            data, self._first = self._first, b""
            if not data:
                async with asyncio.timeout(timeout):
                    data = await self._wire.read()
            if not data:
                if self._chunked or self._left > 0:
                    raise CutShort("the connection was cut before the end")
                break
            self._left -= len(data) if self._left > 0 else 0
            piece = self._chunked.feed(data) if self._chunked else data
        return piece


@asynccontextmanager
async def get(dial: Dial, target: str, *, timeout: float) -> AsyncIterator[StreamAnswer]:
    """Send `GET target` and yield the answer after its head. Connecting and the head may take `timeout` seconds each.

    Leaving the block drops the connection. Raises OSError (also TimeoutError, BrokenOff), EngineRefused and BadStream.
    """
    async with asyncio.timeout(timeout):
        wire = await dial()
    try:
        async with asyncio.timeout(timeout):
            wire.write(f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode("ascii"))
            status, headers, first = await _head(wire)
        answer = StreamAnswer(wire, headers, first)
        if status != _OK:
            raise EngineRefused(status, await _message(answer, timeout))
        yield answer
    finally:
        wire.abort()


async def _head(wire: Wire) -> tuple[int, dict[str, str], bytes]:
    """Read the head. Return the status, the headers, and the bytes that followed."""
    came = bytearray()
    while _BLANK_LINE not in came:
        data = await wire.read()
        if not data:
            raise BrokenOff("the connection was closed without an answer")
        came += data
        if len(came) > _LONGEST_HEAD and _BLANK_LINE not in came:
            raise BadStream("its answer is not HTTP")
    head, _, rest = bytes(came).partition(_BLANK_LINE)
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not first.startswith("HTTP/1.") or not words[1:] or not words[1].isdecimal():
        raise BadStream("its answer is not HTTP")
    pairs = (line.partition(":") for line in lines)
    return (
        digits_of(words[1], "the status"),
        {name.strip().lower(): value.strip().lower() for name, _, value in pairs},
        rest,
    )


async def _message(answer: StreamAnswer, timeout: float) -> str:
    """Return the message of an error: `{"message": "…"}` in the Engine API, or plain text."""
    text = bytearray()
    async with asyncio.timeout(timeout):
        while len(text) < _LONGEST_ERROR and (piece := await answer.read(timeout)):
            text += piece
    return words_of(bytes(text))


def words_of(body: bytes) -> str:
    """Return the message in the body of an error, cut to 500 characters."""
    body = body[:_LONGEST_ERROR]
    try:
        found = json_of(body)
    except Unreadable:
        return body.decode(errors="replace").strip()[:LONGEST_WORDS]
    said = found.get("message") or found.get("cause") if isinstance(found, dict) else ""
    return text_of(said, "message")[:LONGEST_WORDS] if isinstance(said, str) and said else ""
