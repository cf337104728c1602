"""The adapter for Docker Engines, on real ones."""

from __future__ import annotations

import asyncio
import itertools
import os
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator
from contextlib import aclosing, asynccontextmanager
from pathlib import Path

import asyncssh
import pytest

from deploybot.domain import Mount, PublishedPort
from deploybot.engine.docker_engine import DockerEngine
from deploybot.engine.docker_engine import engine as engine_of
from deploybot.engine.docker_errors import explain
from deploybot.errors import BadAnswer, DeploybotError, EngineError, Unreachable
from deploybot.settings import DockerTls, Server
from deploybot.testing import FakeHost
from tests.lab import Engine, Image
from tests.ssh.tls import door, make_tls

LABELS = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web")
BUSYBOX = "lab/busybox:latest"
LOCAL = "127.0.0.1"


@pytest.fixture
async def docker(engine: Engine) -> AsyncIterator[DockerEngine]:
    adapter = DockerEngine("web1", engine.url, timeout=4)
    yield adapter
    await adapter.close()


def start(engine: Engine, *words: str, options: tuple[str, ...] = ()) -> str:
    """Start a container in the background; its id."""
    return engine.docker("run", "-d", *LABELS, *options, BUSYBOX, *words).strip()


def shell(engine: Engine, script: str, options: tuple[str, ...] = ()) -> str:
    """Run a script in a container to its end; the container's id."""
    container = start(engine, "sh", "-c", script, options=options)
    engine.docker("wait", container)
    return container


async def read(log: AsyncIterator[bytes]) -> bytes:
    return b"".join([chunk async for chunk in log])


async def watch(docker: DockerEngine) -> None:
    async for _ in docker.events():
        pass


def texts(log: bytes) -> list[bytes]:
    """Lines without the time before them."""
    return [line.partition(b"Z ")[2] for line in log.splitlines()]


async def test_version_is_the_engines(docker: DockerEngine, engine: Engine) -> None:
    assert await docker.version() == engine.docker("version", "-f", "{{.Server.Version}}").strip()


async def test_containers_are_those_of_the_project(docker: DockerEngine, engine: Engine) -> None:
    began = time.time() - 1
    running = start(engine, "sleep", "1000", options=("--name", "web-1", "--label", "com.docker.compose.oneoff=True"))
    ended = shell(engine, "exit 3", options=("--name", "web-2"))
    engine.docker("run", "-d", BUSYBOX, "sleep", "1000")
    first, second = await docker.containers("shop")
    assert (first.id, first.name, first.service, first.image) == (running, "web-1", "web", BUSYBOX)
    assert (first.state, first.health, first.oneoff) == ("running", "", True)
    assert began < first.started < time.time() + 1
    assert began - 1 < first.asked < time.time() + 1
    assert (second.id, second.state, second.exit_code) == (ended, "exited", 3)
    assert ("com.docker.compose.project", "shop") in second.labels


@pytest.mark.parametrize(("healthy", "word"), [("true", "healthy"), ("false", "unhealthy")])
async def test_health_and_restarts_are_reported(docker: DockerEngine, engine: Engine, healthy: str, word: str) -> None:
    engine.load(Image("lab/checked:1", ("sleep", "1000"), healthcheck=healthy))
    engine.docker("run", "-d", *LABELS, "--name", "aa", "lab/checked:1")
    shell(engine, "exit 1", options=("--restart", "on-failure:2"))
    async with asyncio.timeout(20):
        while (found := await docker.containers("shop"))[0].health != word or found[1].restarts != 2:
            assert found[0].health in {"starting", word}


async def test_images_are_listed(docker: DockerEngine, engine: Engine) -> None:
    engine.load(Image("lab/labelled:1", labels={"who": "ada"}))
    found = {tag: image for image in await docker.images() for tag in image.tags}
    assert found[BUSYBOX].size > 1_000_000
    assert found["lab/labelled:1"].labels == (("who", "ada"),)
    assert found["lab/labelled:1"].created == 1_577_836_800


