"""When a bot may stop: what is begun holds it, what waits does not, and nothing begins once it rests."""

from __future__ import annotations

import logging
from dataclasses import replace
from datetime import time

import pytest

from deploybot.domain import State, Unfinished
from deploybot.testing import Outcome
from tests.deployments.conftest import V1, V2, Shop

NINE = time(9)


async def test_what_is_begun_and_what_waits_for_its_turn_hold_it(shop: Shop) -> None:
    web1 = shop.hosts["web1"]
    web1.script("fetch", Outcome(hold=True), web1._outcomes["fetch"][0])
    await shop.ask(V1)
    job = await shop.started(1, "fetch")
    await shop.ask(V2)
    assert await shop.deployments.queue.rest() == Unfinished(begun=(1, 2))
    web1.finish(job)
    await shop.end_of(1)
    assert (await shop.end_of(2)).state is State.SUCCEEDED, "it rests only where nothing is begun"


async def test_a_clean_up_holds_it(shop: Shop) -> None:
    web1 = shop.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, releases=("9" * 40,))
    web1.script("prune", Outcome(hold=True), Outcome())
    await shop.ask(V1)
    job = await shop.started(1, "prune")
    assert (await shop.deployments.queue.unfinished()).begun == (1,)
    web1.finish(job)
    await shop.end_of(1)
    assert await shop.deployments.queue.unfinished() == Unfinished()


async def test_once_it_rests_nothing_begins_until_the_next_start(shop: Shop) -> None:
    await shop.ask(V1, at=NINE)
    assert await shop.deployments.queue.rest() == Unfinished(waiting=(1,))
    card = await shop.ask(V2)
    assert "Waits for the next start of the bot." in card.text
    found = await shop.deployments.get(2)
    assert found is not None
    assert found.state is State.WAITING
    await shop.deployments.queue.close()
    assert shop.hosts["web1"].started == []
    shop.start_bot()
    await shop.deployments.queue.resume()
    assert (await shop.end_of(2)).state is State.SUCCEEDED


async def test_the_log_tells_of_each_deployment(shop: Shop, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, logger="deploybot.deployments.log_lines")
    await shop.deploy(V1)
    shop.hosts["web1"].script("fetch", Outcome(code=3, log=b"fatal: no space left on device\n"))
    await shop.deploy(V2)
    await shop.ask(V1, at=NINE)
    await shop.deployments.cancel(shop.ctx(), 3)
    await shop.end_of(3)
    told = [record.getMessage() for record in caplog.records]
    one, two = "deploy v1 (1111111111) to shop production", "deploy v2 (2222222222) to shop production"
    assert told[0] == f"#1 begins: {one}, asked by ana"
    assert told[1].startswith("#1 ended: succeeded after ")
    assert told[1].endswith(f": {one}, asked by ana: Everything is healthy.")
    assert told[2] == f"#2 begins: {two}, asked by ana"
    assert told[3].endswith("asked by ana: Step `fetch` failed on web1: no space left on device (exit code 3).")
    assert told[4] == f"#3 ended: cancelled: {one}, asked by ana: Cancelled by ana. It had not started."
    assert len(told) == 5
