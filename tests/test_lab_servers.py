"""The laboratory's servers, registry, networks and disks are real: they do what the tests that lean on them believe."""

from __future__ import annotations

import asyncio
import errno
import socket
from contextlib import asynccontextmanager
from functools import partial
from http.client import HTTPConnection
from pathlib import Path
from typing import TYPE_CHECKING

import asyncssh
import pytest

from tests.lab import COMPOSE_ALONE, WEB_PORT, Access, Image, Lab, LabError, Proxy, crashing, until, web
from tests.lab.run import program, started

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from tests.conftest import MakeEngine, MakeSshd
    from tests.lab import Engine, FullDisk, Registry, Sshd


COMPOSE = """
services:
  web:
    image: {image}
    ports: ["8000:8000"]
"""


@asynccontextmanager
async def connect(
    server: Sshd,
    *,
    port: int = 0,
    host_key: str = "",
    keys: Sequence[str | tuple[str, str]] | None = None,
    password: str | None = None,
    tunnel: asyncssh.SSHClientConnection | None = None,
) -> AsyncIterator[asyncssh.SSHClientConnection]:
    """Connect with the pinned key; `port` is that of a proxy on loopback."""
    async with asyncssh.connect(
        "127.0.0.1" if port else server.address,
        port or server.port,
        config=None,
        tunnel=tunnel or (),
        username=server.user,
        password=password,
        client_keys=[str(server.client_key)] if keys is None else keys,
        agent_path=None,
        known_hosts=asyncssh.import_known_hosts(f"* {host_key or server.host_key}\n"),
    ) as connection:
        yield connection


async def output(server: Sshd, command: str, *, port: int = 0) -> str:
    async with connect(server, port=port) as connection:
        return await said(connection, command)


async def said(connection: asyncssh.SSHClientConnection, command: str) -> str:
    return str((await connection.run(command, check=True)).stdout).strip()


def http_get(address: str, path: str = "/") -> str:
    connection = HTTPConnection(address, WEB_PORT, timeout=30)
    try:
        connection.request("GET", path)
        return connection.getresponse().read().decode()
    finally:
        connection.close()


def compose_file(directory: Path, image: str) -> Path:
    (directory / "compose.yaml").write_text(COMPOSE.format(image=image))
    return directory


