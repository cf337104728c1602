"""The HTTP server: `/healthz` says whether it is well and nothing more, and no body or client gets the better of it."""

from __future__ import annotations

import asyncio
import io
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import ClientSession, web

from deploybot.errors import UserError
from deploybot.web import WebServer

TOKEN_IN_A_SENTENCE = "the token xoxb-1 was revoked: install the app again"


@asynccontextmanager
async def serving(problems: dict[str, str], *, host: str = "127.0.0.1") -> AsyncIterator[str]:
    """Serve on a port of its own, with a route that gives back what was posted; its URL."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as free:
        free.bind((host.strip("[]"), 0))
        port = free.getsockname()[1]
    server = WebServer(f"{host}:{port}", lambda: problems)

    async def echo(request: web.Request) -> web.Response:
        return web.Response(body=await request.read())

    async def broken(request: web.Request) -> web.Response:
        raise RuntimeError(f"{request.path} knows {TOKEN_IN_A_SENTENCE}")

    server.add_post("/echo", echo)
    server.add_post("/broken", broken)
    await server.start()
    try:
        yield f"http://{host}:{port}"
    finally:
        await server.close()


async def health(url: str) -> tuple[int, object]:
    async with ClientSession() as session, session.get(f"{url}/healthz") as answer:
        return answer.status, await answer.json()


@pytest.mark.parametrize("host", ["127.0.0.1", "[::1]"])
async def test_it_is_well_while_nothing_is_ill(host: str) -> None:
    async with serving({"database": "", "slack": ""}, host=host) as url:
        assert await health(url) == (200, {"status": "ok"})


async def test_that_something_is_ill_is_told_at_once_and_nothing_more() -> None:
    problems = {"database": "", "slack": ""}
    async with serving(problems) as url:
        problems["slack"] = TOKEN_IN_A_SENTENCE
        assert await health(url) == (503, {"status": "ill"})
        problems |= {"database": "full", "slack": ""}
        assert await health(url) == (503, {"status": "ill"})
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


async def test_an_error_tells_nothing_of_itself() -> None:
    async with serving({}) as url, ClientSession() as session, session.post(f"{url}/broken") as answer:
        assert answer.status == 500
        assert "xoxb" not in await answer.text()


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/echo", 405), ("POST", "/healthz", 405), ("GET", "/", 404)]
)
async def test_there_is_nothing_else(method: str, path: str, status: int) -> None:
    async with serving({}) as url, ClientSession() as session, session.request(method, url + path) as answer:
        assert answer.status == status


async def test_a_port_that_is_taken_is_told_with_what_to_do() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        server = WebServer(f"127.0.0.1:{taken.getsockname()[1]}", dict)
        with pytest.raises(UserError, match="cannot listen on 127") as caught:
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
    assert time.monotonic() - begun < 5
    writer.close()


async def test_a_server_that_was_never_started_can_be_closed() -> None:
    await WebServer("127.0.0.1:0", dict).close()
