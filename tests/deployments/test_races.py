"""Many deployments at once: one at a time in an environment, each runs once, none is lost."""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace

import pytest

from deploybot.card import Card
from deploybot.domain import Changes, Deployment, ServerFacts, State
from deploybot.settings import App
from deploybot.testing import FakeHost, Outcome
from tests.kit.bot import GOOD_SWITCH, V1, V2, V3, BotUnderTest, switched

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


class SlowRefs:
    """Hold the last question of a plan, which is what changes up to some commit, until `gate` is set."""

    def __init__(self, bot: BotUnderTest, new: str) -> None:
        self.gate, self.asked = asyncio.Event(), asyncio.Event()
        self.plans = 0
        self._changes, self._new = bot.refs.changes, new
        bot.refs.changes = self.changes  # type: ignore[method-assign]  # of a fake

    async def changes(self, app: App, old: str, new: str) -> Changes:
        if new == self._new:
            self.plans += 1
            self.asked.set()
            await self.gate.wait()
        return await self._changes(app, old, new)


@asynccontextmanager
async def planned_meanwhile(bot: BotUnderTest, refs: SlowRefs, text: str) -> AsyncIterator[list[Card]]:
    """A request whose plan is made before the block, and that is stored after it; its card is in the list then."""
    cards: list[Card] = []
    request = asyncio.create_task(bot.say(text))
    await refs.asked.wait()
    yield cards
    refs.gate.set()
    cards.append(await request)


async def test_a_plan_that_another_deployment_made_untrue_is_made_again(bot: BotUnderTest) -> None:
    """What would be restored is what runs now, and no release of the time before."""
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", GOOD_SWITCH, Outcome(code=1, effect=switched), GOOD_SWITCH)
    async with planned_meanwhile(bot, SlowRefs(bot, V3.id), "deploy shop@v3 to production") as cards:
        assert (await bot.deploy(V2)).state is State.SUCCEEDED
    assert "Waits for a new plan, because another deployment has ended since this one was planned." in cards[0].text
    ended = await bot.end_of(3)
    assert {part.replaces for part in ended.plan.servers} == {V2}
    assert ended.state is State.RESTORED
    assert ended.outcome.splitlines()[1] == "web1: v2 (2222222222) was restored and is healthy."
    assert bot.current() == {V2.id}


async def test_a_plan_is_made_again_also_if_only_a_clean_up_ended_meanwhile(bot: BotUnderTest) -> None:
    """The clean-up may have deleted what the plan relies on."""
    web1 = bot.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, releases=("9" * 40,))
    await bot.deploy(V1)
    web1.server_facts = replace(web1.server_facts, releases=(*web1.server_facts.releases, "8" * 40))
    web1.script("prune", Outcome(hold=True), Outcome())
    await bot.request(V2)
    prune = await bot.started(2, "prune")
    refs = SlowRefs(bot, V3.id)
    async with planned_meanwhile(bot, refs, "deploy shop@v3 to production"):
        web1.finish(prune)
        await bot.end_of(2)
    assert (await bot.end_of(3)).state is State.SUCCEEDED
    assert refs.plans == 2


@pytest.mark.parametrize("text", ["restart shop production", "run shop migrate production"])
async def test_what_restarts_or_runs_on_a_release_that_was_replaced_is_planned_again(
    bot: BotUnderTest, text: str
) -> None:
    await bot.deploy(V1)
    web1, asked, gate = bot.hosts["web1"], asyncio.Event(), asyncio.Event()
    facts = web1.facts

    async def slow(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        found = await facts(directory, timeout=timeout, docker=docker)
        if not asked.is_set():
            asked.set()
            await gate.wait()
        return found

    web1.facts = slow  # type: ignore[method-assign]  # of a fake
    request = asyncio.create_task(bot.say(text))
    await asked.wait()
    await bot.deploy(V2)
    gate.set()
    await request
    assert (await bot.end_of(3)).plan.release == V2


async def test_a_plan_is_made_once_if_nothing_ended_there_meanwhile(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    refs = SlowRefs(bot, V3.id)
    async with planned_meanwhile(bot, refs, "deploy shop@v3 to production") as cards:
        number = await bot.ask("deploy shop@v2 to staging")
        assert (await bot.end_of(number)).state is State.SUCCEEDED
    assert "Waits" not in cards[0].text
    assert (await bot.end_of(number + 1)).state is State.SUCCEEDED
    assert refs.plans == 1
