"""The watch of a release when something beside the release fails: bot.toml, a look, a slow server, a log."""

from __future__ import annotations

import asyncio
import dataclasses
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.applogs.log_samples import ErrorSamples
from deploybot.deployments.stage_runner import _asks_again
from deploybot.deployments.timeouts import Timeouts
from deploybot.deployments.watch_card import unread_words, veto_cards
from deploybot.deployments.watch_looks import WatchedTarget, WatchLooks
from deploybot.domain import (
    Gate,
    LogCounts,
    Phase,
    ServerFacts,
    ServerSeen,
    StageKind,
    State,
    StepRow,
    StepState,
    VetoedSignal,
    WatchEvidence,
    WatchRow,
    WatchSignal,
)
from deploybot.errors import Unreachable
from deploybot.masking import Redactor
from deploybot.settings import App, Environment
from deploybot.testing import FakeServers
from tests.deployments.test_watch import (
    BAD,
    _announced,
    _compares,
    _settings,
    begun,
    next_look,
    runs,
    to_the_end,
    until_worse,
    watched,
)
from tests.deployments.test_watch_looks import AnsweringHost, LookBench
from tests.kit.bot import HEALTH


async def test_an_old_server_that_bot_toml_loses_is_left_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot, "deploy shop@v2 to production/web2 because it is time")
        (row,) = await _compares(bot, number)
        assert [one.now.server for one in row.evidence.olds] == ["web1", "web3"]
        known, host = ("web1", "web2"), bot.hosts.host
        monkeypatch.setattr(bot.hosts, "host", lambda name: host({one: one for one in known}[name]))
        rollout = {"canary": 1, "batch": "100%"}
        await bot.restart(_settings(tmp_path, known, {"watch": "5m", "rollout": rollout}))
        await next_look(bot, number)
        (row,) = await _compares(bot, number)
        assert [one.now.server for one in row.evidence.olds] == ["web1"]
        await to_the_end(bot, number)
        assert ((await bot.deployment(number)).state, runs(bot)) == (State.SUCCEEDED, "121")


@pytest.mark.parametrize("server", ["web1", "web2"])
async def test_a_look_that_raises_ends_no_deployment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, server: str
) -> None:
    look = WatchLooks.look

    async def broken(
        self: WatchLooks, target: WatchedTarget, seen: ServerSeen, *, within: float | None = None
    ) -> ServerSeen:
        if seen.server == server:
            raise RuntimeError("a bug")
        return await look(self, target, seen, within=within)

    async with watched(tmp_path) as bot:
        number = await begun(bot)
        with monkeypatch.context() as patch:
            patch.setattr(WatchLooks, "look", broken)
            await next_look(bot, number)
            await next_look(bot, number)
            (row,) = await _compares(bot, number)
            assert (row.evidence.new.silent, bool(row.evidence.new.trouble)) == (server == "web1", server == "web1")
        await next_look(bot, number)
        await to_the_end(bot, number)
        assert ((await bot.deployment(number)).state, runs(bot)) == (State.SUCCEEDED, "222")


@pytest.mark.parametrize(
    ("kind", "vetoed", "again"),
    [
        ("http", WatchSignal.ANSWERS, True),
        ("docker", WatchSignal.CONTAINERS, True),
        ("docker", WatchSignal.RESTARTS, True),
        ("http", WatchSignal.RESTARTS, False),
        ("http", WatchSignal.ERRORS, False),
        ("docker", WatchSignal.LATENCY, False),
        ("tcp", WatchSignal.ANSWERS, False),
        ("command", WatchSignal.CONTAINERS, False),
    ],
)
def test_a_veto_skips_only_a_check_that_asks_for_the_same(kind: str, vetoed: WatchSignal, *, again: bool) -> None:
    assert _asks_again(Gate(kind=kind, target=""), {vetoed}) is again


@pytest.mark.parametrize(("vetoed", "checks"), [(WatchSignal.ANSWERS, 1), (WatchSignal.ERRORS, 2)])
async def test_a_veto_of_something_else_leaves_the_check_after_the_pause(
    tmp_path: Path, vetoed: WatchSignal, checks: int
) -> None:
    rollout = {"canary": 1, "batch": "100%", "pause": "1m"}
    async with watched(tmp_path, rollout=rollout) as bot:
        number = await begun(bot)
        await bot.deployments.queue.close()
        (row,) = await _compares(bot, number)
        evidence = dataclasses.replace(row.evidence, vetoes=(VetoedSignal(signal=vetoed),))
        row = dataclasses.replace(row, vetoed="ben", evidence=evidence)
        await bot.store.write(lambda tables: tables.watches.put(row))
        await bot.restart()
        await to_the_end(bot, number)
        rows = await bot.store.read(lambda tables: tables.deployments.steps(number))
        assert sum(one.server == "web1" and one.kind is StageKind.GATE for one in rows) == checks


async def test_a_failed_release_that_stays_is_not_called_rolled_back(tmp_path: Path) -> None:
    async with watched(tmp_path, on_failure="leave", veto=0) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await next_look(bot, number)
        bot.clock.advance(10)
        ended = await bot.end_of(number)
        assert ended.state is State.FAILED
        assert "roll" not in (await _announced(bot, number)).title
        running, rows = replace(ended, state=State.RUNNING), await _compares(bot, number)
        titles = [veto_cards(running, rows, (), leaves=leaves)[0].title for leaves in (True, False)]
        assert [title.rpartition(" · ")[2] for title in titles] == ["failing", "rolling back"]


