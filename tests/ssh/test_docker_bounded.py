"""An Engine that lies costs a bounded time and a bounded memory, and is one error; reached through a real sshd."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Protocol

import pytest

from deploybot.engine import docker_engine
from deploybot.engine.bounded_transport import MOST_BYTES
from deploybot.engine.docker_engine import DockerEngine
from deploybot.engine.docker_engine import engine as engine_of
from deploybot.errors import BadAnswer, EngineError, Unreachable
from deploybot.ssh.ssh_pool import Pool
from tests.lab import Sshd
from tests.ssh.conftest import server_of
from tests.ssh.engine_containers import version
from tests.ssh.liar import Say, answer, lying_engine, without_end
from tests.ssh.tls import door, make_tls

WITHIN = 2.0
"""Seconds for an answer that never ends."""
SOON = 30.0
"""Seconds for an answer that ends by itself, on a busy machine, too."""
LATE = 15.0
"""Seconds that a busy machine may add to a bound. Without the bound, nothing would ever end."""
ROOM = 40_000_000
"""Bytes that an answer may cost for as long as it is read."""
CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
BLOCK = b"10000\r\n" + b" " * 65_536 + b"\r\n"


class Lying(Protocol):
    """Gives the Engine of a server on which `say` answers."""

    async def __call__(self, say: Say) -> DockerEngine:
        """Start it."""

    def hurried(self) -> DockerEngine:
        """Give another one of the same server, with WITHIN for each answer."""


class LyingServer:
    """A lying Engine on a server, and the way to it that the bot has."""

    def __init__(self, sshd: Sshd) -> None:
        self._path = sshd.home / "liar.sock"
        self._server = server_of(sshd, docker=str(sshd.box.account.home / "liar.sock"))
        self._pool = Pool({self._server.name: self._server})
        self._ends: list[asyncio.Task[None]] = []
        self._made: list[DockerEngine] = []

    async def __call__(self, say: Say) -> DockerEngine:
        ready = asyncio.Event()

        async def serve() -> None:
            async with lying_engine(self._path, say):
                ready.set()
                await asyncio.Event().wait()

        self._ends.append(asyncio.create_task(serve()))
        await ready.wait()
        return self._engine(SOON)

    def hurried(self) -> DockerEngine:
        return self._engine(WITHIN)

    def _engine(self, timeout: float) -> DockerEngine:
        engine = engine_of(self._server, self._pool, timeout=timeout)
        assert engine is not None
        self._made.append(engine)
        return engine

    async def close(self) -> None:
        for engine in self._made:
            await engine.close()
        await self._pool.close()
        for end in self._ends:
            end.cancel()
        await asyncio.gather(*self._ends, return_exceptions=True)


@pytest.fixture
async def lying(sshd: Sshd) -> AsyncIterator[Lying]:
    """Return what starts a lying Engine on a server."""
    server = LyingServer(sshd)
    yield server
    await server.close()


def peak() -> int:
    """The most memory that this process has had since `forget_peak`, in bytes."""
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024


def forget_peak() -> None:
    Path("/proc/self/clear_refs").write_text("5")


async def flood_body(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, CHUNKED, BLOCK)


async def flood_head(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, b"HTTP/1.1 200 OK\r\n", b"X: " + b"x" * 30_000 + b"\r\n")


async def flood_size(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, CHUNKED, b"0" * 65_536)


async def flood_trailers(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, CHUNKED + b"2\r\n[]\r\n0\r\n", b"X: " + b"x" * 30_000 + b"\r\n")


async def flood_continue(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000)


async def drip(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, CHUNKED, b"1\r\n \r\n", pause=0.1)


async def drip_head(_: str, writer: asyncio.StreamWriter) -> None:
    await without_end(writer, b"HTTP/1.1 200 OK\r\nX: ", b"x", pause=0.1)


async def silent(_: str, writer: asyncio.StreamWriter) -> None:
    writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n[")
    await asyncio.Event().wait()


@pytest.mark.parametrize(
    "say", [flood_body, flood_head, flood_size, flood_trailers, flood_continue, drip, drip_head, silent]
)
async def test_an_answer_without_end_costs_the_bound(lying: Lying, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "_CALLS_IN_ALL", 30)  # the bound of one answer is looked at
    patient = await lying(say)
    await patient.version()
    docker = lying.hurried()
    forget_peak()
    before, began = peak(), time.monotonic()
    with pytest.raises(Unreachable, match=r"not Docker's API|no answer at|closed without a whole answer"):
        await docker.containers("shop")
    assert time.monotonic() - began < WITHIN + LATE
    assert peak() - before < ROOM
    assert await version(docker) == "20.10.24", "the next call has a bound of its own"


async def test_the_deadline_holds_over_a_redirect_and_no_other_address_is_asked(lying: Lying) -> None:
    asked = []

    async def other(_: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append(1)
        writer.close()

    async with await asyncio.start_server(other, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        there = answer(b"", status=307, headers=f"Location: http://127.0.0.1:{port}/v1.41/containers/json\r\n")

        async def say(_: str, writer: asyncio.StreamWriter) -> None:
            writer.write(there)

        docker = await lying(say)
        with pytest.raises(BadAnswer, match="redirects"):
            await docker.containers("shop")
    assert asked == []


def saying(body: bytes, *, status: int = 200, headers: str = "") -> Say:
    """Say the same whatever is asked."""

    async def say(_: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(body, status=status, headers=headers))

    return say


DEEP = b"[" * 100_000
CONTAINER = b'[{"Id": "abc"}]'


@pytest.mark.parametrize(
    "body",
    [
        b'[{"Nope":1}]',
        b'{"Id": "abc"}',
        b"null",
        b"[null]",
        b'[{"Id": 5}]',
        b'[{"Id": ""}]',
        b'[{"Id": "../../images/json?"}]',
        b'[{"Id": "\\ud800"}]',
        b"[" + b"9" * 5000 + b"]",
        b'[{"Id": "a", "Size": NaN}]',
        DEEP,
        b'{"a":' * 50_000,
        b"<html>",
        b"",
        b"\xff\xfe\x00",
        b"[" + b"{}," * 300_000 + b"{}]",
    ],
)
async def test_json_that_no_engine_sends_is_one_error(lying: Lying, body: bytes) -> None:
    docker = await lying(saying(body))
    for call in (docker.containers("shop"), docker.images()):
        with pytest.raises(BadAnswer, match=r"Docker on web1 gave no usable answer: .*not Docker's API"):
            await call


async def test_more_containers_than_a_project_has_are_not_asked_for(lying: Lying) -> None:
    docker = await lying(saying(b"[" + CONTAINER[1:-1] + (b"," + CONTAINER[1:-1]) * 600 + b"]"))
    with pytest.raises(BadAnswer, match="at most 500"):
        await docker.containers("shop")


async def test_a_compressed_answer_is_refused(lying: Lying) -> None:
    docker = await lying(saying(b"\x1f\x8b", headers="Content-Encoding: gzip\r\n"))
    with pytest.raises(BadAnswer, match="compressed"):
        await docker.containers("shop")


async def test_an_error_is_shown_in_part(lying: Lying) -> None:
    docker = await lying(saying(b"x" * (MOST_BYTES // 2), status=500))
    with pytest.raises(EngineError) as caught:
        await docker.containers("shop")
    assert len(str(caught.value)) < 600
    docker = await lying(saying(b'{"message": ["x"]}', status=500))
    with pytest.raises(EngineError, match="refused"):
        await docker.containers("shop")


FULL = (
    b'{"Id": "abc", "Name": "/web-1", "State": {"Status": "running", "ExitCode": 0, "StartedAt": "%s"}, '
    b'"Config": {"Image": "web", "Labels": null}, "RestartCount": %s}'
)


@pytest.mark.parametrize("count", [b"1e999", b"-1e999", b"9" * 4000, b"[]", b'"3"', b"true", b"{}"])
async def test_a_number_that_is_none_is_one_error(lying: Lying, count: bytes) -> None:
    async def say(target: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(FULL % (b"", count) if "abc" in target else CONTAINER))

    docker = await lying(say)
    with pytest.raises(BadAnswer, match=r"RestartCount|not JSON"):
        await docker.containers("shop")


@pytest.mark.parametrize("when", [b"", b"no time", b"0001-01-01T00:00:00Z", b"9999-12-31T23:59:59.999-23:59"])
async def test_a_time_that_is_none_is_unknown(lying: Lying, when: bytes) -> None:
    async def say(target: str, writer: asyncio.StreamWriter) -> None:
        writer.write(answer(FULL % (when, b"2") if "abc" in target else CONTAINER))

    docker = await lying(say)
    (found,) = await docker.containers("shop")
    assert (found.started, found.restarts) == (0.0, 2) or when.startswith(b"9999")


@pytest.mark.parametrize(
    ("date", "asked"),
    [
        (b"Sun, 06 Nov 1994 08:49:37 GMT", 784111777.0),
        (b"Sun, 06 Nov 1994 08:49:37 -0000", 0.0),
        (b"Sun, 06 Nov 99999999999 08:49:37 GMT", 0.0),
        (b"yesterday", 0.0),
        (b"", 0.0),
    ],
)
async def test_the_clock_of_an_engine_is_the_date_of_its_answer(lying: Lying, date: bytes, asked: float) -> None:
    async def say(target: str, writer: asyncio.StreamWriter) -> None:
        said = answer(FULL % (b"1994-11-06T08:00:00Z", b"2") if "abc" in target else CONTAINER)
        writer.write(said.replace(b"\r\n", b"\r\nDate: " + date + b"\r\n", 1))

    docker = await lying(say)
    (found,) = await docker.containers("shop")
    assert found.asked == asked
    assert found.up_for(784108800.0 + 9.0) == (2977.0 if asked else 9.0)


@pytest.mark.parametrize(
    "line", [b'{"Action": {"a": 1}}', b"[]", b'{"timeNano": 1e400}', b'{"Actor": [1]}', b"x", DEEP, b'{"time": "x"}']
)
async def test_an_event_that_is_none_is_one_error(lying: Lying, line: bytes) -> None:
    docker = await lying(saying(line + b"\n"))
    with pytest.raises(BadAnswer):
        async for _ in docker.events(timeout=60):
            pass


async def test_an_event_without_end_is_one_error(lying: Lying) -> None:
    docker = await lying(flood_body)
    forget_peak()
    before = peak()
    with pytest.raises(BadAnswer, match="an event without end"):
        async for _ in docker.events(timeout=60):
            pass
    assert peak() - before < ROOM


@pytest.mark.parametrize("say", [flood_body, flood_trailers, drip, silent])
async def test_the_bounds_hold_through_tls(tmp_path: Path, say: Say, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(docker_engine, "_CALLS_IN_ALL", 30)
    tls = make_tls(tmp_path / "tls")
    async with lying_engine(tmp_path / "liar.sock", say), door(tls, tmp_path / "liar.sock") as port:
        url = f"tcp://127.0.0.1:{port}"
        patient, docker = (DockerEngine("web1", url, tls=tls, timeout=seconds) for seconds in (SOON, WITHIN))
        assert await patient.version() == "20.10.24"
        forget_peak()
        before, began = peak(), time.monotonic()
        with pytest.raises(Unreachable, match=r"not Docker's API|no answer at"):
            await docker.containers("shop")
        assert time.monotonic() - began < WITHIN + LATE
        assert peak() - before < ROOM
        await patient.close()
        await docker.close()
