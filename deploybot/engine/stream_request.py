"""Send a GET to a Docker Engine and read a streamed answer, logs or events, on the event loop.

docker-py has streams too, but a thread that follows a quiet container can't be cancelled and ignores its timeout. It
also reads line by line, which is slow for a long log. So docker-py sends the ordinary requests
(`deploybot.engine.docker_engine`), and this module reads streams.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from deploybot.engine.stream_connection import Wire
from deploybot.net.http1 import HttpExchange
from deploybot.untrusted_input import Unreadable, json_of, text_of

Dial = Callable[[], Awaitable[Wire]]

_LONGEST_ERROR = 65_536
LONGEST_WORDS = 500
_OK = 200


class EngineRefused(Exception):
    """The Engine answered with an error. `status` is the HTTP status, the text is the Engine's message."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@asynccontextmanager
async def get(dial: Dial, target: str, *, timeout: float) -> AsyncIterator[HttpExchange]:
    """Send `GET target` and yield the answer after its head. Connecting and the head may take `timeout` seconds each.

    Leaving the block drops the connection. Raises OSError (also TimeoutError), EngineRefused and NotHttp.
    """
    async with asyncio.timeout(timeout):
        wire = await dial()
    try:
        async with asyncio.timeout(timeout):
            answer = HttpExchange(wire.read)
            wire.write(answer.request(target, ("Host", "docker")))
            status = await answer.status()
        if status != _OK:
            raise EngineRefused(status, await _message(answer, timeout))
        yield answer
    finally:
        wire.abort()


async def _message(answer: HttpExchange, timeout: float) -> str:
    """Return the message of an error: `{"message": "…"}` in the Engine API, or plain text."""
    text = bytearray()
    async with asyncio.timeout(timeout):
        while len(text) < _LONGEST_ERROR and (piece := await answer.body()):
            text += piece
    return words_of(bytes(text))


def words_of(body: bytes) -> str:
    """Return the message in the body of an error, cut to 500 characters."""
    body = body[:_LONGEST_ERROR]
    try:
        found = json_of(body)
    except Unreadable:
        return body.decode(errors="replace").strip()[:LONGEST_WORDS]
    message = found.get("message") or found.get("cause") if isinstance(found, dict) else ""
    return text_of(message, "message")[:LONGEST_WORDS] if isinstance(message, str) and message else ""
