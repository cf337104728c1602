"""The pager gets the end of a deployment, once; its table is checked, and `check` has its line and its check."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

from aiohttp import web

from deploybot.cli.check_command import understood
from deploybot.config import load
from deploybot.reporting.report_targets import tries
from deploybot.testing import memory_store
from tests.extending.extended import example
from tests.extending.extended_bot import WITHIN, bot_toml, main, open_extended_bot, problems, secret
from tests.lab import free_port

TABLE = example("Add a reporter").bot_toml
TOKEN = "a-token-of-enough-letters"


async def drive(home: Path) -> None:
    """See the module."""
    port = free_port()
    secret(home, "pager_token", TOKEN)
    path = bot_toml(home, TABLE.replace("https://pager.example.com", f"http://127.0.0.1:{port}"))
    calls: asyncio.Queue[dict[str, Any]] = asyncio.Queue()

    async def page(request: web.Request) -> web.Response:
        if request.headers["Authorization"] != f"Bearer {TOKEN}":
            return web.Response(status=401)
        if request.method == "POST":
            calls.put_nowait(await request.json())
        return web.Response()

    app = web.Application()
    app.router.add_route("*", "/page", page)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        await _is_told(path, calls)
        await _is_checked(path)
    finally:
        await runner.cleanup()
    path.write_text(TABLE)
    assert problems(path) == "pager: has nothing to report: bot.toml has no apps"
    path.write_text(TABLE.replace("url", "ulr"))
    assert "pager.ulr: unknown key" in problems(path)


async def _is_told(path: Path, calls: asyncio.Queue[dict[str, Any]]) -> None:
    """Deploy, and read what the pager gets."""
    async with open_extended_bot(path) as bot:
        ended = await bot.deploy("deploy shop to production")
        async with asyncio.timeout(WITHIN):
            told = await calls.get()
        assert told["text"] == f"shop/production: {ended.state}"
        await bot.deploy("deploy shop@v2 to production")
        async with asyncio.timeout(WITHIN):
            assert (await calls.get())["key"] != told["key"]
        assert calls.empty(), "only ends are reported"


async def _is_checked(path: Path) -> None:
    """Look at what `deploybot check` says."""
    settings = load(path, {})
    assert "  ends of deployments to http://127.0.0.1:" in "\n".join(understood(settings))
    async with memory_store() as store:
        (found,) = [one async for one in tries(settings, store)["pager"]]
    assert "accepts it" in found.text


if __name__ == "__main__":
    main(drive)