class TestSshd:
    async def test_lets_the_key_in_as_a_user_with_a_home_of_its_own(self, sshd: Sshd) -> None:
        assert await output(sshd, "id -un; pwd; readlink /proc/$$/exe") == f"deploy\n{sshd.home}\n/usr/bin/dash"
        assert sshd.ssh_target == f"deploy@{sshd.address}:22"

    async def test_has_the_host_key_it_says(self, sshd: Sshd, make_sshd: MakeSshd) -> None:
        other = make_sshd()
        with pytest.raises(asyncssh.HostKeyNotVerifiable):
            async with connect(sshd, host_key=other.host_key):
                pass

    async def test_servers_share_neither_homes_nor_processes(self, sshds: Callable[[int], list[Sshd]]) -> None:
        one, two = sshds(2)
        async with connect(one) as connection:
            await connection.run("echo 1 >mine; setsid sleep 60 >/dev/null 2>&1 &")
        assert await output(two, "ls mine; ps -eo args | grep -c '[s]leep 60' || true") == "0"
        assert (one.home / "mine").read_text() == "1\n"

    async def test_password(self, make_sshd: MakeSshd) -> None:
        server = make_sshd(access=Access(password="correct horse"))
        async with connect(server, keys=(), password=server.password) as connection:
            assert await said(connection, "id -un") == "deploy"
        with pytest.raises(asyncssh.PermissionDenied):
            async with connect(server, password="wrong"):
                pass

    async def test_certificate_of_the_servers_ca(self, make_sshd: MakeSshd, tmp_path: Path) -> None:
        server = make_sshd(access=Access(certificate=True))
        pair = (str(server.client_key), str(server.certificate))
        async with connect(server, keys=[pair]) as connection:
            assert await said(connection, "id -un") == "deploy"
        copy = tmp_path / "key-without-certificate-beside-it"
        copy.write_bytes(server.client_key.read_bytes())
        with pytest.raises(asyncssh.PermissionDenied):
            async with connect(server, keys=[str(copy)]):
                pass

    async def test_one_is_a_jump_host_to_the_other(self, sshds: Callable[[int], list[Sshd]]) -> None:
        jump, target = sshds(2)
        async with connect(jump) as tunnel, connect(target, tunnel=tunnel) as connection:
            assert await said(connection, "hostname") == target.box.name

    async def test_sessions_are_limited_as_openssh_is_installed(self, sshd: Sshd) -> None:
        async with connect(sshd) as connection:
            held = [await connection.create_process("sleep 60") for _ in range(10)]
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.run("true")
        assert len(held) == 10

    async def test_killed_sessions_leave_the_remote_program(self, sshd: Sshd) -> None:
        async with connect(sshd) as connection:
            await connection.run("setsid sleep 61 >/dev/null 2>&1 &")
            sshd.kill_sessions()
            await asyncio.wait_for(connection.wait_closed(), 30)
        assert await output(sshd, "ps -eo args | grep -c '[s]leep 61'") == "1"
        assert sshd.processes()

    async def test_stopped_it_refuses_and_restarted_it_is_the_same(self, sshd: Sshd) -> None:
        sshd.stop()
        with pytest.raises(OSError, match=r"refused|Connect call failed"):
            await output(sshd, "true")
        sshd.restart()
        assert await output(sshd, "echo back") == "back"

    async def test_its_sessions_have_ended_when_it_is_stopped(self, make_sshd: MakeSshd) -> None:
        server = make_sshd()
        async with connect(server) as connection:
            await connection.run("true")
            running = [pid for pid in server.box.pids() if program(pid).startswith("sshd")]
            assert len(running) > 1
            server.stop()
            assert not [pid for pid in running if started(pid)]

    async def test_paused_it_hangs_and_resumed_it_goes_on(self, sshd: Sshd) -> None:
        async with connect(sshd) as connection:
            sshd.pause()
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(connection.run("true"), 0.3)
            sshd.resume()
            assert (await connection.run("echo on")).stdout == "on\n"

    async def test_rebooted_it_has_lost_its_processes_and_changed_its_boot_id(self, make_sshd: MakeSshd) -> None:
        server = make_sshd()
        look = "cat /proc/sys/kernel/random/boot_id; ps -eo args | grep -c '[s]leep 62' || true"
        await output(server, "setsid sleep 62 >/dev/null 2>&1 &")
        before = (await output(server, look)).split()
        server.reboot()
        after = (await output(server, look)).split()
        assert before[1] == "1"
        assert after[1] == "0"
        assert before[0] != after[0]

    async def test_orphans_are_reaped_as_on_a_real_machine(self, sshd: Sshd) -> None:
        await output(sshd, "(sleep 0.05 &) ; (true &)")
        until(lambda: not _zombies(sshd), within=60, what="reaping")


class TestBusybox:
    async def test_everything_is_busybox(self, busybox_server: Sshd) -> None:
        find = "find /bin /usr/bin/ ! -type d ! -lname busybox ! -name busybox | wc -l"
        assert await output(busybox_server, f"readlink /bin/sh; {find}; pwd; echo $0") == (
            "busybox\n0\n/home/deploy\nsh"
        )
        assert "BusyBox" in await output(busybox_server, "ps --help 2>&1; true")

    async def test_it_has_a_home_devices_proc_and_sftp(self, busybox_server: Sshd) -> None:
        async with connect(busybox_server) as connection, connection.start_sftp_client() as sftp:
            await sftp.put(__file__, "here")
            done = await connection.run("cat here | head -c 3; head -c 8 /dev/urandom | wc -c; cat /proc/1/comm")
        assert done.stdout == '"""8\ndocker-init\n'
        assert (busybox_server.home / "here").stat().st_size > 1000

    async def test_after_a_reboot_it_still_is(self, busybox_server: Sshd) -> None:
        busybox_server.reboot()
        assert await output(busybox_server, "readlink /bin/sh") == "busybox"


