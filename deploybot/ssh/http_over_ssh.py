"""Send one HTTP GET from a server, through its SSH connection. HTTP/1.1 is RFC 9112.

asyncssh's channels are not sockets, so TLS runs over memory (`ssl.MemoryBIO`). This module reads only the HTTP that a
health check needs: status, headers and the beginning of the body. It does not follow redirects.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import ssl
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import asyncssh

from deploybot.errors import Unreachable
from deploybot.net.stream_frames import BadStream, Chunked

T = TypeVar("T")
Way = tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]
Open = Callable[[str, int], Awaitable[Way]]
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?", re.ASCII)
_LONGEST_HEAD = 65_536
_SHOWN = 200
_BODY = 4 * _SHOWN
_BODY_WITHIN = 1.0
_CHUNK = 16_384
_DIGITS = 18
_FIRST_FINAL = 200
_MARK = b"HTTP/1."
_HTTPS = 443
_HTTP = 80


class _Bad(Exception):
    """The other side does not speak HTTP; the text describes what was received."""


@dataclass(frozen=True, slots=True)
class _Head:
    status: int
    length: int | None
    chunked: bool


class _Plain:
    """A channel without TLS."""

    def __init__(self, reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes]) -> None:
        self._reader = reader
        self._writer = writer

    async def read(self) -> bytes:
        """Read some bytes; empty at the end."""
        return await self._reader.read(_CHUNK)

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        self._writer.write(data)
        await self._writer.drain()


class _Tls:
    """TLS over a plain channel, checked against the system's trusted CAs and the URL's host name."""

    def __init__(self, below: _Plain, name: str, context: ssl.SSLContext) -> None:
        self._below = below
        self._in = ssl.MemoryBIO()
        self._out = ssl.MemoryBIO()
        self._tls = context.wrap_bio(self._in, self._out, server_hostname=name)

    async def handshake(self) -> None:
        """Do the TLS handshake. Raises ssl.SSLError."""
        await self._insist(self._tls.do_handshake)

    async def read(self) -> bytes:
        """Read some bytes; empty at the end."""
        try:
            return await self._insist(lambda: self._tls.read(_CHUNK))
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            return b""

    async def write(self, data: bytes) -> None:
        """Send all of `data`."""
        await self._insist(lambda: self._tls.write(data))

    async def _insist(self, act: Callable[[], T]) -> T:
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                await self._flush()
                data = await self._below.read()
                self._in.write(data) if data else self._in.write_eof()
            else:
                await self._flush()
                return result

    async def _flush(self) -> None:
        if data := self._out.read():
            await self._below.write(data)


async def get(url: str, open_: Open, *, timeout: float) -> tuple[int, str]:
    """GET an http or https URL through `open_(host, port)`. Return the status code and the body's first 200 characters.

    Raises Unreachable with the reason when no HTTP server answers within `timeout` seconds.
    """
    parts = urlsplit(url)
    try:
        async with asyncio.timeout(timeout):
            return await _ask(parts, open_)
    except TimeoutError as problem:
        raise Unreachable(url, f"no answer within {timeout:g} s") from problem
    except ssl.SSLError as problem:
        raise Unreachable(url, _tls_words(problem)) from problem
    except (_Bad, asyncssh.Error, OSError) as problem:
        raise Unreachable(url, str(problem) or "the connection was closed") from problem


async def _ask(parts: SplitResult, open_: Open) -> tuple[int, str]:
    host = parts.hostname or ""
    port = parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)
    reader, writer = await open_(host, port)
    try:
        way: _Plain | _Tls = _Plain(reader, writer)
        if parts.scheme == "https":
            way = _Tls(_Plain(reader, writer), host, await asyncio.to_thread(ssl.create_default_context))
            await way.handshake()
        await way.write(_request(parts))
        head, body = await _head(way)
        return head.status, await _beginning(way, head, body)
    finally:
        writer.channel.abort()


def _request(parts: SplitResult) -> bytes:
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    place = parts.netloc.rpartition("@")[2]
    lines = [f"GET {path} HTTP/1.1", f"Host: {place}", "User-Agent: deploybot", "Accept: */*", "Connection: close"]
    return ("\r\n".join(lines) + "\r\n\r\n").encode("utf-8")


async def _head(way: _Plain | _Tls) -> tuple[_Head, bytes]:
    """Read the head of the final response. Return it and the part of the body that arrived with it."""
    data = b""
    while True:
        head, end, rest = data.partition(b"\r\n\r\n")
        if end:
            read = _read_head(head)
            if read.status >= _FIRST_FINAL:
                return read, rest
            data = rest
            continue
        more = await way.read()
        data += more
        if not more:
            raise _Bad("the connection was closed without an answer" if not data else "it does not speak HTTP")
        if len(data) > _LONGEST_HEAD or not _MARK.startswith(data[: len(_MARK)]):
            raise _Bad("it does not speak HTTP")


def _read_head(head: bytes) -> _Head:
    first, *lines = head.split(b"\r\n")
    status = _STATUS.fullmatch(first)
    if status is None:
        raise _Bad("it does not speak HTTP")
    fields = {name.strip().lower(): value.strip() for name, _, value in (line.partition(b":") for line in lines)}
    length = fields.get(b"content-length", b"")
    chunked = fields.get(b"transfer-encoding", b"").lower() == b"chunked"
    # Ignore a longer number: only the beginning of such a body is read anyway.
    return _Head(int(status[1]), int(length) if length.isdigit() and len(length) <= _DIGITS else None, chunked)


async def _beginning(way: _Plain | _Tls, head: _Head, body: bytes) -> str:
    """Read the beginning of the body. A slow or broken body is ignored: the status is valid without it."""
    chunks = Chunked() if head.chunked else None
    length = head.length if head.length is not None and not head.chunked else _BODY
    with contextlib.suppress(TimeoutError, BadStream, asyncssh.Error, OSError):
        body = chunks.feed(body) if chunks else body
        async with asyncio.timeout(_BODY_WITHIN):
            while len(body) < min(length, _BODY) and not (chunks and chunks.done) and (more := await way.read()):
                body += chunks.feed(more) if chunks else more
    return body[: min(length, _BODY)].decode("utf-8", "replace")[:_SHOWN]


def _tls_words(problem: ssl.SSLError) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {problem.verify_message}"
    return f"TLS failed: {problem.reason or 'it does not speak TLS'}"
