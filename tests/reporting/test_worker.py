"""The worker that tells others: at least once, in order for a deployment, whatever fails and whenever it is killed."""

from __future__ import annotations

import asyncio
import logging
import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress

import pytest
from aiohttp import web

from deploybot.backoff import Backoff
from deploybot.reporting.report_http import Caller
from deploybot.reporting.report_targets import connected
from deploybot.reporting.report_worker import GIVE_UP, ReportWorker
from deploybot.reporting.reporter_port import ReportTools
from deploybot.store.database import Database
from deploybot.testing import FakeClock
from tests.kit.seeds import new_seed
from tests.reporting.doubles import HANG, LOST, Fault, GitHub, Receiver
from tests.reporting.reporting_bot import WELL, ReportingBot, reporting_settings

DEPLOYMENTS = int(os.environ.get("N", "25"))
ORDER = ["deployment.waiting", "deployment.running", "deployment.succeeded"]


def words(receiver: Receiver, number: int) -> list[object]:
    """What the receiver was told of a deployment, each state once, in the order of its first telling."""
    told = [body["type"] for _, body in receiver.taken if body["data"]["deployment"] == number]  # type: ignore[index]
    return list(dict.fromkeys(told))


@pytest.mark.parametrize("status", [401, 403, 404, 409, 500, 502, 503])
async def test_what_may_pass_is_tried_again_with_the_same_id_until_it_is_taken(
    store: Database, receiver: Receiver, status: int
) -> None:
    left = [status] * 3
    receiver.fault = lambda _method, _path: left.pop() if left else None
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    await bot.deploy()
    await bot.told()
    assert words(receiver, 1) == ORDER
    assert len(receiver.calls) == 6


async def test_a_lost_answer_is_sent_again_with_the_same_id(store: Database, receiver: Receiver) -> None:
    left: list[Fault] = [LOST]
    receiver.fault = lambda _method, _path: left.pop() if left else None
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    await bot.deploy()
    await bot.told()
    names = [name for name, _ in receiver.taken]
    assert (len(names), len(set(names))) == (4, 3)


async def test_it_is_left_alone_for_as_long_as_it_asked(store: Database, receiver: Receiver) -> None:
    answers: list[Fault] = [web.Response(status=429, headers={"Retry-After": "1"})]
    times: list[float] = []

    def ask(_method: str, _path: str) -> Fault:
        times.append(time.monotonic())
        return answers.pop() if answers else None

    receiver.fault = ask
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    await bot.deploy(WELL[:1])
    await bot.told()
    assert times[1] - times[0] >= 1.0


async def test_what_is_refused_for_good_is_dropped_with_a_line_and_what_follows_is_reported(
    store: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    left: list[Fault] = [422]
    receiver.fault = lambda _method, _path: left.pop() if left else None
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"))
    await bot.deploy()
    with caplog.at_level(logging.INFO):
        await bot.told()
    assert words(receiver, 1) == ORDER[1:]
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("deploybot")]
    assert len(lines) == 1
    assert "outgoing:board (#1 waiting) refused" in lines[0]


async def test_a_target_that_is_down_for_a_day_is_given_up_with_a_line_and_gets_what_comes_later(
    store: Database, receiver: Receiver, caplog: pytest.LogCaptureFixture
) -> None:
    clock = FakeClock()
    bot = ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook"), clock=clock)
    receiver.fault = lambda _method, _path: 503
    await bot.deploy()
    clock.advance(GIVE_UP)
    with caplog.at_level(logging.INFO):
        await bot.told()
    lines = [record.getMessage() for record in caplog.records if "gave up" in record.getMessage()]
    assert len(lines) == 3
    assert "503" in lines[0]
    receiver.fault = lambda _method, _path: None
    await bot.deploy(number=2)
    await bot.told()
    assert (words(receiver, 1), words(receiver, 2)) == ([], ORDER)


async def test_failures_of_one_deployment_hold_its_own_states_and_no_others(store: Database, github: GitHub) -> None:
    poisoned = f"{1:040x}"
    github.fault = lambda method, path: 500 if method == "POST" and path.endswith(poisoned) else None
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url)))
    await bot.deploy(number=1)
    await bot.deploy(number=2)
    async with bot.telling():
        async with asyncio.timeout(30):
            while github.states.get(1001, [])[-1:] != ["success"]:
                github.changed.clear()
                await github.changed.wait()
        assert github.states[1000][-1] == "queued"
        assert await bot.waiting() >= 3
        github.fault = lambda _method, _path: None
        await bot.nothing_waits()
    # Its success came after the other one's, which has replaced it: it must not stand there as what runs.
    assert [*dict.fromkeys(github.states[1000])] == ["queued", "in_progress", "success", "inactive"]
    assert github.states[1001][-1] == "success"


