"""Ways to laboratory servers, as the bot has them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import secrets
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Protocol

import pytest

from deploybot.domain import JobState, JobStatus
from deploybot.engine.docker_engine import DockerEngine
from deploybot.settings import FileRef, Server
from deploybot.ssh.ssh_host import SshHost
from deploybot.ssh.ssh_pool import Pool
from tests.kit.seeds import new_seed
from tests.lab import Engine, Proxy, Sshd

RUN = "logs_command"
"""A packaged script that runs DEPLOYBOT_COMMAND."""


def command(text: str, **values: str) -> dict[str, str]:
    """The values that make RUN run a shell text."""
    return {"DEPLOYBOT_DIRECTORY": "/", "DEPLOYBOT_COMMAND": text, **values}


def server_of(sshd: Sshd, name: str = "web1", **more: object) -> Server:
    """How bot.toml would name a laboratory server, with its user's own key."""
    given = {"ssh": sshd.ssh_target, "host_key": (sshd.host_key,), "connect_timeout": 20.0, **more}
    if not {"key", "password", "agent"} & more.keys():
        given["key"] = FileRef(file=sshd.client_key)
    return Server.model_validate({"name": name, **given})


def through(proxy: Proxy, sshd: Sshd) -> Server:
    """The same server by way of a bad network."""
    return server_of(sshd, ssh=f"{sshd.user}@{proxy.address}:{proxy.port}")


class Reach(Protocol):
    """Makes hosts over one pool a call, all closed after the test."""

    def __call__(self, *servers: Server, log_cap: int = ...) -> SshHost:
        """The host of the first server; the others may be its jump hosts."""


@pytest.fixture
async def pools() -> AsyncIterator[list[Pool]]:
    """Pools to close after the test."""
    made: list[Pool] = []
    yield made
    for pool in made:
        await pool.close()


@pytest.fixture
def reach(pools: list[Pool]) -> Reach:
    """Return a function that gives the host of a server."""

    def make(*servers: Server, log_cap: int = 67_108_864) -> SshHost:
        pool = Pool({server.name: server for server in servers})
        pools.append(pool)
        docker = servers[0].docker or ""
        return SshHost(servers[0].name, pool, log_cap=log_cap, docker=docker)

    return make


@pytest.fixture
def job() -> str:
    """A fresh id."""
    return f"1-f-web1-0-{secrets.token_hex(5)}"


def chance() -> tuple[random.Random, str]:
    """Randomness, and the words that tell how to have the same again: `SEED` repeats a run."""
    seed = new_seed()
    return random.Random(seed), f"SEED={seed}"


async def ended(host: SshHost, job: str, within: float = 30) -> JobStatus:
    """A job's end."""
    status = await host.wait(job, timeout=within)
    assert status.state is not JobState.RUNNING, status
    return status


async def finished(host: SshHost, job: str, text: str, **values: str) -> JobStatus:
    """Start a job that runs a shell text, and wait for its end; the status of one that was not taken."""
    status = await host.start(job, RUN, command(text, **values), deadline=60)
    return await ended(host, job) if status.state is JobState.RUNNING else status


async def whole_log(host: SshHost, job: str) -> bytes:
    """All of a job's log, in pieces."""
    log = b""
    while data := (await host.poll(job, len(log))).data:
        log += data
    return log


async def nothing_runs(server: Sshd, within: float = 10) -> None:
    """Return once no process of the server's user is left; otherwise say which ones are."""
    with contextlib.suppress(AssertionError):
        await until(lambda: not server.processes(), within)
    assert [words(pid) for pid in server.processes()] == []


def words(pid: int) -> str:
    """A process's arguments; empty where it has gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


async def until(condition: Callable[[], object], within: float = 10) -> None:
    """Return once the condition holds."""
    end = time.monotonic() + within
    while not condition():
        assert time.monotonic() < end, "it did not come to be"
        await asyncio.sleep(0.02)


@pytest.fixture
async def docker(engine: Engine) -> AsyncIterator[DockerEngine]:
    """The adapter of the laboratory's Engine."""
    adapter = DockerEngine("web1", engine.url, timeout=30)
    yield adapter
    await adapter.close()


@pytest.fixture(params=["sshd", "busybox_server"])
def server(request: pytest.FixtureRequest) -> Sshd:
    """Servers with dash, and with busybox alone."""
    found = request.getfixturevalue(request.param)
    assert isinstance(found, Sshd)
    return found


@pytest.fixture
def host(server: Sshd, reach: Reach) -> SshHost:
    """Such a server, as the bot reaches it."""
    return reach(server_of(server))
