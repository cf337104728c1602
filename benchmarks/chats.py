"""Slack and Telegram: memory at rest, and how soon fifty people are answered while both keep their limits."""

from __future__ import annotations

import asyncio
import os
import random
import statistics
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

from benchmarks import deploying
from benchmarks.bot import Bot
from benchmarks.chatpeers import Peer, free_port, measured
from benchmarks.console import Console, well
from benchmarks.crowd import PEOPLE, Crowd, Load, blocked, hire
from benchmarks.gauged import WORTH_TELLING
from benchmarks.ground import Ground
from benchmarks.table import Row, mebibytes, seconds
from tests.webhooks.hammer import hammer, requests

SECONDS = float(os.environ.get("N", "120")) / 2
ROUNDS = 3
_ACKNOWLEDGED_WITHIN = 1.0
_BLOCKED = 0.1
_BOTH, _ONE = 110 << 20, 90 << 20
BOTH = ("slack", "telegram")
_SECRET = "5b3f0e8c55a94f7f8f7e0f0cb9b6dc105b3f0e8c55a94f7f8f7e0f0cb9b6dc10"  # noqa: S105  opens only the bench
_HOOKS = """
[http]
listen = "127.0.0.1:{port}"

[apps.shop.hooks.github]
secret = {{ file = "{secret}" }}

[apps.shop.notify.all]
branches = "**"

[apps.shop.environments.live.auto]
branch = "next"

"""


def rows(ground: Ground) -> Iterator[Row]:
    """A bot with one server, whose chats are the tests' doubles; and the peers, which only answer."""
    peers = measured(ground.folder("peers"))
    yield from asyncio.run(_memory(ground, peers))
    yield from asyncio.run(_crowd(ground, peers))


@asynccontextmanager
async def _crowd_of() -> AsyncIterator[Crowd]:
    """The doubles, listening."""
    crowd = Crowd()
    await crowd.start()
    try:
        yield crowd
    finally:
        await crowd.close()


async def _memory(ground: Ground, peers: list[Peer]) -> list[Row]:
    """With both chats, webhooks and Docker in use; with one chat each and neither."""
    both = [await _resident(ground, *BOTH, docker=True) for _ in range(ROUNDS)]
    made = [_memory_row("console, Slack, Telegram, webhooks and Docker", both, _BOTH)]
    for name, title in {"slack": "Slack", "telegram": "Telegram"}.items():
        one = [await _resident(ground, name, docker=False) for _ in range(ROUNDS)]
        made.append(_memory_row(f"console and {title}", one, _ONE))
    beside = statistics.median(both)
    return made + [
        Row(
            what="all of these together, compared with an idle peer",
            ours=mebibytes(beside),
            peer=f"{mebibytes(peer.resident)} {peer.name}",
            ratio=f"{beside / peer.resident:.2f}",
            count=ROUNDS,
        )
        for peer in peers
    ]


def _memory_row(what: str, sizes: list[int], target: int) -> Row:
    median = statistics.median(sizes)
    return Row(
        what=f"memory at rest: {what}",
        ours=mebibytes(median),
        target=f"≤ {mebibytes(target)}",
        met=median <= target,
        count=len(sizes),
    )


async def _resident(ground: Ground, *names: str, docker: bool) -> int:
    """What a bot in these chats has resident after it has answered in each; with `docker`, after work on each way.

    Then it has told of a webhook, too, and watches a branch.
    """
    server = (await asyncio.to_thread(ground.lab.engine)).sshd if docker else await asyncio.to_thread(ground.lab.sshd)
    await asyncio.to_thread(ground.website, server)
    repo, _ = ground.repo({deploying.SCRIPT: "#!/bin/sh\ntrue\n"}, "v1")
    async with _crowd_of() as crowd:
        port = free_port() if docker else 0
        http = _hooks(ground, port) if docker else ""
        apps = deploying.app(repo.path, server) + http + crowd.tables(ground.folder("tokens"), *names)
        bot = ground.bot({"web": server}, apps, docker=["web"] if docker else ())
        await hire(bot.folder / "data" / "deploybot.db")
        push = requests("/hooks/shop/github", _SECRET, 1, "at rest", repository=f"acme/{Path(repo.path).name}")
        return await _rested(bot, crowd, names, (port, push) if docker else None)


