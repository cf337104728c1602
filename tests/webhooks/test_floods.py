"""Floods: who would wear the bot down holds a socket for nothing, and those who mean it are answered."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from aiohttp import ClientSession

from benchmarks.bot import Bot
from tests.lab import free_port
from tests.webhooks.process import made_bot
from tests.webhooks.service import pushed, signed

N = int(os.environ.get("N", "1000"))
_MEMORY = 50 << 20
_ANSWERED = 5.0
_VALID = 40
_ROUNDS = 8
HEAD = b"POST /hooks/shop/github HTTP/1.1\r\nHost: bot\r\nContent-Type: application/json\r\n"


@pytest.fixture
def port() -> int:
    return free_port()


@pytest.fixture
def bot(tmp_path: Path, port: int) -> Bot:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 2 * N + 500)), hard))
    return made_bot(tmp_path, port, "github")


async def answered(port: int, number: int) -> float:
    """The seconds until a valid hook is answered."""
    body, began = pushed("shop", f"{number:040x}"), time.monotonic()
    headers = {name.replace("_", "-"): value for name, value in signed(body).items()}
    url = f"http://127.0.0.1:{port}/hooks/shop/github"
    async with ClientSession() as session, session.post(url, data=body, headers=headers) as answer:
        assert answer.status == 200
    return time.monotonic() - began


def flood(port: int, saying: Sequence[bytes], over: threading.Event) -> int:
    """Open so many connections, each of which says this and then holds on, whatever comes; how many were made."""
    with ExitStack() as held:
        made = 0
        for text in saying:
            with suppress(OSError):
                one = held.enter_context(socket.create_connection(("127.0.0.1", port), timeout=60.0))
                one.sendall(text)
                made += 1
        over.wait(30.0)
    return made


async def test_slow_sockets_and_huge_claims(bot: Bot, port: int, figure: Callable[[str], None]) -> None:
    slow = [HEAD[: number % len(HEAD)] for number in range(N // 2)]
    bodies = [HEAD + b"Content-Length: 1000000\r\n\r\n" + b"x" * (number % 60_000) for number in range(N - N // 2)]
    claims = [HEAD + b"Content-Length: 999999999999\r\n\r\n" + b"x" * 8192 for _ in range(N)]
    slowest: list[float] = []
    with bot:
        await answered(port, 0)
        bot.forget_peak()
        before = bot.resident
        # A machine that does something else, too, may take its time, but not again and again.
        while len(slowest) < _ROUNDS and (not slowest or slowest[-1] >= _ANSWERED):
            over = threading.Event()
            flooding = asyncio.create_task(asyncio.to_thread(flood, port, slow + bodies + claims, over))
            first = 1 + _VALID * len(slowest)
            slowest.append(max([await answered(port, number) for number in range(first, first + _VALID)]))
            over.set()
            assert await flooding == 2 * N
        grown = bot.peak - before
    assert slowest[-1] < _ANSWERED, slowest
    assert grown < _MEMORY
    figure(
        f"{N} slow sockets and {N} huge claims at once: memory grew {grown / (1 << 20):.1f} MiB, "
        f"the slowest of {_VALID} valid hooks was answered after {slowest[-1] * 1000:.0f} ms"
    )


async def test_packed_bodies_are_never_unpacked(bot: Bot, port: int, figure: Callable[[str], None]) -> None:
    packed = b"\x1f\x8b\x08\0\0\0\0\0\0\3" + b"\xec\xc1\x01\x01" + bytes(1 << 16)
    count = min(N, 200)
    statuses = set()
    with bot:
        await answered(port, 1)
        bot.forget_peak()
        before = bot.resident
        async with ClientSession(f"http://127.0.0.1:{port}") as session:
            for _ in range(count):
                async with session.post(
                    "/hooks/shop/github", data=packed, headers={"Content-Encoding": "gzip"}
                ) as answer:
                    statuses.add(answer.status)
        grown = bot.peak - before
    assert statuses == {415}
    assert grown < _MEMORY
    figure(f"{count} packed bodies: all refused, memory grew {grown / (1 << 20):.1f} MiB")
