"""A request for production, with a real server, repository and bot: what is served is asked from the application."""

from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from deploybot.chat.console.child_bot import READY_FD
from tests.e2e.conftest import FilesShop, served

WITHIN = 60


def guarded(shop: FilesShop) -> Path:
    """bot.toml, where the shop's environment wants an approval."""
    path = shop.write()
    path.write_text(f"{path.read_text()}approvals = 1\n")
    return path


async def type_in(path: Path, *words: str) -> tuple[int, str]:
    """A command line of deploybot; its exit code and what it prints."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploybot", "--config", str(path), *words),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )
    async with asyncio.timeout(WITHIN):
        said, _ = await process.communicate()
    return process.returncode or 0, said.decode()


async def say(path: Path, who: str, line: str) -> tuple[int, str]:
    """What somebody types at the console, and what comes of it at once."""
    return await type_in(path, "chat", "--as", who, "--no-wait", "-c", line)


@asynccontextmanager
async def process(path: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A bot that listens; killed with -9 at the end of the block."""
    ready, child = os.pipe()
    bot = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "deploybot", "--config", str(path), "run"),
        stdin=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
        env={**os.environ, READY_FD: str(child)},
        pass_fds=(child,),
    )
    os.close(child)
    try:
        with os.fdopen(ready, "rb", buffering=0) as pipe:
            async with asyncio.timeout(WITHIN):
                assert await asyncio.to_thread(pipe.readline) == b"ready\n"
        yield bot
    finally:
        bot.kill()
        await bot.wait()


async def until_served(shop: FilesShop, what: str) -> None:
    """Return once the application answers so."""
    async with asyncio.timeout(WITHIN):
        while await asyncio.to_thread(served, shop.servers[0].address) != what:  # noqa: ASYNC110 - a row, without an event
            await asyncio.sleep(0.1)


async def test_a_request_survives_a_bot_that_is_killed(files_shop: FilesShop) -> None:
    path = guarded(files_shop)
    for name, role in (("ana", "deployer"), ("ben", "approver")):
        identity = f"console:{os.getuid()}/{name}"
        assert (await type_in(path, "allow", name, role, "--identity", identity))[0] == 0
    async with process(path):
        code, said = await say(path, "ana", "deploy shop@main to live because it is time")
        assert code == 0, said
        assert "approve #1" in said
        code, said = await say(path, "ana", "approve #1")
        assert (code, "needs the role approver" in said) == (1, True)
    async with process(path):
        files_shop.repo.branch("main", files_shop.repo.sha("v1"))
        code, said = await say(path, "ben", "approve #1")
        assert (code, "#1 is void, and was not deployed." in said) == (1, True)
        assert "deploy shop@main to live/web1 because it is time" in said
        assert (await say(path, "ana", "deploy shop@main to live"))[0] == 0
    async with process(path):
        assert served(files_shop.servers[0].address).startswith("nothing")
        code, said = await say(path, "ben", "approve #2")
        assert (code, "#2 is approved." in said) == (0, True), said
    async with process(path):
        await until_served(files_shop, "v1")
        code, said = await type_in(path, "chat", "--as", "ben", "-c", "history shop")
        assert code == 0, said
    code, said = await type_in(path, "audit", "verify")
    assert code == 0, said