async def test_one_that_hangs_holds_nobody_else(store: Database, github: GitHub, receiver: Receiver) -> None:
    github.fault = lambda _method, _path: HANG
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url), outgoing=f"{receiver.url}/hook"))
    async with bot.telling(within=30):
        await bot.deploy()
        async with asyncio.timeout(20):
            while len(receiver.taken) < 3:
                receiver.changed.clear()
                await receiver.changed.wait()
        github.gate.set()
        github.fault = lambda _method, _path: None
        await bot.nothing_waits()
    assert github.states[1000] == ["queued", "in_progress", "success"]


async def test_whom_bot_toml_does_not_have_any_more_is_not_waited_for(store: Database, receiver: Receiver) -> None:
    await ReportingBot(store, reporting_settings(outgoing=f"{receiver.url}/hook")).deploy()
    bot = ReportingBot(store, reporting_settings())
    await bot.told()
    assert {fate for _, fate in await bot.fates()} == {"dead it is no longer in bot.toml"}


async def test_a_token_that_somebody_sends_back_is_in_no_log_and_not_in_the_database(
    store: Database, github: GitHub, caplog: pytest.LogCaptureFixture
) -> None:
    token = "the-token-that-nobody-may-see-01"
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url), token=token))
    store.redactor.learn(token)
    github.fault = lambda _method, _path: web.json_response({"message": f"bad token {token}"}, status=422)
    await bot.deploy()
    with caplog.at_level(logging.DEBUG):
        await bot.told()
    assert all("422: bad token •••" in fate for _, fate in await bot.fates())
    assert token not in "\n".join(store.redactor.text(record.getMessage()) for record in caplog.records)


class Storm:
    """Deployments, a receiver and a forge that fail at random, and a worker that is killed at random."""

    def __init__(self, bot: ReportingBot, dice: random.Random) -> None:
        self.bot = bot
        self.dice = dice
        self.kills = 0

    def fault(self, _method: str, _path: str) -> Fault:
        faults: list[Fault] = [503, LOST, 429]
        return self.dice.choice(faults) if self.dice.random() < 0.1 else None

    async def feed(self) -> None:
        for number in range(1, DEPLOYMENTS + 1):
            await self.bot.deploy(number=number)

    async def run(self) -> None:
        feeding = asyncio.create_task(self.feed())
        while not feeding.done() or await self.bot.waiting():
            caller = Caller(within=5)
            worker = ReportWorker(
                self.bot.store,
                connected(self.bot.settings, ReportTools(caller, self.bot.store)),
                self.bot.clock,
                close=caller.close,
                retry=Backoff(0.002, 900.0),
            )
            self.bot.store.connect_workers(worker.wake)
            task = asyncio.create_task(worker.run())
            await asyncio.sleep(self.dice.uniform(0.02, 0.2))
            await self.kill(worker, task)

    async def kill(self, worker: ReportWorker, task: asyncio.Task[None]) -> None:
        """As kill -9 does it: nothing that is on its way ends well."""
        for lane in worker._lanes.values():
            if lane.task is not None:
                lane.task.cancel()
        self.kills += 1
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_everything_is_sent_in_order_despite_failing_targets_and_a_killed_worker(
    store: Database, github: GitHub, receiver: Receiver, figure: Callable[[str], None]
) -> None:
    seed = new_seed()
    sys.stdout.write(f"SEED={seed}\n")
    bot = ReportingBot(store, reporting_settings(forge=("github", github.url), outgoing=f"{receiver.url}/hook"))
    storm = Storm(bot, random.Random(seed))
    github.fault = receiver.fault = storm.fault
    async with asyncio.timeout(100):
        await storm.run()
    lost = sum(words(receiver, number) != ORDER for number in range(1, DEPLOYMENTS + 1))
    states = [list(dict.fromkeys(one)) for one in github.states.values()]
    wrong = sum(one[:3] != ["queued", "in_progress", "success"] for one in states)
    twice = len(github.deployments) - DEPLOYMENTS
    by_id = dict(receiver.taken)
    changed = sum(by_id[name] != body for name, body in receiver.taken)
    figure(
        f"reports: {lost} of {DEPLOYMENTS} lost or out of order, {wrong} wrong on the forge, {twice} made twice, "
        f"{changed} changed; {storm.kills} kills, {len(receiver.calls) + len(github.calls)} calls, seed {seed}"
    )
    assert (lost, wrong, twice, changed) == (0, 0, 0, 0)
    assert storm.kills > 0
