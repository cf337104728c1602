"""Webhooks by the thousand: signed requests, sent over connections that stay, each answered before the next.

Requests are made before the clock runs, and the client reads no more of an answer than its status and its end: what is
measured is the server.
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

_WITHIN = 120.0
_BODY = 17_000
_NAME = "@" * 40
_COMMITS = 20
_DIGITS = re.compile(r"\d+")


@dataclass(frozen=True, slots=True)
class Hammered:
    """How many requests a second were answered, what each took (seconds), how often each status and body came."""

    rate: float
    times: tuple[float, ...]
    answers: Counter[tuple[int, str]]

    def count(self, status: int, text: str = "") -> int:
        """How many answers had a status, and this text in them."""
        return sum(count for (found, body), count in self.answers.items() if found == status and text in body)


def requests(
    path: str, secret: str, count: int, run: str, *, repository: str = "acme/shop", branch: str = f"topic-{_NAME}"
) -> list[bytes]:
    """So many GitHub pushes as HTTP requests, with a body of 17 kB; `run` tells runs apart.

    Each is of another branch, unless one is named.
    """
    return list(_requests(path, secret, count, run, repository=repository, branch=branch))


def _requests(path: str, secret: str, count: int, run: str, *, repository: str, branch: str) -> Iterator[bytes]:
    text = "x" * (_BODY // _COMMITS - 200)
    commits = [{"id": f"{number:040x}", "message": text, "author": {"name": "ana"}} for number in range(_COMMITS)]
    push = {
        "ref": f"refs/heads/{branch}",
        "before": "0" * 40,
        "after": _NAME,
        "repository": {"full_name": repository, "html_url": f"https://github.com/{repository}"},
        "pusher": {"name": "ana"},
        "commits": commits,
        "padding": "",
    }
    push["padding"] = "x" * (_BODY - len(json.dumps(push)))
    parts = json.dumps(push).encode().split(_NAME.encode())
    for number in range(count):
        name = hashlib.sha1(f"{run} {number}".encode(), usedforsecurity=False).hexdigest()
        body = name.encode().join(parts)
        proof = hmac.new(secret.encode(), body, hashlib.sha256).hexdigest()
        yield request(
            path,
            body,
            {
                "Content-Type": "application/json",
                "X-GitHub-Event": "push",
                "X-GitHub-Delivery": name,
                "X-Hub-Signature-256": f"sha256={proof}",
            },
        )


def request(path: str, body: bytes, headers: Mapping[str, str]) -> bytes:
    """A request as it travels."""
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"POST {path} HTTP/1.1\r\nHost: bot\r\n{lines}Content-Length: {len(body)}\r\n\r\n".encode() + body


def hammer(port: int, made: Sequence[bytes], connections: int) -> Hammered:
    """Send all to a port of this machine."""
    return asyncio.run(hammered(port, made, connections))


async def hammered(port: int, made: Sequence[bytes], connections: int) -> Hammered:
    """The same, in a loop that runs."""
    loop = asyncio.get_running_loop()
    left = iter(made)
    times: list[float] = []
    answers: Counter[tuple[int, str]] = Counter()
    ends = [loop.create_future() for _ in range(connections)]
    clients = [_Client(left, times, answers, end) for end in ends]
    for client in clients:
        await loop.create_connection(lambda client=client: client, "127.0.0.1", port)  # type: ignore[misc]
    began = time.perf_counter()
    for client in clients:
        client.next()
    async with asyncio.timeout(_WITHIN):
        await asyncio.gather(*ends)
    return Hammered(len(times) / (time.perf_counter() - began), tuple(times), answers)


class _Client(asyncio.Protocol):
    """One connection."""

    def __init__(
        self,
        left: Iterator[bytes],
        times: list[float],
        answers: Counter[tuple[int, str]],
        end: asyncio.Future[None],
    ) -> None:
        self._left = left
        self._times = times
        self._answers = answers
        self._end = end
        self._got = b""
        self._began = 0.0
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
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
        # Numbers are left out of what is counted: every answer has another one.
        self._answers[int(head[9:12]), _DIGITS.sub("#", body.decode())] += 1
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
