"""How servers were seen last, without asking them, and what is counted of them."""

from __future__ import annotations

import contextlib
import time
from pathlib import Path

import pytest

from deploybot.engine.docker_engine import DockerEngine
from deploybot.errors import Unreachable
from deploybot.metrics import METRICS, Counter
from deploybot.settings import Server
from deploybot.ssh.ssh_pool import Pool
from tests.lab import Sshd, free_port
from tests.ssh.conftest import Reach, server_of


def count(counter: Counter, *labels: str) -> float:
    return counter.values.get(labels, 0.0)


async def test_one_that_answers_is_seen_when_it_did(sshd: Sshd, reach: Reach) -> None:
    before = count(METRICS.ssh_commands, "web1", "ok"), count(METRICS.ssh_connections, "web1", "made")
    host = reach(server_of(sshd))
    pool = host._pool
    assert isinstance(pool, Pool)
    assert pool.sights() == {}
    begun = time.time()
    await host.facts()
    sight = pool.sights()["web1"]
    assert (begun <= sight.at <= time.time(), sight.problem) == (True, "")
    assert count(METRICS.ssh_commands, "web1", "ok") > before[0]
    assert count(METRICS.ssh_connections, "web1", "made") == before[1] + 1


async def test_one_that_does_not_is_seen_so_with_the_reason_and_counted() -> None:
    port = free_port()
    pool = Pool({"gone": Server(name="gone", ssh=f"deploy@127.0.0.1:{port}", agent=True)})
    with pytest.raises(Unreachable):
        await pool.connection("gone")
    await pool.close()
    assert pool.sights()["gone"].problem
    assert count(METRICS.ssh_connections, "gone", "failed") == 1


async def test_calls_of_an_engine_that_is_not_there_are_counted_as_failed(tmp_path: Path) -> None:
    engine = DockerEngine("no-docker", f"unix://{tmp_path}/docker.sock")
    with contextlib.suppress(Unreachable):
        await engine.version()
    await engine.close()
    assert count(METRICS.docker_calls, "no-docker", "failed") == 1
