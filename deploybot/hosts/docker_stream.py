"""A GET to a Docker Engine whose answer is a stream: logs and events, read by the event loop itself.

docker-py gives streams too, but a thread that follows a quiet container cannot be cancelled and ignores its
timeout, and its line by line reading is the bottleneck of a long log. So docker-py asks (`deploybot.hosts.docker`)
and this module listens: HTTP/1.1 over a Unix socket, TCP or TLS, one request a connection (RFC 9112).
"""

from __future__ import annotations

import asyncio
import json
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

from deploybot.hosts.docker_frames import BadStream, Chunked
from deploybot.settings import DockerTls

_BLOCK = 262_144
_LONGEST_ERROR = 65_536
_OK = 200


class Refused(Exception):
    """The Engine answered with an error. `status` is HTTP's, the text is the Engine's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class BrokenOff(ConnectionError):
    """The connection ended before the answer did."""


class CutShort(BrokenOff):
    """It ended within the answer's body."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where an Engine listens: `unix:///path` or `tcp://host:port`, the latter with TLS files."""

    url: str
    tls: DockerTls | None = None


class Answer:
    """The body of an answer, by whichever of RFC 9112's three ways its end is marked."""

    def __init__(self, reader: asyncio.StreamReader, headers: dict[str, str]) -> None:
        self._reader = reader
        self._chunked = Chunked() if headers.get("transfer-encoding") == "chunked" else None
        self._left = int(headers.get("content-length", "-1"))

    async def read(self, timeout: float) -> bytes:
        """What has arrived, at least a byte; nothing at the end.

        Raises TimeoutError when nothing comes for `timeout` seconds (reading may go on then), CutShort when
        the connection ends before the body, BadStream and OSError.
        """
        piece = b""
        while not piece and self._left and not (self._chunked and self._chunked.done):
            async with asyncio.timeout(timeout):
                data = await self._reader.read(_BLOCK)
            if not data:
                if self._chunked or self._left > 0:
                    raise CutShort("the connection was cut before the end")
                break
            self._left -= len(data) if self._left > 0 else 0
            piece = self._chunked.feed(data) if self._chunked else data
        return piece


@asynccontextmanager
async def get(address: Address, target: str, *, timeout: float) -> AsyncIterator[Answer]:
    """Send `GET target`, and give the answer when its head is there: within `timeout` seconds.

    Raises TimeoutError, OSError, Refused, BrokenOff and BadStream. Leaving the block drops the connection at once.
    """
    async with asyncio.timeout(timeout):
        reader, writer = await _connect(address)
    try:
        async with asyncio.timeout(timeout):
            writer.write(f"GET {target} HTTP/1.1\r\nHost: docker\r\nConnection: close\r\n\r\n".encode("ascii"))
            status, headers = await _head(reader)
        answer = Answer(reader, headers)
        if status != _OK:
            raise Refused(status, await _message(answer, timeout))
        yield answer
    finally:
        writer.transport.abort()


async def _connect(address: Address) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    url = urlsplit(address.url)
    if url.scheme == "unix":
        return await asyncio.open_unix_connection(url.path, limit=_BLOCK)
    context = _tls_context(address.tls) if address.tls else None
    reader, writer = await asyncio.open_connection(url.hostname, url.port, ssl=context, limit=_BLOCK)
    _keep_alive(writer.get_extra_info("socket"))
    return reader, writer


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


async def _head(reader: asyncio.StreamReader) -> tuple[int, dict[str, str]]:
    try:
        head = await reader.readuntil(b"\r\n\r\n")
    except asyncio.IncompleteReadError as problem:
        raise BrokenOff("the connection was closed without an answer") from problem
    except asyncio.LimitOverrunError as problem:
        raise BadStream("its answer is not HTTP") from problem
    first, *lines = head.decode("latin-1").split("\r\n")
    words = first.split(" ", 2)
    if not first.startswith("HTTP/1.") or not words[1:] or not words[1].isdecimal():
        raise BadStream("its answer is not HTTP")
    pairs = (line.partition(":") for line in lines if line)
    return int(words[1]), {name.strip().lower(): value.strip().lower() for name, _, value in pairs}


async def _message(answer: Answer, timeout: float) -> str:
    """The sentence of an error: `{"message": "…"}` in the Engine API, or plain text."""
    text = b""
    while (piece := await answer.read(timeout)) and len(text) < _LONGEST_ERROR:
        text += piece
    try:
        found = json.loads(text)
    except ValueError:
        return text.decode(errors="replace").strip()[:500]
    return str(found.get("message") or found.get("cause") or "") if isinstance(found, dict) else ""
