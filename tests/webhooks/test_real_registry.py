"""What Debian's docker-registry really sends, held against the sender: a push of an image, a pull, and their proof."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from deploybot.domain import ImagePushed
from deploybot.webhooks.sender_port import ForgedError, Received
from deploybot.webhooks.senders import sender
from tests.lab import Lab, free_port
from tests.webhooks.recorded import NOW, SECRETS

SECRET = SECRETS["registry"]
MANIFEST = "application/vnd.docker.distribution.manifest.v2+json"
WITHIN = 90.0


async def test_a_real_push_is_reported_once_and_nothing_else_is(lab: Lab, tmp_path: Path) -> None:  # noqa: ARG001 - it skips
    async with asyncio.timeout(WITHIN), _heard() as (heard, port), _registry(tmp_path, port) as url:
        async with aiohttp.ClientSession(url) as session:
            digest = await _push(session, "mail/sorter", "3.0")
            await (await session.get(f"/v2/mail/sorter/manifests/{digest}", headers={"Accept": MANIFEST})).read()
        found: list[ImagePushed] = []
        pulled = False
        while not pulled:
            received = await heard.get()
            caller = sender("registry")
            caller.verify(received, SECRET)
            with pytest.raises(ForgedError):
                caller.verify(received, SECRET[:-1])
            assert caller.delivery(received)
            found += [event for event in caller.events(received) if isinstance(event, ImagePushed)]
            pulled = any(event["action"] == "pull" for event in json.loads(received.body)["events"])
    host = url.removeprefix("http://")
    assert [(event.image, event.tag, event.digest) for event in found] == [(f"{host}/mail/sorter", "3.0", digest)]


async def _push(session: aiohttp.ClientSession, repository: str, tag: str) -> str:
    """Push an image of one small layer as Docker does, by digest and by tag; its digest."""
    parts = [await _blob(session, repository, content) for content in (b"{}", b"a layer")]
    config, layer = (
        {"mediaType": "application/octet-stream", "size": size, "digest": digest} for digest, size in parts
    )
    manifest = {"schemaVersion": 2, "mediaType": MANIFEST, "config": config, "layers": [layer]}
    body = json.dumps(manifest).encode()
    digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
    for reference in (digest, tag):
        path = f"/v2/{repository}/manifests/{reference}"
        async with session.put(path, data=body, headers={"Content-Type": MANIFEST}) as answer:
            assert answer.status == 201, await answer.text()
    return digest


async def _blob(session: aiohttp.ClientSession, repository: str, content: bytes) -> tuple[str, int]:
    digest = f"sha256:{hashlib.sha256(content).hexdigest()}"
    async with session.post(f"/v2/{repository}/blobs/uploads/") as begun:
        where = begun.headers["Location"]
    async with session.put(where, params={"digest": digest}, data=content) as answer:
        assert answer.status == 201, await answer.text()
    return digest, len(content)


@contextlib.asynccontextmanager
async def _heard() -> AsyncIterator[tuple[asyncio.Queue[Received], int]]:
    """A server that keeps what it is sent, and its port."""
    heard: asyncio.Queue[Received] = asyncio.Queue()

    async def take(request: web.Request) -> web.Response:
        headers = {name.lower(): request.headers.getall(name) for name in set(request.headers)}
        heard.put_nowait(Received(headers=headers, body=await request.read(), query={}, at=NOW))
        return web.Response()

    app = web.Application()
    app.router.add_post("/", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield heard, runner.addresses[0][1]
    finally:
        await runner.cleanup()


@contextlib.asynccontextmanager
async def _registry(directory: Path, told: int) -> AsyncIterator[str]:
    """A registry that tells a port of what happens to it, in the way that `setup` says; its address."""
    port = free_port()
    endpoint = {"name": "bot", "url": f"http://127.0.0.1:{told}/", "headers": {"Authorization": [f"Bearer {SECRET}"]}}
    config = {
        "version": "0.1",
        "log": {"level": "error"},
        "http": {"addr": f"127.0.0.1:{port}"},
        "storage": {"filesystem": {"rootdirectory": str(directory / "storage")}},
        "notifications": {"endpoints": [endpoint | {"timeout": "5s", "threshold": 3, "backoff": "1s"}]},
    }
    (directory / "config.json").write_text(json.dumps(config))
    with (directory / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            "docker-registry", "serve", str(directory / "config.json"), stdout=log, stderr=log
        )
    try:
        await _answering(port)
        yield f"http://127.0.0.1:{port}"
    finally:
        process.terminate()
        await process.wait()


async def _answering(port: int) -> None:
    # The registry says nothing when it is ready; its port is all there is to ask.
    while True:
        try:
            _, writer = await asyncio.open_connection("127.0.0.1", port)
        except ConnectionRefusedError:
            await asyncio.sleep(0.02)
        else:
            writer.close()
            return
