"""The demo's scenes with three servers: a canary that does worse, and a roll-out whose third server fails."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing

from deploybot.demo.demo_repository import add_after, leaky
from deploybot.demo.demo_server import DemoMachine
from deploybot.demo.demo_transcript import ANA, DemoTranscript

_BEGUN_WITHIN = 90.0


async def first_on_three(stage: DemoTranscript, servers: Sequence[DemoMachine]) -> None:
    """Deploy for the first time to three servers. Nothing is watched yet."""
    stage.title("Three servers")
    stage.explain(
        "bot.toml now has the servers web1, web2 and web3.",
        "The environment `fair` runs on all of them, and `market` on web1 and web2.",
    )
    async with stage.meanwhile("deploy shop@v2 to market", "first deployment", "· succeeded"):
        await stage.ask(ANA, "deploy shop@v1 to fair", "first deployment", "· succeeded")
    await stage.serves("market", "v2", *servers[:2])
    await stage.serves("fair", "v1", *servers)


@asynccontextmanager
async def watched_canary(stage: DemoTranscript, servers: Sequence[DemoMachine]) -> AsyncIterator[None]:
    """Play a release that the watch rolls back. Other scenes are played until it has seen enough."""
    stage.title("The bot watches a canary")
    stage.explain(
        "bot.toml now says `watch` for the market: after the canary web1, the bot compares it with web2, which still",
        "runs v2. v2.1 is healthy at first. Each of its health checks leaves a connection to the database open, and",
        "after four it answers 500. Comparing takes about 20 seconds. Meanwhile, the others continue.",
    )
    add_after(stage.town.folder / "shop", "v2", leaky())
    worse = ("Rolls back at", "▸ Veto: veto #", "worse: health check: fails (answers 500)", "failed, rolled back to v2")
    async with stage.meanwhile("deploy shop@v2.1 to market", *worse, code=1) as answer:
        await stage.until("the number of the deployment", lambda: "#13 " in answer.text, _BEGUN_WITHIN)
        yield
    await stage.serves("market", "v2", *servers[:2])
    starts = (servers[1].root / "market" / "shop.log").read_text().count(" v2.1 the shop opens")
    stage.compare("starts of v2.1 on web2, behind the canary", str(starts), "0")


async def third_fails(stage: DemoTranscript, servers: Sequence[DemoMachine]) -> None:
    """Play a roll-out whose migration fails on the third server, because somebody made its table there by hand."""
    stage.title("The third of three servers fails, and all three run the old release again")
    stage.type("sqlite3 shop.db 'CREATE TABLE prices (article TEXT)'    # on web3, by hand")
    with closing(sqlite3.connect(servers[2].root / "fair" / "shop.db")) as prices:
        prices.execute("CREATE TABLE prices (article TEXT)")
    failed = ("Not healthy on web3", "0001-prices.sql: table prices already exists", "failed, rolled back to v1")
    restored = (f"{one.name}: v1 (" for one in servers)
    await stage.ask(ANA, "deploy shop@v2 to fair", *failed, *restored, code=1)
    await stage.serves("fair", "v1", *servers)