async def test_what_a_container_really_is_publishes_and_mounts(docker: DockerEngine, engine: Engine) -> None:
    engine.docker("volume", "create", "data")
    options = (
        *("--name", "web-1", "-p", "8080:80", "-p", "127.0.0.1:5300:53/udp"),
        *("-v", "data:/data", "-v", "/etc/hostname:/name:ro"),
    )
    running = start(engine, "sleep", "1000", options=options)
    engine.docker("create", "--name", "other", "-p", "9090:90", BUSYBOX)
    image = engine.docker("inspect", "-f", "{{.Image}}", running).strip()
    (one,) = await docker.containers("shop")
    listed = {each.name: each for each in await docker.all_containers()}
    for seen in (one, listed["web-1"]):
        assert (seen.id, seen.image, seen.image_id, seen.project, seen.service) == (
            *(running, BUSYBOX, image),
            *("shop", "web"),
        )
        assert set(seen.ports) == {PublishedPort(port=8080), PublishedPort(port=5300, protocol="udp", address=LOCAL)}
        assert seen.mounts == (
            Mount(kind="volume", source="data", target="/data"),
            Mount(kind="bind", source="/etc/hostname", target="/name"),
        )
        assert abs(time.time() - seen.created) < 60
    assert (listed["other"].project, listed["other"].state, listed["other"].ports) == ("", "created", ())
    engine.docker("stop", "-t", "0", "web-1")
    assert set((await docker.containers("shop"))[0].ports) == set(one.ports)


async def test_a_container_without_the_network_that_it_was_created_with(docker: DockerEngine, engine: Engine) -> None:
    """Docker 29 forgets the network if a start fails at a taken port; a person can take it away, too."""
    engine.docker("network", "create", "front")
    start(engine, "sleep", "1000", options=("--name", "web-1", "--network", "front", "-p", "8080:80"))
    for mode in ("none", "host", "bridge"):
        start(engine, "sleep", "1000", options=("--name", mode, "--network", mode))
    start(engine, "sleep", "1000", options=("--name", "beside", "--network", "container:bridge"))
    engine.docker("network", "create", "--internal", "inside")
    for number, mode in enumerate(("inside", "host", "none")):  # whose ports Docker never publishes
        start(
            engine, "sleep", "1000", options=("--name", f"{mode}-port", "--network", mode, "-p", f"{8081 + number}:80")
        )
    assert [one.name for one in await docker.containers("shop") if one.cut_off] == []
    engine.docker("network", "disconnect", "front", "web-1")
    found = {one.name: one for one in await docker.containers("shop")}["web-1"]
    assert (found.state, found.cut_off) == ("running", True)
    engine.docker("stop", "-t", "0", "web-1")
    engine.docker("start", "web-1")
    found = {one.name: one for one in await docker.containers("shop")}["web-1"]
    assert (found.state, found.cut_off) == ("running", True)


async def test_a_moved_tag_does_not_change_what_a_container_is(docker: DockerEngine, engine: Engine) -> None:
    engine.load(Image("lab/moves:1", ("sleep", "1000")), Image("lab/moves:2", ("sleep", "2000")))
    engine.docker("run", "-d", *LABELS, "lab/moves:1")
    (before,) = await docker.containers("shop")
    engine.docker("tag", "lab/moves:2", "lab/moves:1")
    (after,) = await docker.containers("shop")
    moved = await docker.image("lab/moves:1")
    assert (before.image_id, before.image) == (after.image_id, "lab/moves:1")
    assert moved
    assert moved.id != after.image_id
    (listed,) = [one for one in await docker.all_containers() if one.id == after.id]
    assert listed.image_id == after.image_id


async def test_one_image_by_its_tag_and_its_id(docker: DockerEngine, engine: Engine) -> None:
    engine.load(Image("lab/labelled:1", labels={"who": "ada"}))
    found = await docker.image("lab/labelled:1")
    assert found
    assert (found.tags, found.labels, found.created) == (("lab/labelled:1",), (("who", "ada"),), 1_577_836_800)
    assert await docker.image(found.id) == found
    assert await docker.image("lab/none:1") is None
    assert await docker.image(f"sha256:{'0' * 64}") is None


async def test_networks_and_volumes_by_name(docker: DockerEngine, engine: Engine) -> None:
    engine.docker("network", "create", "front")
    engine.docker("volume", "create", "data")
    assert {"bridge", "front", "host", "none"} <= set(await docker.networks())
    assert "data" in await docker.volumes()


async def test_an_engine_reports_which_it_is(docker: DockerEngine, engine: Engine) -> None:
    told = engine.docker("info", "-f", "{{.ID}} {{.ServerVersion}} {{.DockerRootDir}}").split()
    info = await docker.info()
    assert [info.id, info.version, info.root] == told


