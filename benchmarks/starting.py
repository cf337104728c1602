"""Start-up, memory at rest, and memory after many deployments."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

from benchmarks import deploying
from benchmarks.console import well
from benchmarks.ground import Ground
from benchmarks.table import Row, mebibytes, seconds

STARTS = 7
DEPLOYMENTS = 200
_READY_WITHIN = 1.0
_IDLE = 75 << 20
_MORE = 10 << 20


def rows(ground: Ground) -> Iterator[Row]:
    """A bot with one server, no Docker, and the console as its only chat."""
    server = ground.lab.sshd()
    ground.website(server)
    repo, (commit,) = ground.repo({deploying.SCRIPT: "#!/bin/sh\ntrue\n"}, "v1")
    bot = ground.bot({"web": server}, deploying.app(repo.path, server))
    starts, busy, idle = [], [], []
    for _ in range(STARTS):
        with bot:
            starts.append(bot.ready_after)
            busy.append(bot.busy)
            bot.idle()
            idle.append(bot.resident)
    started, at_rest = statistics.median(starts), statistics.median(idle)
    yield Row(
        what="`deploybot run`, from start to ready",
        ours=f"{seconds(started)}, processor {seconds(statistics.median(busy))}",
        target=f"≤ {seconds(_READY_WITHIN)}",
        met=started <= _READY_WITHIN,
        count=STARTS,
    )
    yield Row(
        what="memory at rest, console alone",
        ours=mebibytes(at_rest),
        target=f"≤ {mebibytes(_IDLE)}",
        met=at_rest <= _IDLE,
        count=STARTS,
    )
    with bot, bot.console() as console:
        well(console.ask("deploy shop@v1"))
        bot.idle()
        before = bot.resident
        for _ in range(DEPLOYMENTS):
            well(console.ask(f"deploy shop@{commit}"))
        bot.idle()
        after = bot.resident
    yield Row(
        what=f"memory still in use after {DEPLOYMENTS} deployments",
        ours=f"{mebibytes(after - before)} more ({mebibytes(after)})",
        target=f"≤ {mebibytes(_MORE)}",
        met=after - before <= _MORE,
        count=DEPLOYMENTS,
    )
