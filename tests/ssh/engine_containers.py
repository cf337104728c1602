"""What tests of real Engines share."""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator
from pathlib import Path

from deploybot.engine.docker_engine import DockerEngine
from deploybot.errors import Unreachable
from tests.lab import Engine

LABELS = ("--label", "com.docker.compose.project=shop", "--label", "com.docker.compose.service=web")


BUSYBOX = "lab/busybox:latest"
LOCAL = "127.0.0.1"


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


async def version(docker: DockerEngine) -> str:
    """What an Engine answers that has little time for it: a busy machine may need several calls."""
    async with asyncio.timeout(30):
        while True:
            with contextlib.suppress(Unreachable):
                return await docker.version()


async def watch(docker: DockerEngine) -> None:
    async for _ in docker.events():
        pass


def texts(log: bytes) -> list[bytes]:
    """Lines without the time before them."""
    return [line.partition(b"Z ")[2] for line in log.splitlines()]


def resident() -> int:
    """Bytes of memory that this process holds."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGESIZE")