class TestEngine:
    def test_runs_a_web_server_that_answers(self, engine: Engine) -> None:
        engine.load(web("lab/web:v7", "seven"))
        engine.docker("run", "--detach", "--publish=8000:8000", "lab/web:v7")
        until(partial(_answers, engine), within=60, what="an answer")
        assert http_get(engine.address) == "seven"

    async def test_on_its_server_docker_and_its_ports_are_where_they_belong(self, engine: Engine) -> None:
        engine.load(web())
        start = "docker run -d -p 8000:8000 --name web lab/web:v1 >/dev/null"
        # It runs before it listens.
        tried = "docker exec web wget -qO /dev/null http://127.0.0.1:8000/ 2>/dev/null"
        listens = f"for _ in $(seq 300); do {tried} && break; sleep 0.1; done"
        ask = "docker exec web wget -qO- http://127.0.0.1:8000/; busybox wget -qO- http://127.0.0.1:8000/"
        assert await output(engine.sshd, f"{start}; {listens}; {ask}") == "v1v1"

    def test_compose_waits_for_health(self, engine: Engine, tmp_path: Path) -> None:
        engine.load(web())
        engine.docker("compose", "up", "-d", "--wait", cwd=compose_file(tmp_path, "lab/web:v1"))
        assert http_get(engine.address, "/healthz") == "ok\n"

    def test_compose_gives_up_on_the_unhealthy_and_on_what_crashes(self, engine: Engine, tmp_path: Path) -> None:
        bad = web("lab/web:bad", healthy=False), crashing("lab/web:crash")
        engine.load(*bad)
        for image in bad:
            with pytest.raises(LabError, match=r"unhealthy|exited \(1\)"):
                engine.docker("compose", "up", "-d", "--wait", cwd=compose_file(tmp_path, image.tag))
        assert "no such table" in engine.docker("compose", "logs", cwd=tmp_path)

    @pytest.mark.parametrize("buildkit", ["0", "1"])
    async def test_compose_builds_offline(self, engine: Engine, buildkit: str) -> None:
        home = engine.sshd.home
        (home / "compose.yaml").write_text("services: {app: {build: ., image: 'built:1'}}\n")
        (home / "Dockerfile").write_text(f"FROM lab/busybox\nRUN echo {buildkit} >/made\nCMD cat /made\n")
        command = f"DOCKER_BUILDKIT={buildkit} docker compose build -q && docker run --rm built:1"
        assert (await output(engine.sshd, command)).splitlines()[-1] == buildkit

    async def test_compose_with_a_dash_where_it_is_on_the_path(self, make_engine: MakeEngine) -> None:
        engine = make_engine(access=Access(path=f"/usr/bin:/bin:{COMPOSE_ALONE}", compose_plugin=False))
        assert await output(engine.sshd, "docker compose version >/dev/null 2>&1 || echo none") == "none"
        assert "2.26" in await output(engine.sshd, "docker-compose version")

    def test_equal_images_are_one_and_others_are_not(self, engine: Engine) -> None:
        engine.load(web("same:1"), web("same:2"), web("other:1", "other"))
        ids = {
            tag: engine.docker("image", "inspect", "--format={{.Id}}", tag) for tag in ("same:1", "same:2", "other:1")
        }
        assert ids["same:1"] == ids["same:2"] != ids["other:1"]

    def test_two_engines_share_nothing_not_even_ports(self, engine: Engine, engine2: Engine) -> None:
        for number, each in enumerate((engine, engine2)):
            each.load(web("lab/web:here", str(number)))
            each.docker("run", "--detach", "--name=web", "--publish=8000:8000", "lab/web:here")
            until(partial(_answers, each), within=60, what="an answer")
        assert [http_get(each.address) for each in (engine, engine2)] == ["0", "1"]

    @pytest.mark.parametrize("how", ["restart", "kill", "reboot"])
    def test_containers_that_should_come_back_do(self, engine: Engine, how: str) -> None:
        engine.load(web())
        engine.docker("run", "-d", "--restart=always", "-p", "8000:8000", "lab/web:v1")
        {"restart": engine.restart, "kill": engine.kill, "reboot": engine.sshd.reboot}[how]()
        engine.start()
        until(partial(_answers, engine), within=60, what="an answer")

    def test_it_stays_paused_however_often_it_is_asked(self, engine: Engine) -> None:
        for _ in range(5):
            for _ in range(3):
                engine.pause()
            with socket.socket(socket.AF_UNIX) as line:
                line.settimeout(0.2)
                line.connect(str(engine.socket))
                line.sendall(b"GET /_ping HTTP/1.1\r\nHost: x\r\n\r\n")
                with pytest.raises(TimeoutError):
                    line.recv(1)
            engine.resume()
            assert "Version" in engine.docker("version")

    def test_its_disk_can_be_small_and_full(self, make_engine: MakeEngine) -> None:
        engine = make_engine(disk=32 << 20)
        assert engine.disk
        engine.disk.fill(leave=1 << 20)
        with pytest.raises(LabError, match="no space left on device"):
            engine.load(web(text="x" * (2 << 20)))
        engine.disk.empty()
        engine.load(web())

    def test_a_swarm_of_one(self, engine: Engine) -> None:
        engine.load(web())
        engine.docker("swarm", "init", f"--advertise-addr={engine.address}")
        create = ("service", "create", "--detach", "--name=web", "--no-resolve-image", "--endpoint-mode=dnsrr")
        engine.docker(*create, "lab/web:v1")
        ask = ("service", "ps", "web", "--format={{.CurrentState}}")
        until(lambda: engine.docker(*ask).startswith("Running"), within=60, what="the service")


