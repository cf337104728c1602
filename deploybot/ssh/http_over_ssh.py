"""Send one HTTP GET from a server, through its SSH connection. HTTP/1.1 is RFC 9112.

asyncssh's channels are not sockets, so TLS runs over memory (`ssl.MemoryBIO`). A health check needs the status
and the beginning of the body. Redirects are not followed.
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar
from urllib.parse import SplitResult, urlsplit

import asyncssh

from deploybot.errors import Unreachable
from deploybot.net.http1 import HttpExchange, NotHttp

T = TypeVar("T")
Way = tuple[asyncssh.SSHReader[bytes], asyncssh.SSHWriter[bytes]]
Open = Callable[[str, int], Awaitable[Way]]
_SHOWN = 200
_BODY = 4 * _SHOWN
_BODY_WITHIN = 1.0
_CHUNK = 16_384
_CAS_KEPT = 3600.0
_HTTPS = 443
_HTTP = 80


class TlsContext:
    """What TLS trusts: the system's CAs. They are read once an hour, because that keeps the event loop waiting."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        """Read nothing yet."""
        self._clock = clock
        self._turn = asyncio.Lock()
        self._context: ssl.SSLContext | None = None
        self._read_at = 0.0

    @property
    def is_known(self) -> bool:
        """Whether they were read before."""
        return self._context is not None

    def forget(self) -> None:
        """Read them again next time: a certificate is not trusted, and its CA may have been added."""
        self._context = None

    async def get(self) -> ssl.SSLContext:
        """Return the context; a new one if that is old, because a CA may have been removed."""
        async with self._turn:
            if self._context is None or self._clock() - self._read_at > _CAS_KEPT:
                self._context = await asyncio.to_thread(ssl.create_default_context)
                self._read_at = self._clock()
            return self._context


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


async def get(url: str, open_: Open, *, timeout: float, tls: TlsContext | None = None) -> tuple[int, str]:
    """GET an http or https URL through `open_(host, port)`. Return the status code and the body's first 200 characters.

    `tls` is what earlier calls have read already. Raises Unreachable with the reason when no HTTP server answers within
    `timeout` seconds.
    """
    parts = urlsplit(url)
    tls = tls or TlsContext()
    try:
        async with asyncio.timeout(timeout):
            return await _ask_with(parts, open_, tls)
    except TimeoutError as problem:
        raise Unreachable(url, f"no answer within {timeout:g} s") from problem
    except ssl.SSLError as problem:
        raise Unreachable(url, _tls_words(problem)) from problem
    except (NotHttp, asyncssh.Error, OSError) as problem:
        raise Unreachable(url, str(problem) or "the connection was closed") from problem


async def _ask_with(parts: SplitResult, open_: Open, tls: TlsContext) -> tuple[int, str]:
    """Ask with the CAs that are known, and once more with those of now if the certificate is not trusted."""
    known = tls.is_known
    try:
        return await _ask(parts, open_, tls)
    except ssl.SSLCertVerificationError:
        tls.forget()
        if not known:
            raise
    return await _ask(parts, open_, tls)


async def _ask(parts: SplitResult, open_: Open, tls: TlsContext) -> tuple[int, str]:
    host = parts.hostname or ""
    port = parts.port or (_HTTPS if parts.scheme == "https" else _HTTP)
    reader, writer = await open_(host, port)
    try:
        way: _Plain | _Tls = _Plain(reader, writer)
        if parts.scheme == "https":
            way = _Tls(_Plain(reader, writer), host, await tls.get())
            await way.handshake()
        exchange = HttpExchange(way.read)
        await way.write(exchange.request(_target(parts), *_headers(parts)))
        return await exchange.status(), await _beginning(exchange)
    finally:
        writer.channel.abort()


def _target(parts: SplitResult) -> str:
    return (parts.path or "/") + (f"?{parts.query}" if parts.query else "")


def _headers(parts: SplitResult) -> tuple[tuple[str, str], ...]:
    return ("Host", parts.netloc.rpartition("@")[2]), ("User-Agent", "deploybot"), ("Accept", "*/*")


async def _beginning(exchange: HttpExchange) -> str:
    """Read the beginning of the body. A slow or broken body is ignored: the status is valid without it."""
    body = b""
    with contextlib.suppress(TimeoutError, NotHttp, asyncssh.Error, OSError):
        async with asyncio.timeout(_BODY_WITHIN):
            while len(body) < _BODY and (more := await exchange.body()):
                body += more
    return body[:_BODY].decode("utf-8", "replace")[:_SHOWN]


def _tls_words(problem: ssl.SSLError) -> str:
    if isinstance(problem, ssl.SSLCertVerificationError):
        return f"its certificate is not trusted: {problem.verify_message}"
    return f"TLS failed: {problem.reason or 'it does not speak TLS'}"