async def test_usage_of_a_busy_container(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sh", "-c", "while :; do :; done")
    first = await docker.usage(container, quick=True)
    assert first.cpu == -1
    assert 0 < first.memory < first.memory_limit
    # What share of a core it gets is the machine's affair; that it takes any is ours to see.
    assert 1 < (await docker.usage(container)).cpu < 120


async def test_usage_of_a_stopped_container_is_unknown(docker: DockerEngine, engine: Engine) -> None:
    usage = await docker.usage(shell(engine, "exit 0"))
    assert (usage.cpu, usage.memory) == (-1, -1)


async def test_a_log_joins_both_streams_in_order(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo one; sleep 0.1; echo two >&2; sleep 0.1; printf three")
    log = await read(docker.logs(container, tail=None))
    assert texts(log) == [b"one", b"two", b"three"]
    assert texts(await read(docker.logs(container, tail=2))) == [b"two", b"three"]
    assert await read(docker.logs(container, tail=0)) == b""
    assert await read(docker.logs(container, tail=None, since=time.time() + 60)) == b""


async def test_a_log_of_a_terminal(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo one; echo two >&2", options=("-t",))
    assert texts(await read(docker.logs(container, tail=None))) == [b"one", b"two"]


@pytest.mark.parametrize("options", [(), ("-t",)])
async def test_a_log_without_times(docker: DockerEngine, engine: Engine, options: tuple[str, ...]) -> None:
    container = shell(engine, "echo one; sleep 0.1; printf '\\001\\000\\000\\000 two\\n' >&2", options=options)
    log = await read(docker.logs(container, tail=None, times=False))
    assert log.splitlines() == [b"one", b"\x01\x00\x00\x00 two"]
    long = shell(engine, "head -c 100000 /dev/zero | tr '\\0' x; echo; echo after")
    assert await read(docker.logs(long, tail=None, times=False)) == b"x" * 100_000 + b"\nafter\n"
    with pytest.raises(EngineError, match="No such container: nope"):
        await read(docker.logs("nope", tail=None, times=False))


async def test_a_line_of_a_megabyte_is_one_line(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo before; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo after")
    assert texts(await read(docker.logs(container, tail=None))) == [b"before", b"x" * 1_000_000, b"after"]


async def test_binary_junk_comes_through(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "printf '\\000\\001\\377\\n'")
    assert texts(await read(docker.logs(container, tail=None))) == ["\0\1�".encode()]  # as json-file kept it


async def test_a_log_that_nobody_reads_waits_at_the_engine(docker: DockerEngine, engine: Engine) -> None:
    container = shell(
        engine, "head -c 60000000 /dev/zero | tr '\\0' '\\n' | head -n 300000 | sed 's/^/a line of text/'"
    )
    before, size, slow = resident(), 0, True
    async with aclosing(docker.logs(container, tail=None)) as log:
        async for chunk in log:
            size += len(chunk)
            if slow:
                slow = False
                await asyncio.sleep(1)
    assert size == 300_000 * len("2026-11-21T01:23:45.123456789Z a line of text\n")
    assert resident() - before < 20e6


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")


async def test_a_followed_log_comes_as_it_is_written(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sh", "-c", "echo one; while [ ! -e /go ]; do sleep 0.05; done; echo two")
    async with aclosing(docker.logs(container, tail=None, follow=True)) as log:
        assert texts(await anext(log)) == [b"one"]
        engine.docker("exec", container, "touch", "/go")
        assert texts(await anext(log)) == [b"two"]
        assert await read(log) == b""


async def test_following_a_quiet_container_ends_in_time(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sleep", "1000")
    began = time.monotonic()
    assert await read(docker.logs(container, tail=None, follow=True, timeout=0.5)) == b""
    assert 0.4 < time.monotonic() - began < 2


async def test_following_a_quiet_container_can_be_cancelled(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sleep", "1000")
    task = asyncio.create_task(read(docker.logs(container, tail=None, follow=True)))
    await docker.version()
    threads = threading.active_count()
    task.cancel()
    began = time.monotonic()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert time.monotonic() - began < 5
    assert threading.active_count() <= threads


async def test_events_report_containers(docker: DockerEngine, engine: Engine) -> None:
    began = time.time()
    container = shell(engine, "exit 3", options=("--name", "eve"))
    events = [event async for event in docker.events(since=began, timeout=0.5) if event.id == container]
    assert [event.action for event in events] == ["create", "attach", "start", "die"][: len(events)] or events
    last = events[-1]
    assert (last.action, last.exit_code, last.name) == ("die", 3, "eve")
    assert (last.project, last.service, last.image) == ("shop", "web", BUSYBOX)
    assert began < last.at < time.time()


async def test_what_is_not_there_is_named(docker: DockerEngine) -> None:
    with pytest.raises(EngineError, match="No such container: nope"):
        await docker.usage("nope")
    with pytest.raises(EngineError, match="No such container: nope"):
        await read(docker.logs("nope", tail=None))


async def test_a_log_that_is_not_kept_is_said_so(docker: DockerEngine, engine: Engine) -> None:
    container = shell(engine, "echo one", options=("--log-driver", "none"))
    with pytest.raises(EngineError, match="does not support reading"):
        await read(docker.logs(container, tail=None))


async def test_a_stopped_daemon_is_unreachable_and_back_when_started(docker: DockerEngine, engine: Engine) -> None:
    await docker.version()
    engine.stop()
    with pytest.raises(Unreachable) as caught:
        await docker.containers("shop")
    assert "systemctl status docker" in caught.value.hint or "Is Docker installed" in caught.value.hint
    with pytest.raises(Unreachable):
        await watch(docker)
    engine.start()
    assert await docker.containers("shop") == ()


async def test_a_log_cut_short_does_not_look_complete(docker: DockerEngine, engine: Engine) -> None:
    container = start(engine, "sh", "-c", "echo one; sleep 3")
    log = docker.logs(container, tail=None, follow=True)
    assert texts(await anext(log)) == [b"one"]
    engine.kill()
    with pytest.raises(Unreachable, match="closed without a whole answer"):
        await anext(log)


async def test_a_hanging_daemon_costs_a_bounded_time(engine: Engine) -> None:
    docker = DockerEngine("web1", engine.url, timeout=0.5)
    await docker.version()
    engine.pause()
    for call in (docker.containers("shop"), docker.version(), read(docker.logs("x", tail=None)), watch(docker)):
        began = time.monotonic()
        with pytest.raises(Unreachable, match=r"no answer at .* in time"):
            await call
        assert time.monotonic() - began < 2.5
    engine.resume()
    assert await docker.containers("shop") == ()
    await docker.close()


async def test_many_calls_at_once_share_the_threads(docker: DockerEngine, engine: Engine) -> None:
    start(engine, "sleep", "1000")
    answers = await asyncio.gather(*(docker.containers("shop") for _ in range(40)))
    assert {len(found) for found in answers} == {1}


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
    docker = engine_of(Server(name="web1", ssh="deploy@web1", docker="/var/run/docker.sock"), tunnel)
    assert docker is not None
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
    docker = engine_of(Server(name="web1", ssh="deploy@web1", docker="/var/run/docker.sock"), tunnel)
    assert docker is not None
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
    docker = engine_of(Server(name="web1", ssh="deploy@web1", docker="/var/run/docker.sock"), tunnel)
    assert docker is not None
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
    [("1.41", "1.12", "1.41"), ("1.52", "1.44", "1.45"), ("1.60", "1.50", "1.50"), ("1.41", None, "1.41")],
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


def test_docker_py_is_imported_only_when_an_engine_is_used() -> None:
    code = "import sys, deploybot.engine.docker_engine; sys.exit('docker' in sys.modules or 'requests' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)


@pytest.mark.parametrize(
    ("problem", "kind", "says", "hint"),
    [
        (FileNotFoundError(2, "no"), Unreachable, "there is no socket at /s", "installed"),
        (PermissionError(13, "no"), Unreachable, "no permission for the socket /s", "group docker"),
        (ConnectionRefusedError(111, "no"), Unreachable, "nothing listens at /s", "daemon seems to be stopped"),
        (TimeoutError(), Unreachable, "no answer at /s in time", "hangs"),
        (ConnectionResetError(104, "no"), Unreachable, "the connection to /s was closed", "group docker"),
        (ValueError("Expecting value"), BadAnswer, "not Docker's API", ""),
    ],
)
def test_failures_become_plain_words(problem: Exception, kind: type[DeploybotError], says: str, hint: str) -> None:
    packed = OSError("connection aborted", problem) if not isinstance(problem, ValueError) else problem
    error = explain("Docker on web1", "/s", packed)
    assert type(error) is kind
    assert str(error).startswith("Docker on web1")
    assert says in str(error)
    assert hint in getattr(error, "hint", "")