class TestRegistry:
    def test_push_here_and_pull_there_by_one_name(self, engine: Engine, engine2: Engine, registry: Registry) -> None:
        name = registry.name("one-name", "v1")
        for each in (engine, engine2):
            each.trust(registry)
        engine.load(Image(name, files={"/made": "here"}))
        engine.docker("push", name)
        assert registry.tags("one-name") == ["v1"]
        engine2.docker("pull", name)
        assert engine2.docker("run", "--rm", name, "cat", "/made") == "here"

    def test_stopped_it_is_gone_and_started_it_kept_everything(self, engine: Engine, registry: Registry) -> None:
        name = registry.name("kept", "v1")
        engine.trust(registry)
        engine.load(Image(name))
        engine.docker("push", name)
        registry.stop()
        with pytest.raises(LabError):
            engine.docker("push", name)
        registry.start()
        assert registry.tags("kept") == ["v1"]


class TestProxy:
    async def test_forwards(self, sshd: Sshd) -> None:
        async with Proxy(sshd.address, sshd.port) as proxy:
            assert await output(sshd, "echo through", port=proxy.port) == "through"
        assert proxy.connections == 1
        assert min(proxy.sent, proxy.received) > 1000

    async def test_cut_ends_the_connection_at_both_ends(self, sshd: Sshd) -> None:
        async with Proxy(sshd.address, sshd.port) as proxy, connect(sshd, port=proxy.port) as connection:
            process = await connection.create_process("echo here; sleep 60")
            assert await process.stdout.readline() == "here\n"
            proxy.cut()
            assert (await process.wait(timeout=30)).exit_status is None

    async def test_cut_after_so_many_bytes(self, sshd: Sshd) -> None:
        async with Proxy(sshd.address, sshd.port) as proxy:
            async with connect(sshd, port=proxy.port) as connection:
                before = proxy.sent + proxy.received
                proxy.cut_after(50_000)
                done = await connection.run("head -c 1000000 /dev/zero", encoding=None)
            assert done.exit_status is None
            assert proxy.sent + proxy.received == before + 50_000

    async def test_stall_keeps_the_line_open_and_resume_delivers(self, sshd: Sshd) -> None:
        async with Proxy(sshd.address, sshd.port) as proxy, connect(sshd, port=proxy.port) as connection:
            proxy.stall()
            running = asyncio.create_task(connection.run("echo late"))
            _, waiting = await asyncio.wait({running}, timeout=0.3)
            assert waiting
            proxy.resume()
            assert (await running).stdout == "late\n"

    async def test_swallow_answers_nothing(self, sshd: Sshd) -> None:
        async with Proxy(sshd.address, sshd.port) as proxy:
            proxy.swallow()
            asking = asyncio.create_task(output(sshd, "true", port=proxy.port))
            async with asyncio.timeout(30):
                while not proxy.connections:  # noqa: ASYNC110  a counter has no event
                    await asyncio.sleep(0.01)
            _, waiting = await asyncio.wait({asking}, timeout=0.3)
            assert waiting
            asking.cancel()
            await asyncio.wait({asking})
        assert proxy.connections == 1


class TestFullDisk:
    def test_nothing_fits_until_it_is_emptied(self, full_disk: FullDisk) -> None:
        with pytest.raises(OSError, match="No space left") as caught:
            (full_disk.path / "more").write_bytes(bytes(5000))
        assert caught.value.errno == errno.ENOSPC
        full_disk.empty()
        (full_disk.path / "more").write_bytes(bytes(5000))

    async def test_on_a_server_its_user_fills_it(self, lab: Lab, sshd: Sshd) -> None:
        disk = lab.full_disk(sshd=sshd)
        disk.fill(leave=8192)
        command = f"head -c 100000 /dev/zero >{disk.path}/more; stat -c %s {disk.path}/more"
        assert await output(sshd, command) == "8192"
        assert not list(disk.path.iterdir())
        assert (disk.outside / "more").stat().st_size == 8192


def _answers(engine: Engine) -> bool:
    try:
        return bool(http_get(engine.address))
    except OSError:
        return False


def _zombies(server: Sshd) -> list[int]:
    return [pid for pid in server.processes() if not started(pid)]
