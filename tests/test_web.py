"""The HTTP server: `/healthz` says whether it is well and nothing more, and no body or client gets the better of it."""

from __future__ import annotations

import asyncio
import gzip
import io
import socket
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress

import pytest
from aiohttp import ClientSession, web
from yarl import URL

from deploybot.errors import UserError
from deploybot.http_limits import ConnectionGate
from deploybot.http_server import WebServer
from deploybot.metrics import METRICS

TOKEN_IN_A_SENTENCE = "the token xoxb-1 was revoked: install the app again"


@asynccontextmanager
async def serving(
    problems: dict[str, str], *, host: str = "127.0.0.1", gate: ConnectionGate | None = None
) -> AsyncIterator[str]:
    """Serve on a port of its own, with a route that gives back what was posted; its URL."""
    server = WebServer(f"{host}:0", lambda: problems, gate=gate)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError(f"{request.path} knows {TOKEN_IN_A_SENTENCE}")

    server.add_post("/echo", echo)
    server.add_post("/broken", broken)
    await server.start()
    try:
        yield f"http://{server.address}"
    finally:
        await server.close()


async def health(url: str) -> tuple[int, object]:
    async with ClientSession() as session, session.get(f"{url}/healthz") as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_it_is_well_while_there_is_no_problem(host: str) -> None:
    async with serving({"database": "", "slack": ""}, host=host) as url:
        assert await health(url) == (200, {"status": "ok"})


async def test_a_problem_shows_at_once_and_nothing_more() -> None:
    problems = {"database": "", "slack": ""}
    async with serving(problems) as url:
        problems["slack"] = TOKEN_IN_A_SENTENCE
        assert await health(url) == (503, {"status": "down"})
        problems["telegram"] = ""
        assert await health(url) == (200, {"status": "degraded"})
        problems["telegram"] = "no connection"
        assert await health(url) == (503, {"status": "down"})
        problems |= {"telegram": "", "worker": "stopped"}
        assert await health(url) == (503, {"status": "down"})
        problems |= {"database": "full", "slack": "", "worker": ""}
        assert await health(url) == (503, {"status": "down"})
        problems["database"] = ""
        assert await health(url) == (200, {"status": "ok"})


@pytest.mark.parametrize(("size", "status"), [(1 << 20, 200), ((1 << 20) + 1, 413)])
async def test_a_body_is_capped(size: int, status: int) -> None:
    async with (
        serving({}) as url,
        ClientSession() as session,
        session.post(f"{url}/echo", data=io.BytesIO(bytes(size))) as answer,
    ):
        assert answer.status == status


async def test_a_body_without_a_length_is_capped_too() -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(64):
            yield bytes(1 << 16)

    async with serving({}) as url, ClientSession() as session, session.post(f"{url}/echo", data=endless()) as answer:
        assert answer.status == 413


async def test_an_error_reports_nothing_of_itself() -> None:
    async with serving({}) as url, ClientSession() as session, session.post(f"{url}/broken") as answer:
        assert answer.status == 500
        assert "xoxb" not in await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/echo", 405), ("POST", "/healthz", 405), ("GET", "/", 404)]
)
async def test_there_is_nothing_else(method: str, path: str, status: int) -> None:
    async with serving({}) as url, ClientSession() as session, session.request(method, url + path) as answer:
        assert answer.status == status


async def test_a_port_that_is_taken_is_reported_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = WebServer(f"127.0.0.1:{taken.getsockname()[1]}", dict)
        with pytest.raises(UserError, match=r"cannot listen on 127.*: address already in use\.$") as caught:
            await server.start()
        assert "`listen`" in caught.value.hint
        await server.close()


