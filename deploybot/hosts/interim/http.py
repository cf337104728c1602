"""One GET over a channel through SSH: HTTP/1.1 (RFC 9112), only as much of it as a health check needs."""

from __future__ import annotations

import re
import ssl
from collections.abc import Callable
from typing import TypeVar
from urllib.parse import urlsplit

import asyncssh

from deploybot.errors import Unreachable

T = TypeVar("T")
_STATUS = re.compile(rb"HTTP/1\.[01] (\d{3})(?: [^\r\n]*)?\r?\n")
_HEAD_LIMIT = 16_384
_BODY_LIMIT = 800
_SHOWN = 200


async def get(connection: asyncssh.SSHClientConnection, url: str) -> tuple[int, str]:
    """The status code and the first 200 characters of the body; follows no redirect.

    Raises Unreachable when nothing listens there, or what answers does not speak HTTP.
    """
    parts = urlsplit(url)
    host, tls = parts.hostname or "", parts.scheme == "https"
    port = parts.port or (443 if tls else 80)
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    request = f"GET {target} HTTP/1.1\r\nHost: {parts.netloc}\r\nUser-Agent: deploybot\r\nConnection: close\r\n\r\n"
    try:
        reader, writer = await connection.open_connection(host, port)
    except asyncssh.ChannelOpenError as problem:
        raise Unreachable(url, f"nothing listens on port {port} there") from problem
    try:
        answer = await (_over_tls(reader, writer, host, request) if tls else _plain(reader, writer, request))
    except ssl.SSLError as problem:
        raise Unreachable(url, f"TLS failed: {problem.reason}") from problem
    finally:
        writer.close()
    return _parsed(url, answer)


async def _plain(
    reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes], request: str
) -> bytes:
    writer.write(request.encode("ascii", "replace"))
    data = b""
    while len(data) < _HEAD_LIMIT and (chunk := await reader.read(4096)):
        data += chunk
        if _enough(data):
            break
    return data


async def _over_tls(
    reader: asyncssh.SSHReader[bytes], writer: asyncssh.SSHWriter[bytes], host: str, request: str
) -> bytes:
    """The same inside TLS, whose certificate is checked as everywhere."""
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = ssl.create_default_context().wrap_bio(incoming, outgoing, server_hostname=host)
    await _pump(tls.do_handshake, reader, writer, incoming, outgoing)
    tls.write(request.encode("ascii", "replace"))
    data = b""
    while len(data) < _HEAD_LIMIT:
        chunk = await _pump(lambda: tls.read(4096), reader, writer, incoming, outgoing)
        data += chunk or b""
        if not chunk or _enough(data):
            break
    return data


async def _pump(
    act: Callable[[], T],
    reader: asyncssh.SSHReader[bytes],
    writer: asyncssh.SSHWriter[bytes],
    incoming: ssl.MemoryBIO,
    outgoing: ssl.MemoryBIO,
) -> T | None:
    """Do something in TLS, carrying its bytes to and fro until it is done; None at the other side's end."""
    while True:
        try:
            done: T | None = act()
        except ssl.SSLWantReadError:
            done, wants = None, True
        except ssl.SSLZeroReturnError:
            return None
        else:
            wants = False
        if outgoing.pending:
            writer.write(outgoing.read())
        if not wants:
            return done
        chunk = await reader.read(16_384)
        if not chunk:
            return None
        incoming.write(chunk)


def _enough(data: bytes) -> bool:
    """Whether the head and as much of the body as is shown are there."""
    head, gap, body = data.partition(b"\r\n\r\n")
    return bool(gap) and (len(body) >= _BODY_LIMIT or _length(head) <= len(body))


def _length(head: bytes) -> int:
    found = re.search(rb"(?im)^content-length:\s*(\d+)\s*$", head)
    return min(int(found[1]), _BODY_LIMIT) if found else _BODY_LIMIT


def _parsed(url: str, data: bytes) -> tuple[int, str]:
    status = _STATUS.match(data)
    if status is None:
        raise Unreachable(url, "what answers there does not speak HTTP" if data else "it closed the connection")
    body = data.partition(b"\r\n\r\n")[2]
    return int(status[1]), body.decode("utf-8", "replace")[:_SHOWN]