async def test_a_countdown_is_no_longer_than_veto_after_the_clock_went_back(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        await bot.deployments.queue.close()
        bot.clock.advance(-3600)
        await bot.restart()
        await bot.until_card(number, lambda card: card.text.startswith("Rolls back at "))
        async with asyncio.timeout(30):
            while (row := (await _compares(bot, number))[0]).revert_at > bot.clock.now() + 20:  # noqa: ASYNC110 - rows
                await asyncio.sleep(0.001)
        assert row.revert_at == bot.clock.now() + 20


async def test_a_watch_is_no_longer_than_a_whole_one_after_the_clock_went_back(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.clock.advance(-86400)
        back = bot.clock.now()
        await bot.until_card(number, lambda _: True)
        await next_look(bot, number)
        await to_the_end(bot, number)
        assert bot.clock.now() < back + 3600


async def test_watches_of_long_ago_are_deleted(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        first = await begun(bot)
        await to_the_end(bot, first)
        second = await begun(bot, "deploy shop@v1 to production because it is time")
        await to_the_end(bot, second)
        assert await bot.store.read(lambda tables: tables.watches.of(first))
        bot.clock.advance(91 * 86400)
        third = await begun(bot)
        kept = await bot.store.read(lambda tables: [len(tables.watches.of(one)) for one in (first, second, third)])
        assert kept == [0, 0, 2]


async def test_a_rollback_that_waits_for_a_slot_says_which_watch_to_stop(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        for release in ("v1", "v2"):
            done = await bot.end_of(await bot.ask(f"deploy shop@{release} to staging because it is time"))
            assert done.state is State.SUCCEEDED
        settings = _settings(tmp_path, ("web1", "web2", "web3"), {"watch": "5m", "rollout": {"canary": 1}})
        await bot.restart(settings.model_copy(update={"bot": settings.bot.model_copy(update={"at_once": 1})}))
        number = await begun(bot)
        for text, hint in (("rollback shop from staging", True), ("restart shop staging", False)):
            other = await bot.ask(f"{text} because it is slow")
            card = await bot.card(other)
            assert "`at_once` in bot.toml is 1" in card.text
            assert (f"cancel #{number} stops its watch and rolls back at once" in card.text) is hint
            await bot.say(f"cancel #{other}")


class HangingHost(AnsweringHost):
    """A server whose health check answers only when the server was asked whether it is there: a slow one."""

    reached: asyncio.Event

    async def http_status(self, url: str, *, timeout: float) -> tuple[int, str]:  # noqa: ARG002  a port
        await self.reached.wait()
        raise Unreachable(url, "no answer")

    async def facts(self, directory: str = "", *, timeout: float = 30.0, docker: bool = True) -> ServerFacts:  # noqa: ARG002  a port
        self.reached.set()
        return self.server_facts


async def test_a_server_is_asked_whether_it_is_there_while_its_health_check_hangs() -> None:
    bench = LookBench("script")
    host = HangingHost("web1")
    host.reached = asyncio.Event()
    servers = FakeServers([host])
    bench.looks = WatchLooks(servers, ErrorSamples(servers, bench.clock, Redactor()), bench.clock, Timeouts())
    seen = await bench.look()
    assert seen.answers is not None
    assert (seen.answers.asked, seen.answers.bad, seen.trouble) == (10, 1, "")


async def test_a_log_that_hangs_keeps_no_other_server_from_being_read(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = LookBench()
    hangs, all_read, reading = asyncio.Event(), asyncio.Event(), []

    async def read(*_: object) -> None:
        reading.append(1)
        if len(reading) == 4:
            all_read.set()
        await hangs.wait()

    servers = FakeServers([bench.host, AnsweringHost("web2")], {"web1": bench.engine, "web2": bench.engine})
    logs = ErrorSamples(servers, bench.clock, Redactor())
    app, environment = bench.target.app, bench.target.environment

    def count(app: App, environment: Environment, server: str) -> asyncio.Future[LogCounts]:
        return asyncio.ensure_future(logs.count(app, environment, server, since=bench.clock.now() - 60))

    monkeypatch.setattr(ErrorSamples, "_read", read)
    asks = [count(app, environment, "web1") for _ in range(8)]
    try:
        await all_read.wait()
        monkeypatch.undo()
        assert (await count(app, environment, "web2")).trouble == ""
    finally:
        hangs.set()
        await asyncio.gather(*asks)


def test_the_outcome_says_whose_log_was_not_compared() -> None:
    def row(server: str, position: int) -> StepRow:
        return StepRow(
            deployment=1, phase=Phase.FORWARD, server=server, position=position, name="compare",
            job=f"{server}-{position}", state=StepState.DONE, started=1.0, kind=StageKind.COMPARE,
        )  # fmt: skip

    def watch(job: str, trouble: str) -> WatchRow:
        seen = ServerSeen(server=job[:4], trouble=trouble)
        return WatchRow(job=job, deployment=1, server=job[:4], evidence=WatchEvidence(new=seen))

    steps = [row("web1", 3), row("web1", 5), row("web2", 5)]
    good = [watch("web1-3", "it hangs"), watch("web1-5", ""), watch("web2-5", "")]
    assert unread_words(steps, good) == ""
    bad = [watch("web1-3", ""), watch("web1-5", "it hangs"), watch("web2-5", "")]
    assert unread_words(steps, bad) == "The log of web1 was not compared to the end."
