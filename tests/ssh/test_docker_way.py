"""One way to Docker: what the bot asks, what it probes and what its jobs use is the same Engine, wherever it is."""

from __future__ import annotations

import json
import os
from hashlib import sha256
from pathlib import Path

import pytest

from deploybot.engine.docker_engine import DockerEngine
from deploybot.engine.docker_engine import engine as engine_of
from deploybot.errors import EngineError, Unreachable
from deploybot.settings import Server
from deploybot.ssh.ssh_host import SshHost
from deploybot.ssh.ssh_pool import Pool
from tests.conftest import MakeEngine, MakeSshd
from tests.lab import Access, Engine, Sshd
from tests.ssh.conftest import Reach, finished, server_of, whole_log

USUAL = "/var/run/docker.sock"


class Way:
    """A server by all ways that the bot has."""

    def __init__(self, server: Server) -> None:
        self.pool = Pool({server.name: server})
        self.host = SshHost(server.name, self.pool, docker=server.docker or "")
        found = engine_of(server, self.pool, self.host)
        assert found
        self.engine: DockerEngine = found

    async def ids(self, job: str) -> tuple[str, str]:
        """Which Engine the API reaches, and which a job."""
        await finished(self.host, job, "docker info --format '{{.ID}}'")
        return (await self.engine.info()).id, (await whole_log(self.host, job)).decode().strip()

    async def close(self) -> None:
        await self.engine.close()
        self.host.close()
        await self.pool.close()


def rootless(engine: Engine) -> str:
    """Move the Engine's socket to where a rootless one of the user has it."""
    folder = f"/run/user/{engine.sshd.box.account.uid}"
    engine.box.run("mkdir", "-p", folder)
    engine.box.run("mv", USUAL, f"{folder}/docker.sock")
    engine.box.run("chown", "-R", str(engine.sshd.box.account.uid), folder)
    return f"{folder}/docker.sock"


def by_file(engine: Engine, socket: str) -> None:
    """Let the user's own `docker` use a context."""
    settings = engine.sshd.home / ".docker"
    meta = settings / "contexts/meta" / sha256(b"mine").hexdigest()
    meta.mkdir(parents=True)
    (meta / "meta.json").write_text(
        json.dumps({"Name": "mine", "Metadata": {}, "Endpoints": {"docker": {"Host": f"unix://{socket}"}}})
    )
    (settings / "config.json").write_text(json.dumps({"auths": {}, "currentContext": "mine"}, indent="\t"))
    engine.box.run("chown", "-R", str(engine.sshd.box.account.uid), settings)


@pytest.mark.parametrize("named", [True, False])
async def test_a_rootless_engine_is_the_one_for_everything(make_engine: MakeEngine, job: str, *, named: bool) -> None:
    engine = make_engine()
    socket = rootless(engine)
    way = Way(server_of(engine.sshd, docker=socket if named else None))
    told = engine.docker("info", "--format", "{{.ID}} {{.DockerRootDir}} {{.ServerVersion}}").split()
    assert await way.ids(job) == (told[0], told[0])
    facts = await way.host.facts()
    assert (facts.docker_host, facts.docker_root, facts.docker) == (f"unix://{socket}", *told[1:])
    await way.close()


async def test_the_engine_of_the_current_context(make_engine: MakeEngine, job: str) -> None:
    engine = make_engine()
    engine.box.run("mv", USUAL, "/run/elsewhere.sock")
    by_file(engine, "/run/elsewhere.sock")
    way = Way(server_of(engine.sshd))
    first, second = await way.ids(job)
    assert first == second != ""
    facts = await way.host.facts()
    assert facts.docker_host == "unix:///run/elsewhere.sock"
    assert facts.docker
    await way.close()


async def test_the_usual_socket_and_room_on_its_disk(engine: Engine, job: str) -> None:
    way = Way(server_of(engine.sshd))
    first, second = await way.ids(job)
    assert first == second != ""
    facts = await way.host.facts()
    disk = os.statvfs(Path(facts.docker_root).parent)
    assert facts.docker_host == f"unix://{USUAL}"
    assert facts.docker_free == pytest.approx(disk.f_bavail * disk.f_frsize, rel=0.2)
    assert facts.docker_inodes == pytest.approx(disk.f_favail, rel=0.2) or not disk.f_files
    again = await way.host.facts()
    assert (again.docker_root, again.docker_free > 0) == (facts.docker_root, True)
    await way.close()


async def test_an_engine_that_moves_is_found_again(make_engine: MakeEngine) -> None:
    engine = make_engine()
    way = Way(server_of(engine.sshd))
    before = await way.engine.info()
    rootless(engine)
    await way.pool.drop("web1")
    with pytest.raises(Unreachable):
        await way.engine.info()
    assert await way.engine.info() == before
    await way.close()


@pytest.mark.parametrize("folder", ["bin", ".local/bin", ".docker/cli-plugins"])
async def test_programs_outside_of_path_are_found(
    make_sshd: MakeSshd, sshd: Sshd, reach: Reach, folder: str, job: str
) -> None:
    server = bare(make_sshd, sshd.box.directory.parent / f"tools-{job}")
    put = server.home / folder
    put.mkdir(parents=True)
    (put / "docker-compose").write_text("#!/bin/sh\necho 1.29.2\n")
    (put / "docker-compose").chmod(0o755)
    host = reach(server_of(server))
    facts = await host.facts()
    assert (facts.compose, facts.compose_version) == (("docker-compose",), "1.29.2")
    await finished(host, job, "docker-compose version")
    assert await whole_log(host, job) == b"1.29.2\n"


def bare(make_sshd: MakeSshd, tools: Path) -> Sshd:
    """A server whose sessions have neither Docker nor Compose on their PATH, nor in the usual folders."""
    tools.mkdir()
    for program in Path("/usr/bin").iterdir():
        if not program.name.startswith("docker"):
            (tools / program.name).symlink_to(program)
    server = make_sshd(access=Access(path=str(tools)))
    server.box.run("mount", "-t", "tmpfs", "tmpfs", "/usr/local/bin")
    return server


async def test_a_server_without_docker_says_so(busybox_server: Sshd) -> None:
    way = Way(server_of(busybox_server))
    with pytest.raises(Unreachable, match="Docker on web1 cannot be reached: no Docker was found there") as caught:
        await way.engine.version()
    assert "[servers.web1]" in caught.value.hint
    await way.close()


async def test_an_engine_that_only_the_server_reaches_is_an_error(make_sshd: MakeSshd) -> None:
    server = make_sshd(access=Access(lines=("SetEnv DOCKER_HOST=tcp://127.0.0.1:2375",)))
    way = Way(server_of(server))
    with pytest.raises(EngineError, match=r"is at tcp://127.0.0.1:2375, which the bot cannot reach"):
        await way.engine.version()
    await way.close()
