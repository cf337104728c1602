"""Webhooks by the thousand: signed requests, sent over a number of connections that stay, each answered before the next.

Requests are made before the clock runs, and the client reads no more of an answer than its status and its end: what is
measured is the server.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tests.lab import LabError

_WITHIN = 120.0
_BODY = 17_000
_COMMITS = 20


@dataclass(frozen=True, slots=True)
class Hammered:
    """How many requests a second were answered with 2xx, and what each took, in seconds."""

    rate: float
    times: tuple[float, ...]


def requests(path: str, secret: str, count: int, run: str) -> list[bytes]:
    """So many GitHub pushes as HTTP requests, every one another delivery with a body of 17 kB; `run` tells runs apart."""
    return list(_requests(path, secret, count, run))


def _requests(path: str, secret: str, count: int, run: str) -> Iterator[bytes]:
    text = "x" * (_BODY // _COMMITS - 200)
    commits = [{"id": f"{number:040x}", "message": text, "author": {"name": "ana"}} for number in range(_COMMITS)]
    push = {
        "ref": "refs/heads/main",
        "before": "0" * 40,
        "after": "@" * 40,
        "repository": {"full_name": "acme/shop", "html_url": "https://github.com/acme/shop"},
        "pusher": {"name": "ana"},
        "commits": commits,
        "padding": "",
    }
    push["padding"] = "x" * (_BODY - len(json.dumps(push)))
    before, after = json.dumps(push).encode().split(b"@" * 40)
    for number in range(count):
        name = hashlib.sha1(f"{run} {number}".encode(), usedforsecurity=False).hexdigest()
        body = before + name.encode() + after
        proof = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        head = (
            f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nX-GitHub-Event: push\r\n"
            f"X-GitHub-Delivery: {name}\r\nX-Hub-Signature-256: sha256={proof}\r\nContent-Length: {len(body)}\r\n\r\n"
        )
        yield head.encode() + body


def hammer(port: int, made: Sequence[bytes], connections: int) -> Hammered:
    """Send all to a port of this machine. LabError for any answer that is not 2xx."""
    return asyncio.run(_hammer(port, made, connections))


async def _hammer(port: int, made: Sequence[bytes], connections: int) -> Hammered:
    loop = asyncio.get_running_loop()
    left = iter(made)
    times: list[float] = []
    ends = [loop.create_future() for _ in range(connections)]
    clients = [_Client(left, times, end) for end in ends]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    began = time.perf_counter()
    for client in clients:
        client.next()
    async with asyncio.timeout(_WITHIN):
        await asyncio.gather(*ends)
    return Hammered(len(times) / (time.perf_counter() - began), tuple(times))


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(self, left: Iterator[bytes], times: list[float], end: asyncio.Future[None]) -> None:
        self._left = left
        self._times = times
        self._end = end
        self._got = b""
        self._began = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)  # noqa: S101  it is TCP
        self._transport = transport

    def next(self) -> None:
        """Send the next request, or end."""
        request = next(self._left, None)
        if request is None:
            self._transport.close()
            return
        self._began = time.perf_counter()
        self._transport.write(request)

    def data_received(self, data: bytes) -> None:
        self._got += data
        head, end, body = self._got.partition(b"\r\n\r\n")
        if not end or len(body) < _length(head):
            return
        self._times.append(time.perf_counter() - self._began)
        self._got = b""
        if not head.startswith(b"HTTP/1.1 2"):
            self._end.set_exception(LabError(f"a webhook was answered with {head.splitlines()[0].decode()}"))
            self._transport.close()
            return
        self.next()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self._end.done():
            if exc is None:
                self._end.set_result(None)
            else:
                self._end.set_exception(exc)


def _length(head: bytes) -> int:
    """The length that an answer's head gives for its body."""
    _, _, after = head.lower().partition(b"content-length:")
    return int(after.partition(b"\r\n")[0] or 0)