def _hooks(ground: Ground, port: int) -> str:
    """An HTTP server that GitHub may call, all of whose pushes are told, and a branch that is deployed by itself."""
    secret = ground.folder("secret")
    secret.write_text(_SECRET)
    secret.chmod(0o600)
    return _HOOKS.format(port=port, secret=secret)


async def _rested(bot: Bot, crowd: Crowd, names: tuple[str, ...], called: tuple[int, list[bytes]] | None) -> int:
    """Start it, have it do its work (where it is `called` at a port), and leave it alone for a moment."""
    await asyncio.to_thread(bot.start)
    try:
        await crowd.connected(*names)
        if called:
            await asyncio.to_thread(_deploy, bot.console())
            await asyncio.to_thread(hammer, *called, 1)
        for number, name in enumerate(BOTH):
            if name in names:
                await crowd.command(number, "/deploybot status shop" if called else "/whoami")
        await asyncio.to_thread(bot.idle)
        return bot.resident
    finally:
        await asyncio.to_thread(bot.stop)


def _deploy(console: Console) -> None:
    with console:
        well(console.ask("deploy shop@v1"))
        well(console.ask("status shop"))
        well(console.ask("servers"))


async def _crowd(ground: Ground, peers: list[Peer]) -> list[Row]:
    """Two commands a second; then the same while one call in ten fails."""
    server = await asyncio.to_thread(ground.lab.sshd)
    await asyncio.to_thread(ground.website, server)
    repo, _ = ground.repo({deploying.SCRIPT: "#!/bin/sh\ntrue\n"}, "v1")
    async with _crowd_of() as crowd:
        apps = deploying.app(repo.path, server) + crowd.tables(ground.folder("tokens"), *BOTH)
        bot = ground.bot({"web": server}, apps, program="benchmarks.gauged")
        await hire(bot.folder / "data" / "deploybot.db")
        await asyncio.to_thread(bot.start)
        try:
            await crowd.connected(*BOTH)
            await asyncio.to_thread(_deploy, bot.console())
            calm = await crowd.load(SECONDS)
            # One each: Slack takes one message a second in a channel.
            alone = [await crowd.command(number, "/whoami") for number in range(0, PEOPLE, 2)]
            stormy = await crowd.load(SECONDS / 2, fail=random.SystemRandom())
        finally:
            await asyncio.to_thread(bot.stop)
        most = blocked(bot.folder / "lag", calm)
        return [*_load_rows(calm, stormy, most, crowd.violations), *_answer_rows(alone, peers)]


def _load_rows(calm: Load, stormy: Load, most: float, violations: list[str]) -> list[Row]:
    every, count = sorted(calm.times), len(calm.times) + calm.unanswered
    late = every[min(int(len(every) * 0.99), len(every) - 1)] if not calm.unanswered else float("inf")
    calls = len(calm.times) + len(stormy.times)
    for violation in violations:
        print(f"a limit was broken: {violation}")
    return [
        Row(
            what=f"command to first answer, p99 of {PEOPLE} people, 2 a second, both chats",
            ours=f"{seconds(late)}, median {seconds(statistics.median(every))}",
            target=f"≤ {seconds(_ACKNOWLEDGED_WITHIN)}",
            met=late <= _ACKNOWLEDGED_WITHIN,
            count=count,
        ),
        Row(
            what="the same: longest block of the event loop",
            ours=seconds(most) if most else f"under {seconds(WORTH_TELLING)}",
            target=f"≤ {seconds(_BLOCKED)}",
            met=most <= _BLOCKED,
            count=count,
        ),
        Row(
            what="violated limits of Slack and Telegram",
            ours=f"{len(violations)} in {calls} commands",
            target="0",
            met=not violations,
            count=calls,
        ),
        Row(
            what="lost results of deployments while 10 % of calls fail",
            ours=f"{stormy.lost} of {stormy.ends}, {stormy.failures} failures",
            target="0",
            met=not stormy.lost and bool(stormy.ends),
            count=stormy.ends,
        ),
    ]


def _answer_rows(alone: list[float], peers: list[Peer]) -> list[Row]:
    ours = statistics.median(alone)
    return [
        Row(
            what="one command when idle: `whoami` in Slack; peer: one word",
            ours=seconds(ours),
            peer=f"{peer.answer * 1000:.1f} ms {peer.name}",
            ratio=f"{ours / peer.answer:.1f}",
            count=len(alone),
        )
        for peer in peers
    ]
