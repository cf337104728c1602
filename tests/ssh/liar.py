"""A Docker Engine that lies: it speaks as much HTTP as a test wants, on a Unix socket of a real server."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

Say = Callable[[str, asyncio.StreamWriter], Awaitable[None]]
"""Answers a request for a path."""

VERSION = b'{"Version": "20.10.24", "ApiVersion": "1.41", "MinAPIVersion": "1.12"}'


def answer(body: bytes, *, status: int = 200, headers: str = "") -> bytes:
    """A whole answer."""
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{headers}\r\n".encode() + body


@asynccontextmanager
async def lying_engine(path: Path, say: Say) -> AsyncIterator[None]:
    """Listen at `path`, tell a version that is true, and leave all other answers to `say`."""
    talks: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.ensure_future(_talk(reader, writer, say))
        talks.add(task)
        task.add_done_callback(talks.discard)

    server = await asyncio.start_unix_server(accept, path)
    path.chmod(0o666)  # noqa: ASYNC240  a moment
    try:
        yield
    finally:
        server.close()
        for talk in talks:
            talk.cancel()
        await asyncio.gather(*talks, return_exceptions=True)
        path.unlink(missing_ok=True)  # noqa: ASYNC240  same


async def _talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, say: Say) -> None:
    with contextlib.suppress(OSError, asyncio.IncompleteReadError):
        try:
            while True:
                target = (await reader.readuntil(b"\r\n\r\n")).split()[1].decode()
                if target.endswith("/version"):
                    writer.write(answer(VERSION))
                else:
                    await say(target, writer)
                await writer.drain()
        finally:
            writer.transport.abort()


async def without_end(writer: asyncio.StreamWriter, head: bytes, again: bytes, *, pause: float = 0.0) -> None:
    """Say `head`, then `again` for ever, with a pause between."""
    writer.write(head)
    while True:
        writer.write(again)
        await writer.drain()
        await asyncio.sleep(pause)
