"""When a bot may stop: what is begun holds it, what waits does not, and nothing begins once it rests."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import time

import pytest

from deploybot.domain import State, Unfinished
from deploybot.testing import Outcome
from tests.kit.bot import V1, V2, BotUnderTest

NINE = time(9)


async def test_what_is_begun_and_what_waits_for_its_turn_hold_it(bot: BotUnderTest) -> None:
    web1 = bot.hosts["web1"]
    web1.script("fetch", Outcome(hold=True), web1._outcomes["fetch"][0])
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    await bot.request(V2)
    assert await bot.deployments.queue.rest() == Unfinished(begun=(1, 2))
    web1.finish(job)
    await bot.end_of(1)
    assert (await bot.end_of(2)).state is State.SUCCEEDED, "it rests only where nothing is begun"


async def test_a_clean_up_holds_it(bot: BotUnderTest) -> None:
    web1 = bot.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, releases=("9" * 40,))
    web1.script("prune", Outcome(hold=True), Outcome())
    await bot.request(V1)
    job = await bot.started(1, "prune")
    assert (await bot.deployments.queue.unfinished()).begun == (1,)
    web1.finish(job)
    await bot.end_of(1)
    assert await bot.deployments.queue.unfinished() == Unfinished()


async def test_once_it_rests_nothing_begins_until_the_next_start(bot: BotUnderTest) -> None:
    await bot.request(V1, at=NINE)
    assert await bot.deployments.queue.rest() == Unfinished(waiting=(1,))
    card = await bot.request(V2)
    assert "Waits for the next start of the bot." in card.text
    found = await bot.deployments.get(2)
    assert found is not None
    assert found.state is State.WAITING
    await bot.deployments.queue.close()
    assert bot.hosts["web1"].started == []
    bot.start()
    await bot.deployments.queue.resume()
    assert (await bot.end_of(2)).state is State.SUCCEEDED


async def test_the_log_reports_each_deployment(bot: BotUnderTest, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="deploybot.deployments.log_lines")
    await bot.deploy(V1)
    bot.hosts["web1"].script("fetch", Outcome(code=3, log=b"fatal: no space left on device\n"))
    await bot.deploy(V2)
    await bot.request(V1, at=NINE)
    await bot.deployments.cancel(bot.ctx(), 3)
    await bot.end_of(3)
    told = [record.getMessage() for record in caplog.records]
    one, two = "deploy v1 (1111111111) to shop production", "deploy v2 (2222222222) to shop production"
    assert told[0] == f"#1 started: {one}, requested by ana"
    assert told[1].startswith("#1 ended: succeeded after ")
    assert told[1].endswith(f": {one}, requested by ana: Everything is healthy.")
    assert told[2] == f"#2 started: {two}, requested by ana"
    assert told[3].endswith("requested by ana: Step `fetch` failed on web1: no space left on device (exit code 3).")
    assert told[4] == f"#3 ended: cancelled: {one}, requested by ana: Cancelled by ana. It had not started."
    assert len(told) == 5
