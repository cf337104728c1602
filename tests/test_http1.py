"""Answers of HTTP/1.1, whole, cut anywhere, and by services that speak something else."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from itertools import pairwise

import pytest

from deploybot.net.http1 import CutShort, HttpExchange, NotHttp

CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
COUNTED = b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\n"


def chunk(data: bytes) -> bytes:
    return b"%x\r\n%s\r\n" % (len(data), data)


class Pieces:
    """A connection that delivers these pieces and ends, or stays silent if `hold` is set."""

    def __init__(self, *pieces: bytes, hold: bool = False) -> None:
        self.left = [one for one in pieces if one]
        self.hold = hold

    async def read(self) -> bytes:
        if not self.left and self.hold:
            await asyncio.Event().wait()
        return self.left.pop(0) if self.left else b""


async def answer(*pieces: bytes) -> tuple[int, bytes]:
    """The status and the whole body."""
    exchange = HttpExchange(Pieces(*pieces).read)
    exchange.request("/", ("Host", "docker"))
    status, body = await exchange.status(), b""
    while piece := await exchange.body():
        body += piece
    assert await exchange.body() == b"", "the end stays the end"
    return status, body


def cuts(data: bytes) -> Sequence[tuple[bytes, bytes]]:
    return [(data[:at], data[at:]) for at in range(len(data) + 1)]


def test_the_request() -> None:
    exchange = HttpExchange(Pieces().read)
    sent = exchange.request("/logs?tail=5", ("Host", "docker"), ("Accept", "*/*"))
    assert sent == b"GET /logs?tail=5 HTTP/1.1\r\nHost: docker\r\nAccept: */*\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "body"),
    [
        (CHUNKED + chunk(b"hello") + b"6;name=value\r\n world\r\n" + chunk(b"!" * 30) + b"0\r\n\r\n", b"hello world"),
        (COUNTED + b"hello world!", b"hello"),
        (b"HTTP/1.0 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 102 Processing\r\n\r\nHTTP/1.1 100 Continue\r\n\r\n" + COUNTED + b"hello", b"hello"),
        (b"HTTP/1.1 200\r\nServer:x\r\n\r\nhello", b"hello"),
        (CHUNKED + b"0\r\nTrailer: x\r\n\r\n", b""),
        (CHUNKED.replace(b"\r\n", b"\n") + chunk(b"hello") + b"0\r\n\r\n", b"hello"),
        (CHUNKED.replace(b"\r\n", b"\n") + chunk(b"he\r\n\r\nllo") + b"0\r\n\r\n", b"he\r\n\r\nllo"),
        (CHUNKED + chunk(b"\r\n5\r\nhello\r\n0\r\n\r\n") + b"0\r\n\r\n", b"\r\n5\r\nhello\r\n0\r\n\r\n"),
    ],
)
async def test_an_answer_cut_at_every_place_comes_out_whole(data: bytes, body: bytes) -> None:
    expected = body + b"!" * 30 if body == b"hello world" else body
    for pieces in cuts(data):
        assert await answer(*pieces) == (200, expected)


@pytest.mark.parametrize("seed", range(40))
async def test_chunks_of_any_size_in_blocks_of_any_size_come_out_whole(seed: int) -> None:
    """Usual chunks, and from somewhere on unusual ones: extensions, zeros before the size, very long ones."""
    dice = random.Random(seed)
    bodies = [dice.randbytes(dice.choice((1, 2, 9, 130, 4_000))) for _ in range(dice.randint(0, 1_200))]
    chunks = [chunk(one) if dice.random() < 0.5 else b"%X\r\n%s\r\n" % (len(one), one) for one in bodies]
    if dice.random() < 0.5:
        long = dice.randbytes(70_000)
        unusual = [chunk(long), b"00000005\r\nhello\r\n", b"5;a=b\r\nhello\r\n"]
        at, which = dice.randint(0, len(chunks)), dice.randrange(3)
        chunks.insert(at, unusual[which])
        bodies.insert(at, (long, b"hello", b"hello")[which])
    data = CHUNKED + b"".join(chunks) + dice.choice((b"0\r\n\r\n", b"0\r\nTrailer: x\r\n\r\n"))
    places = sorted(dice.randrange(len(data)) for _ in range(dice.randint(0, 60)))
    blocks = [data[start:end] for start, end in pairwise([0, *places, len(data)])]
    assert await answer(*blocks) == (200, b"".join(bodies))
    with pytest.raises(CutShort):
        await answer(*blocks[:-1], blocks[-1][:-1])


@pytest.mark.parametrize(
    "end", [b"5\r\nhelloXX0\r\n\r\n", b"5\r\nhello\rX", b"+5\r\nhello\r\n", b"g\r\n", b"-1\r\n", b"\r\n"]
)
async def test_chunks_that_are_none_are_refused_after_good_ones(end: bytes) -> None:
    for pieces in cuts(chunk(b"good") * 3 + end):
        with pytest.raises(NotHttp):
            await answer(CHUNKED, *pieces)


@pytest.mark.parametrize("head", [b"HTTP/1.1 204 No Content\r\n\r\n", b"HTTP/1.1 304 \r\nContent-Length: 5\r\n\r\n"])
async def test_statuses_without_a_body(head: bytes) -> None:
    assert await answer(head + b"hello") == (int(head[9:12]), b"")


@pytest.mark.parametrize("data", [COUNTED + b"hell", CHUNKED + chunk(b"hell"), CHUNKED + b"5\r\nhell", CHUNKED + b"5"])
async def test_a_body_that_is_cut_short_is_not_taken_for_a_whole_one(data: bytes) -> None:
    for pieces in cuts(data)[len(COUNTED) :]:
        with pytest.raises(CutShort):
            await answer(*pieces)


@pytest.mark.parametrize("data", [b"", b"HTT", b"HTTP/1.1 200 OK\r\n", b"HTTP/1.1 100 Continue\r\n\r\n"])
async def test_a_connection_without_an_answer(data: bytes) -> None:
    with pytest.raises(ConnectionError, match="without an answer"):
        await answer(data)


@pytest.mark.parametrize(
    "junk",
    [
        b"SSH-2.0-OpenSSH_9.2\r\n",
        b"HTTP/2 200\r\n\r\n",
        b"HTTP/1.1 abc\r\n\r\n",
        b"HTTP/1.1 20\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5_000 + b"\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\nhello",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nX: " + b"x" * 100_000,
    ],
)
async def test_what_is_not_http_is_refused_without_waiting_for_more(junk: bytes) -> None:
    exchange = HttpExchange(Pieces(junk, hold=True).read)
    exchange.request("/", ("Host", "docker"))
    with pytest.raises(NotHttp):
        await exchange.status()


@pytest.mark.parametrize(
    "junk",
    # A size below 0 was read without an end, and the bot with it.
    [
        b"hello\r\n",
        b"<html>" * 20_000,
        b"-5\r\nhello world hello world",
        b"+5\r\nhello",
        b"1_0\r\nhello",
        b"0x5\r\n",
        b"\r\n",
        b"f" * 21 + b"\r\nhello",
        b"5\r\nhello!!",
    ],
)
async def test_a_body_that_is_not_chunked_is_refused_again_and_again(junk: bytes) -> None:
    exchange = HttpExchange(Pieces(CHUNKED, junk, hold=True).read)
    exchange.request("/", ("Host", "docker"))
    assert await exchange.status() == 200
    for _ in range(2):
        with pytest.raises(NotHttp):
            await exchange.body()


async def test_interim_answers_without_end_are_refused() -> None:
    interim = b"HTTP/1.1 100 Continue\r\n\r\n"
    assert await answer(interim * 9 + COUNTED + b"hello") == (200, b"hello")
    with pytest.raises(NotHttp):
        await answer(*[interim] * 1_000)


async def test_many_small_chunks_let_others_have_their_turn() -> None:
    turns = 0

    async def take_turns() -> None:
        nonlocal turns
        while True:
            await asyncio.sleep(0)
            turns += 1

    other = asyncio.create_task(take_turns())
    assert await answer(CHUNKED + chunk(b"x") * 20_000 + b"0\r\n\r\n") == (200, b"x" * 20_000)
    other.cancel()
    assert turns > 20


async def test_a_timeout_between_two_turns_loses_nothing() -> None:
    exchange = HttpExchange(Pieces(CHUNKED + chunk(b"x") * 2_000 + b"0\r\n\r\n").read)
    exchange.request("/", ("Host", "docker"))
    assert await exchange.status() == 200
    body, left = b"", True
    while left:
        try:
            async with asyncio.timeout(0):
                piece = await exchange.body()
        except TimeoutError:
            piece = await exchange.body()
        body, left = body + piece, bool(piece)
    assert body == b"x" * 2_000


async def test_reading_goes_on_after_a_timeout() -> None:
    connection = Pieces(CHUNKED + chunk(b"hel") + b"5\r\nlo", hold=True)
    exchange = HttpExchange(connection.read)
    exchange.request("/", ("Host", "docker"))
    assert await exchange.status() == 200
    assert await exchange.body() == b"hello"
    for _ in range(2):
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.01):
                await exchange.body()
    connection.left, connection.hold = [b" wo", b"\r\n0\r\n\r\n"], False
    assert b"".join([await exchange.body() for _ in range(3)]) == b" wo"
    assert await exchange.body() == b""
