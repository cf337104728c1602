"""Many deployments at once: one at a time in an environment, each runs once, none is lost."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Mapping

from deploybot.domain import Deployment, State
from deploybot.testing import FakeHost, Outcome
from tests.kit.bot import V1, V2, BotUnderTest, switched

ROUNDS = int(os.environ.get("N", "100"))


async def test_of_two_that_race_one_runs_and_the_other_waits_for_it(bot: BotUnderTest) -> None:
    busy: list[str] = []
    overlaps: list[tuple[str, ...]] = []

    def enter(host: FakeHost, env: Mapping[str, str]) -> None:
        running = [one.number for one in opened if one.state is not State.WAITING]
        if len(running) > 1:
            overlaps.append(tuple(map(str, running)))
        busy.append(env["DEPLOYBOT_RELEASE"])
        switched(host, env)

    opened: tuple[Deployment, ...] = ()
    for name in ("web1", "web2"):
        bot.hosts[name].script("switch", Outcome(effect=enter))
    for _ in range(ROUNDS):
        cards = await asyncio.gather(bot.request(V1), bot.request(V2))
        opened = await bot.store.read(lambda tables: tables.deployments.open())
        told = [card for card in cards if "Waits for #" in card.text]
        assert len(told) == 1
        for card in cards:
            assert (await bot.end_of(int(card.key.partition(":")[2]))).state is State.SUCCEEDED
    assert not overlaps
    jobs = Counter(one.job for name in ("web1", "web2") for one in bot.hosts[name].started)
    assert max(jobs.values()) == 1
    assert len(busy) == ROUNDS * 4
    print(f"races: {ROUNDS}, 0 overlaps, 0 doubled")  # noqa: T201  a figure is shown with its N
