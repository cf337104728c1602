"""Killed at any moment: what was acknowledged is there, and nothing is there by half."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploybot.ports import Tables
from deploybot.store.audit_chain import HeadFile, verify
from deploybot.store.database import Database
from tests.store.examples import NOW, seeded, times


@pytest.fixture(params=["PERSIST", "WAL"])
def server(path: Path, request: pytest.FixtureRequest) -> Iterator[subprocess.Popen[bytes]]:
    """A program that forks writers: much faster than to start Python for each of them."""
    argv = [sys.executable, "-m", "tests.store.children", "serve", str(path), request.param]
    pipe = subprocess.PIPE
    with subprocess.Popen(argv, stdin=pipe, stdout=pipe, stderr=pipe, bufsize=0) as server:
        yield server
        assert server.stdin
        server.stdin.close()


def _killed(server: subprocess.Popen[bytes], name: str, after: float, *, writing: bool) -> set[str]:
    """Let a writer run, kill it so many seconds after its start or its first write; what it acknowledged."""
    assert server.stdin
    assert server.stdout
    assert server.stderr
    server.stdin.write(name.encode() + b"\n")
    child = int(server.stderr.readline())
    if writing:
        assert select.select([server.stdout], [], [], 20)[0]
    time.sleep(after)  # the moment is what is random here
    os.kill(child, signal.SIGKILL)
    assert server.stderr.readline() == b"ended\n"
    return set(_available(server.stdout.fileno()).decode().split())


def _available(descriptor: int) -> bytes:
    os.set_blocking(descriptor, False)
    chunks = []
    try:
        while chunk := os.read(descriptor, 1 << 16):
            chunks.append(chunk)
    except BlockingIOError:
        pass
    return b"".join(chunks)


def _kept(tables: Tables) -> tuple[list[str], ...]:
    """The marks by table."""
    deployments = tables.deployments.open()
    return (
        [deployment.reason for deployment in deployments],
        [step.job for deployment in deployments for step in tables.deployments.steps(deployment.number)],
        [item.card.title for item in tables.outbox.due(NOW, 10**6)],
        [row.subject for row in tables.audit.page(0, 10**6)],
    )


async def test_killed_at_random_nothing_acknowledged_is_lost_and_nothing_is_half(
    server: subprocess.Popen[bytes], path: Path
) -> None:
    rng, acknowledged, rounds = seeded(), set[str](), times(60)
    for number in range(rounds):
        acknowledged |= _killed(server, f"r{number}", rng.uniform(0, 0.1), writing=number % 4 != 0)
    async with Database(path) as store:
        deployments, steps, cards, audit = await store.read(_kept)
        assert acknowledged <= set(deployments)
        assert deployments == steps == cards == audit
        assert len(set(deployments)) == len(deployments)
        assert (await verify(store, HeadFile(path.with_name("audit.head")).read())).ok
    print(f"kills={rounds} acknowledged={len(acknowledged)} kept={len(deployments)}")  # noqa: T201 - 0 of how many
    assert len(acknowledged) > rounds // 2
