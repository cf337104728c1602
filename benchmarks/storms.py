"""A deployment asked for in a group into which sixty alerts rain, beside the same in a quiet group.

The group is the tests' double of Telegram, which takes what Telegram takes: a message a second, twenty a minute.
"""

from __future__ import annotations

import asyncio
import statistics
import time
import urllib.request
from collections.abc import Iterator
from typing import NamedTuple

from benchmarks import deploying
from benchmarks.chatpeers import free_port
from benchmarks.crowd import GROUP, Crowd, hire
from benchmarks.ground import Ground
from benchmarks.table import Row, seconds
from tests.doubles.timeline import Post
from tests.lab import LabError, Sshd
from tests.webhooks.alerts import delivery

ROUNDS = 3
ALERTS = 60
QUIET = "-1009876543210"
_ANA = "2001"
_AT_MOST = 3.0
_WITHIN = 120.0
_TOKEN = "the token of the benchmark's alerts"  # noqa: S105  opens only the bench
_HOOKS = """
[http]
listen = "127.0.0.1:{port}"

[apps.shop.hooks.prometheus]
secret = {{ file = "{secret}" }}

"""


class _Round(NamedTuple):
    """Seconds to the answer in a quiet group and beside the storm, messages about alerts, limits that were broken."""

    quiet: float
    stormy: float
    messages: int
    violations: int


def rows(ground: Ground) -> Iterator[Row]:
    """The answer, and what the storm came to. Each round has a bot of its own, which begins with its whole rate."""
    server = ground.lab.sshd()
    ground.website(server)
    found = [asyncio.run(_round(ground, server)) for _ in range(ROUNDS)]
    slowest = max(one.stormy for one in found)
    yield Row(
        what=f"slowest answer to `/deploy` during {ALERTS} alerts in a second",
        ours=seconds(slowest),
        peer=f"{seconds(statistics.median(one.quiet for one in found))} in a quiet group",
        ratio=f"{statistics.median(one.stormy / one.quiet for one in found):.2f}",
        target=f"≤ {seconds(_AT_MOST)}",
        met=slowest <= _AT_MOST,
        count=ROUNDS,
    )
    most, broken = max(one.messages for one in found), sum(one.violations for one in found)
    yield Row(
        what="messages for the alerts; violated limits",
        ours=f"{most}; {broken}",
        target="1; 0",
        met=most == 1 and not broken,
        count=ROUNDS,
    )


async def _round(ground: Ground, server: Sshd) -> _Round:
    repo, _ = ground.repo({deploying.SCRIPT: "#!/bin/sh\ntrue\n"}, "v1", "v2")
    secret, port, crowd = ground.folder("secret"), free_port(), Crowd()
    secret.touch(mode=0o600)
    secret.write_text(_TOKEN)
    crowd.telegram.group(QUIET)
    await crowd.start()
    try:
        tables = _HOOKS.format(port=port, secret=secret) + crowd.tables(ground.folder("tokens"), "telegram")
        bot = ground.bot({"web": server}, deploying.app(repo.path, server) + tables)
        await hire(bot.folder / "data" / "deploybot.db")
        await asyncio.to_thread(bot.start)
        try:
            await crowd.connected("telegram")
            quiet = await _answered(crowd, QUIET, "/deploy shop@v1", "#1 ")
            await asyncio.to_thread(_rain, f"http://127.0.0.1:{port}/hooks/shop/prometheus")
            stormy = await _answered(crowd, GROUP, "/deploy shop@v2", "#2 ")
            await crowd.telegram.timeline.until(_is_storm, within=_WITHIN)
            await asyncio.to_thread(bot.idle)
            about = {post.id for post in crowd.telegram.timeline.posts if "HostDown" in post.text}
        finally:
            await asyncio.to_thread(bot.stop)
        return _Round(quiet, stormy, len(about), len(crowd.telegram.violations))
    finally:
        await crowd.close()


async def _answered(crowd: Crowd, group: str, text: str, says: str) -> float:
    """The seconds until the card of a deployment is in the group in which it was asked for."""
    begun = time.monotonic()
    await crowd.telegram.say(_ANA, group, text)
    await crowd.telegram.timeline.until(lambda post: post.channel == group and says in post.text, within=_WITHIN)
    return time.monotonic() - begun


def _is_storm(post: Post) -> bool:
    return f"{ALERTS} alerts within a minute" in post.text


def _rain(url: str) -> None:
    """Have Alertmanager tell of all of them at once."""
    head = {"Authorization": f"Bearer {_TOKEN}", "Content-Type": "application/json"}
    asked = urllib.request.Request(url, data=delivery(range(ALERTS)), headers=head)  # noqa: S310  our own address
    with urllib.request.urlopen(asked, timeout=10) as answer:  # noqa: S310  the same
        if answer.status != 200:  # noqa: PLR2004  HTTP's word for well
            raise LabError(f"the alerts were answered with {answer.status}")
