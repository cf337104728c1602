"""Fifty people at once, and a Slack that fails: everything is acknowledged in time, and no final state is lost."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import os
import random
import time
from functools import partial

from deploybot import Card, Tone
from deploybot.backoff import Backoff
from deploybot.chat.outbox_worker import OutboxWorker
from deploybot.domain import Channel
from deploybot.ports import Tables
from tests.chat.slack.workspace import QUICK, Workspace, dice, open_workspace, tell, until

SECONDS = float(os.environ.get("N", "3"))
HURRY = float(os.environ.get("HURRY", "5"))
CHANNELS, STATES = 6, 3
PEOPLE = 50


class WallClock:
    def now(self) -> float:
        return time.time()


class Gauge:
    """How long the event loop was blocked at most, in seconds; the double and the tests run on it, too."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def run(self) -> None:
        while True:
            before = time.monotonic()
            await asyncio.sleep(0.01)
            self.worst = max(self.worst, time.monotonic() - before - 0.01)


async def _chatter(workspace: Workspace, rolls: random.Random) -> int:
    """Fifty people who send two commands a second in all; how many were sent."""
    sent, end = 0, time.monotonic() + SECONDS
    while time.monotonic() < end:
        person = rolls.randrange(PEOPLE)
        await workspace.double.wire.connected.wait()  # Slack tells people that a bot is away, and so does the double
        await workspace.say("/deploy-status", f"U{person:05d}", f"DU{person:05d}")
        sent += 1
        await asyncio.sleep(0.5)
    return sent


async def _trouble(workspace: Workspace, rolls: random.Random) -> None:
    """About one call in ten goes wrong, each time in another way."""
    rates, unkind = workspace.double.web.rates, workspace.double.unkind
    seen = 0
    while True:
        calls = sum(rates.counts.values())
        if calls >= seen + 9:
            seen = calls
            way = rolls.choice(["too_many", "broken", "silent", "dropped", "twice"])
            setattr(unkind, way, getattr(unkind, way) + 1)
        await asyncio.sleep(0.005)


async def test_acknowledged_and_delivered_whatever_goes_wrong() -> None:
    rolls = dice()
    async with open_workspace(times=dataclasses.replace(QUICK, answer=2.0, hurry=HURRY)) as workspace:
        store, clock, gauge = workspace.bot.store, WallClock(), Gauge()
        for person in range(PEOPLE):
            workspace.double.user(f"U{person:05d}")
        worker = OutboxWorker(store, {"slack": workspace.slack}, clock, retry=Backoff(0.05, 60.0))
        work = [asyncio.create_task(one) for one in (worker.run(), gauge.run(), _trouble(workspace, rolls))]
        talking = asyncio.create_task(_chatter(workspace, rolls))
        for state in range(STATES):
            await store.write(partial(_put, state=state, now=clock.now()))
            worker.wake()
            await asyncio.sleep(SECONDS / STATES)
        sent = await talking
        lost = await _lost(workspace)
        for task in work:
            task.cancel()
        await asyncio.gather(*work, return_exceptions=True)
        delays = sorted(workspace.double.wire.delays)
        tell(f"{sent} commands, 99 of 100 acknowledged within {delays[int(len(delays) * 0.99) - 1]:.3f} s")
        tell(f"{lost} of {CHANNELS * 2} finals lost, {len(workspace.double.violations)} violations")
        tell(f"the loop was blocked for {gauge.worst * 1000:.0f} ms at most")
        assert delays[int(len(delays) * 0.99) - 1] < workspace.double.wire.ack_within
        assert lost == 0
        for way in ("too_many", "broken", "silent", "dropped", "twice"):
            setattr(workspace.double.unkind, way, 0)


def _put(tables: Tables, state: int, now: float) -> None:
    final = state == STATES - 1
    for number in range(CHANNELS * 2):
        card = Card(
            title=f"#{number} state {state}",
            key=f"deployment:{number}",
            tone=Tone.GOOD if final else Tone.BUSY,
            final=final,
        )
        tables.outbox.put(Channel("slack", f"C{number % CHANNELS:06d}"), card, now)


async def _lost(workspace: Workspace) -> int:
    """How many cards do not end with their final state, when there was time for it."""
    wanted = {f"✅ #{number} state {STATES - 1}" for number in range(CHANNELS * 2)}
    with contextlib.suppress(TimeoutError):
        await until(lambda: wanted <= {post.text for post in workspace.posts}, within=30)
    return len(wanted - {post.text for post in workspace.posts})
