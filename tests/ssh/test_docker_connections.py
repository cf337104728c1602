"""The ways to an Engine: through SSH and TLS, and what is not one."""

from __future__ import annotations

import asyncio
import itertools
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from deploybot.engine.docker_engine import DockerEngine
from deploybot.engine.docker_engine import engine as engine_of
from deploybot.errors import BadAnswer, Unreachable
from deploybot.settings import DockerTls, Server
from deploybot.testing import FakeHost
from tests.lab import Engine
from tests.ssh.engine_containers import read, resident, shell, start, texts, watch
from tests.ssh.tls import door, make_tls


@asynccontextmanager
async def connected(engine: Engine) -> AsyncIterator[asyncssh.SSHClientConnection]:
    sshd = engine.sshd
    async with asyncssh.connect(
        sshd.address,
        sshd.port,
        username=sshd.user,
        client_keys=[str(sshd.client_key)],
        known_hosts=([asyncssh.import_public_key(sshd.host_key)], [], []),
        config=None,
    ) as connection:
        await connection.run("true", check=True)
        yield connection


class Tunnel:
    """What the pool does for an Engine, over one connection at a time."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._numbers = itertools.count()
        self._open: asyncssh.SSHClientConnection | None = None
        self._path = folder / "none"

    async def use(self, connection: asyncssh.SSHClientConnection, remote: str = "/var/run/docker.sock") -> None:
        self._open = connection
        self._path = self._folder / f"{next(self._numbers)}.sock"
        await connection.forward_local_path(str(self._path), remote)

    def engine(self) -> DockerEngine:
        """An Engine that is reached through this tunnel."""
        docker = engine_of(Server(name="web1", ssh="deploy@web1", docker="/var/run/docker.sock"), self)
        assert docker is not None
        return docker

    async def forward(self, name: str, remote: str) -> Path:
        assert (name, remote.endswith(".sock")) == ("web1", True)
        return self._path

    async def client(self, name: str) -> asyncssh.SSHClientConnection:
        assert name == "web1"
        assert self._open
        return self._open


async def test_through_ssh_and_again_when_the_connection_was_lost(engine: Engine, tmp_path: Path) -> None:
    container = start(engine, "sh", "-c", "echo one; sleep 1000")
    tunnel = Tunnel(tmp_path)
    docker = tunnel.engine()
    for _ in range(2):
        async with connected(engine) as connection:
            await tunnel.use(connection)
            assert len(await docker.containers("shop")) == 1
            log = docker.logs(container, tail=None, follow=True)
            assert texts(await anext(log)) == [b"one"]
            connection.abort()
            with pytest.raises(Unreachable, match=r"/var/run/docker\.sock was closed"):
                await anext(log)
        with pytest.raises(Unreachable):
            await docker.containers("shop")
    await docker.close()


async def test_through_ssh_a_log_that_is_read_slowly_waits_at_the_engine(engine: Engine, tmp_path: Path) -> None:
    container = start(engine, "sh", "-c", "yes 'a line of a container that cannot stop'")
    tunnel = Tunnel(tmp_path)
    docker = tunnel.engine()
    async with connected(engine) as connection:
        await tunnel.use(connection)
        await docker.version()
        before, end = resident(), time.monotonic() + 4
        async with aclosing(docker.logs(container, tail=None, follow=True)) as log:
            while time.monotonic() < end:
                assert await anext(log)
                await asyncio.sleep(0.02)
    engine.docker("kill", container)
    assert resident() - before < 10e6
    await docker.close()


async def test_through_ssh_a_stream_can_be_cancelled_at_any_moment(engine: Engine, tmp_path: Path) -> None:
    container = start(engine, "sh", "-c", "while :; do echo line; sleep 0.01; done")
    tunnel = Tunnel(tmp_path)
    docker = tunnel.engine()
    async with connected(engine) as connection:
        await tunnel.use(connection)
        await docker.version()
        for moment in range(30):
            task = asyncio.create_task(read(docker.logs(container, tail=1, follow=True)))
            await asyncio.sleep(moment / 1000)
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
        assert len(await docker.containers("shop")) == 1
    await docker.close()


@pytest.mark.parametrize(
    ("word", "says"),
    [
        ("missing", "there is no socket at /nope.sock"),
        ("denied", "no permission for the socket"),
        ("stopped", "nothing listens at /nope.sock"),
        ("", "was closed without a whole answer"),
        ("anything", "was closed without a whole answer"),
    ],
)
async def test_through_ssh_the_server_is_asked_why(engine: Engine, tmp_path: Path, word: str, says: str) -> None:
    host = FakeHost("web1")
    host.streams["docker_why"] = [word.encode() + b"\n"]

    tunnel = Tunnel(tmp_path)
    docker = engine_of(Server(name="web1", ssh="deploy@web1", docker="/nope.sock"), tunnel, host)
    assert docker is not None
    async with connected(engine) as connection:
        await tunnel.use(connection, "/nope.sock")
        for call in (docker.version(), watch(docker)):
            with pytest.raises(Unreachable, match=says):
                await call
    assert host.started[0].env == {"DEPLOYBOT_SOCKET": "/nope.sock"}
    await docker.close()


async def test_through_tls(engine: Engine, tmp_path: Path) -> None:
    tls = make_tls(tmp_path / "tls")
    container = shell(engine, "echo one")
    async with door(tls, engine.socket) as port:
        docker = DockerEngine("web1", f"tcp://127.0.0.1:{port}", tls=tls)
        assert len(await docker.containers("shop")) == 1
        assert texts(await read(docker.logs(container, tail=None))) == [b"one"]
        await docker.close()


async def test_files_of_tls_that_others_can_change_or_read_are_not_used(engine: Engine, tmp_path: Path) -> None:
    tls = make_tls(tmp_path / "tls")
    async with door(tls, engine.socket) as port:
        for path, mode, says in (
            (tls.key, 0o640, "others can read"),
            (tls.cert, 0o664, "its group may write to"),
            (tls.ca, 0o646, "everybody may write to"),
        ):
            before = path.stat().st_mode
            path.chmod(mode)
            docker = DockerEngine("web1", f"tcp://127.0.0.1:{port}", tls=tls)
            with pytest.raises(Unreachable, match=f"{says} {path} ") as caught:
                await docker.version()
            assert "docker_tls" in caught.value.hint
            await docker.close()
            path.chmod(before)


async def test_tls_with_a_foreign_authority_is_refused(engine: Engine, tmp_path: Path) -> None:
    tls, other = make_tls(tmp_path / "tls"), make_tls(tmp_path / "other")
    mixed = DockerTls(ca=other.ca, cert=tls.cert, key=tls.key)
    async with door(tls, engine.socket) as port:
        docker = DockerEngine("web1", f"tcp://127.0.0.1:{port}", tls=mixed)
        for call in (docker.version(), watch(docker)):
            with pytest.raises(Unreachable, match="TLS failed") as caught:
                await call
            assert "docker_tls" in caught.value.hint
        await docker.close()


async def test_a_server_that_is_no_engine_is_recognized(tmp_path: Path) -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\nConnection: close\r\n\r\n<html>")
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "s"):
        docker = DockerEngine("web1", f"unix://{tmp_path}/s")
        with pytest.raises(BadAnswer, match="not Docker's API"):
            await docker.version()
        await docker.close()


@pytest.mark.parametrize(
    ("newest", "least", "spoken"),
    [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.44"), ("1.60", "1.50", "1.50"), ("1.41", None, "1.41")],
)
async def test_the_version_of_the_api_is_one_that_both_know(
    tmp_path: Path, newest: str, least: str | None, spoken: str
) -> None:
    asked = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readuntil(b"\r\n\r\n")).split()[1].decode())
        floor = f', "MinAPIVersion": "{least}"' if least else ""
        body = f'{{"Version": "29.0.0", "ApiVersion": "{newest}"{floor}}}'.encode()
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\nConnection: close\r\n\r\n%s" % (len(body), body))
        await writer.drain()
        writer.close()

    async with await asyncio.start_unix_server(answer, tmp_path / "s"):
        docker = DockerEngine("web1", f"unix://{tmp_path}/s")
        assert await docker.version() == "29.0.0"
        await docker.close()
    assert asked == ["/version", f"/v{spoken}/version"]


async def test_proxies_of_the_environment_are_not_used(
    engine: Engine, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "https_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    tls = make_tls(tmp_path / "tls")
    async with door(tls, engine.socket) as port:
        docker = DockerEngine("web1", f"tcp://127.0.0.1:{port}", tls=tls)
        assert await docker.containers("shop") == ()
        await docker.close()


def test_without_docker_in_bot_toml_there_is_no_engine(tmp_path: Path) -> None:
    assert engine_of(Server(name="web1", ssh="deploy@web1"), Tunnel(tmp_path)) is None
