"""Podman's Docker-compatible socket through the same adapter."""

from __future__ import annotations

import asyncio
import tempfile
import time
from collections.abc import Iterator
from contextlib import aclosing
from pathlib import Path

import pytest

from deploybot.engine.docker_engine import DockerEngine
from tests.lab.podman import Podman

pytestmark = pytest.mark.needs("root", "podman")
LABELS = {"com.docker.compose.project": "shop", "com.docker.compose.service": "web"}


@pytest.fixture(scope="module")
def podman() -> Iterator[Podman]:
    # Podman takes no path over 50 characters for what it keeps while it runs.
    with (
        tempfile.TemporaryDirectory(prefix="podman-", ignore_cleanup_errors=True) as folder,
        Podman(Path(folder)) as podman,
    ):
        podman.run("web", "sh", "-c", "echo out; sleep 1; echo err >&2; exec sleep 1000", labels=LABELS)
        yield podman


async def test_podman_answers_all_that_is_asked_of_docker(podman: Podman) -> None:
    began = time.time() - 60
    engine = DockerEngine("web1", f"unix://{podman.socket}")
    assert (await engine.version())[0].isdecimal()
    (container,) = await engine.containers("shop")
    assert (container.name, container.service, container.state) == ("web", "web", "running")
    assert container.started > began
    (listed,) = [one for one in await engine.all_containers() if one.id == container.id]
    assert (listed.name, listed.image_id, listed.project) == ("web", container.image_id, "shop")
    image = await engine.image(container.image_id)
    assert image
    assert image.id.removeprefix("sha256:") == container.image_id.removeprefix("sha256:")
    assert await engine.image("localhost/lab/none:1") is None
    assert await engine.networks()
    assert await engine.volumes() == ()
    assert (await engine.info()).root
    assert await engine.containers("other") == ()
    assert "localhost/lab/busybox:latest" in [tag for image in await engine.images() for tag in image.tags]
    usage = await engine.usage(container.id)
    assert usage.memory > 0
    assert usage.cpu >= 0
    log = b""
    async with asyncio.timeout(30):
        while log.count(b"\n") < 2:
            log = b"".join([chunk async for chunk in engine.logs(container.id, tail=None)])
    assert [line.partition(b" ")[2] for line in log.splitlines()] == [b"out", b"err"]
    async with aclosing(engine.logs(container.id, tail=1, follow=True, timeout=60)) as followed:
        assert await anext(followed) == log.splitlines(keepends=True)[-1]
    missing = {"create", "start"}
    async with aclosing(engine.events(since=began, timeout=60)) as heard:
        async for event in heard:
            missing -= {event.action} if (event.kind, event.project) == ("container", "shop") else set()
            if not missing:
                break
    assert not missing
    await engine.close()