async def test_closing_does_not_wait_for_a_client_that_says_nothing() -> None:
    async with serving({}) as url:
        _, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
        writer.write(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()
        await health(url)
        begun = time.monotonic()
    assert time.monotonic() - begun < 30
    writer.close()


async def test_a_server_that_was_never_started_can_be_closed() -> None:
    await WebServer("127.0.0.1:0", dict).close()


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connected(url: str) -> AsyncIterator[Streams]:
    """A connection, and nothing of it is left."""
    reader, writer = await asyncio.open_connection("127.0.0.1", int(url.rpartition(":")[2]))
    try:
        yield reader, writer
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()


async def said(url: str, text: str, *, within: float = 30.0) -> bytes:
    """Say something and then nothing more; what comes until the server ends it."""
    async with connected(url) as (reader, writer), asyncio.timeout(within):
        writer.write(text.encode())
        try:
            return await reader.read()
        except ConnectionResetError:
            return b""


HEAD = "POST /echo HTTP/1.1\r\nHost: x\r\n"
CLAIM = f"{HEAD}Content-Length: {{}}\r\n"


async def test_an_encoded_body_is_refused_before_it_is_unpacked() -> None:
    bomb = gzip.compress(bytes(1 << 20))
    async with serving({}) as url, ClientSession() as session:
        async with session.post(f"{url}/echo", data=bomb, headers={"Content-Encoding": "gzip"}) as answer:
            assert answer.status == 415
        async with session.post(f"{url}/echo", data=b"x", headers={"Content-Encoding": "identity"}) as answer:
            assert answer.status == 200


@pytest.mark.parametrize("expect", ["", "Expect: 100-continue\r\n"])
async def test_a_huge_claim_is_refused_before_it_is_read(expect: str) -> None:
    async with serving({}) as url:
        answer = await said(url, CLAIM.format(10**12) + expect + "\r\n")
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"max_body" in answer


async def test_a_body_that_is_announced_is_asked_for() -> None:
    async with serving({}) as url, connected(url) as (reader, writer), asyncio.timeout(30):
        writer.write((CLAIM.format(4) + "Expect: 100-continue\r\n\r\n").encode())
        assert await reader.readuntil(b"\r\n\r\n") == b"HTTP/1.1 100 Continue\r\n\r\n"
        writer.write(b"body")
        assert (await reader.readuntil(b"body")).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize("begun", ["", "POST /ec", HEAD, CLAIM.format(100) + "\r\n", CLAIM.format(9) + "\r\nhalf"])
async def test_who_takes_too_long_is_cut_off(begun: str) -> None:
    async with serving({}, gate=ConnectionGate(max_body=1 << 20, within=0.2)) as url:
        started = time.monotonic()
        assert await said(url, begun) == b""
        assert 0.2 <= time.monotonic() - started < 30
        assert await health(url) == (200, {"status": "ok"})


async def test_an_idle_connection_may_stay_and_its_next_head_may_not_be_slow() -> None:
    request = (CLAIM.format(4) + "\r\nbody").encode()
    gate = ConnectionGate(max_body=1 << 20, within=0.2)
    async with serving({}, gate=gate) as url, connected(url) as (reader, writer), asyncio.timeout(10):
        writer.write(request)
        await reader.readuntil(b"body")
        await asyncio.sleep(1.5)  # longer than any head may take
        writer.write(request)
        await reader.readuntil(b"body")
        writer.write(HEAD.encode())
        assert await reader.read() == b""


async def test_of_too_many_connections_the_oldest_that_says_nothing_goes() -> None:
    async with serving({}, gate=ConnectionGate(max_body=1 << 20, most=8)) as url, AsyncExitStack() as stack:
        slow = [await stack.enter_async_context(connected(url)) for _ in range(8)]
        for _, writer in slow:
            writer.write(HEAD.encode())
        assert await health(url) == (200, {"status": "ok"})
        async with asyncio.timeout(30):
            assert await slow[0][0].read() == b""
        assert not slow[-1][0].at_eof()


async def test_of_too_many_bytes_under_way_the_oldest_go() -> None:
    async with serving({}, gate=ConnectionGate(max_body=16 << 20)) as url, AsyncExitStack() as stack:
        slow = []
        for _ in range(4):  # of which three fit: 32 MiB, and one of the largest besides
            slow.append(await stack.enter_async_context(connected(url)))
            slow[-1][1].write((CLAIM.format(16 << 20) + "\r\nhalf").encode())
            await health(url)
        async with asyncio.timeout(30):
            assert await slow[0][0].read() == b""
        assert not slow[1][0].at_eof()


async def test_what_is_no_http_is_answered_shortly_and_not_logged_at_length(caplog: pytest.LogCaptureFixture) -> None:
    async with serving({}) as url:
        for text in ("GET / HTTP/9.9\r\nbroken\r\n\r\n", "\x16\x03\x01 hello\r\n\r\n"):
            answer = await said(url, text)
            assert b" 400 Bad Request\r\n" in answer
            assert b"aiohttp" not in answer
    assert "Traceback" not in caplog.text


async def test_no_answer_reveals_what_the_server_is_made_of() -> None:
    async with serving({}) as url, ClientSession() as session:
        for path in ("/healthz", "/nowhere"):
            async with session.get(url + path) as answer:
                assert answer.headers["Server"] == "deploybot"
        assert b"\r\nServer: deploybot\r\n" in await said(url, "GET / HTTP/9.9\r\nbroken\r\n\r\n")


async def test_an_address_may_have_any_one_part_at_its_end() -> None:
    server = WebServer("127.0.0.1:0", dict)

    async def last(request: web.Request) -> web.Response:
        return web.Response(text=request.rel_url.name)

    server.add_post("/hooks/*", last)
    await server.start()
    try:
        async with ClientSession(f"http://{server.address}") as session:
            found = {}
            for path in ("/hooks/a", "/hooks/a%2Fb", "/hooks/%C3%A9", "/hooks/", "/hooks", "/hooks/a/b"):
                async with session.post(URL(path, encoded=True)) as answer:
                    found[path] = await answer.text() if answer.status == 200 else answer.status
            async with session.get("/hooks/a") as answer:
                assert (answer.status, answer.headers["Allow"]) == (405, "POST")
    finally:
        await server.close()
    taken = {"/hooks/a": "a", "/hooks/a%2Fb": "a/b", "/hooks/%C3%A9": "é"}
    assert found == taken | dict.fromkeys(("/hooks/", "/hooks", "/hooks/a/b"), 404)


@pytest.mark.parametrize("ends", ["close", "abort", "no chunk"])
async def test_requests_that_are_cut_off_are_counted_and_reported_in_one_line(
    caplog: pytest.LogCaptureFixture, ends: str
) -> None:
    before = METRICS.http_cut_off.values[()]
    begun = f"{HEAD}Transfer-Encoding: chunked\r\n\r\n5\r\nha" if ends == "no chunk" else CLAIM.format(9) + "\r\nhalf"
    with caplog.at_level("INFO"):
        async with serving({}) as url:
            for _ in range(50):
                async with connected(url) as (_, writer):
                    writer.write(begun.encode())
                    await writer.drain()
                    if ends == "abort":
                        writer.transport.abort()
            assert await health(url) == (200, {"status": "ok"})
            async with asyncio.timeout(30):
                while METRICS.http_cut_off.values[()] < before + 50:  # noqa: ASYNC110  a counter tells nobody
                    await asyncio.sleep(0.01)
    assert "Traceback" not in caplog.text
    assert caplog.text.count("ended before their body was complete") == 1


async def test_a_client_that_is_gone_before_its_answer_is_counted_and_not_traced(
    caplog: pytest.LogCaptureFixture,
) -> None:
    """Its request was whole, so it does not count as cut off; what it asked for is done."""
    begun, go_on, done = asyncio.Event(), asyncio.Event(), asyncio.Event()

    async def slow(request: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        done.set()
        return web.Response(body=await request.read() * 1_000_000)

    server = WebServer("127.0.0.1:0", dict)
    server.add_post("/slow", slow)
    await server.start()
    before, gone = METRICS.http_cut_off.values[()], METRICS.http_gone.values[()]
    try:
        async with connected(f"http://{server.address}") as (_, writer):
            writer.write(b"POST /slow HTTP/1.1\r\nHost: x\r\nContent-Length: 4\r\n\r\nbody")
            await asyncio.wait_for(begun.wait(), 30)
            writer.transport.abort()
        # Only now does the server know; a request of another client comes and goes meanwhile.
        assert (await health(f"http://{server.address}"))[0] == 200
        go_on.set()
        await asyncio.wait_for(done.wait(), 30)
        assert (await health(f"http://{server.address}"))[0] == 200
    finally:
        await server.close()
    assert "Traceback" not in caplog.text
    assert (METRICS.http_cut_off.values[()], METRICS.http_gone.values[()]) == (before, gone + 1)
