"""The end of a watch, a veto or a countdown: what a bad last look, a killed bot, a clock or a silent server change."""

from __future__ import annotations

import asyncio
import dataclasses
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from deploybot.applogs.log_samples import ErrorSamples
from deploybot.card import Card
from deploybot.deployments import release_watch
from deploybot.deployments.release_watch import shared
from deploybot.deployments.stage_runner import ran_task
from deploybot.deployments.timeouts import Timeouts
from deploybot.deployments.watch_looks import WatchedTarget, WatchLooks
from deploybot.deployments.watch_summary import unknown_words
from deploybot.domain import (
    AnswersSeen,
    ContainersSeen,
    LogCounts,
    LogSeen,
    ServerPlan,
    ServerSeen,
    StageKind,
    State,
    Step,
    UrlLook,
    WatchEvidence,
    WatchRow,
    WatchState,
)
from deploybot.masking import Redactor
from deploybot.testing import FakeHost, FakeServers, Outcome
from tests.deployments.test_watch import (
    BAD,
    _announced,
    _compares,
    begun,
    counts_down,
    looks,
    next_look,
    runs,
    to_the_end,
    until_worse,
    watched,
)
from tests.deployments.test_watch_looks import LookBench
from tests.kit.bot import ENDS_WITHIN, HEALTH, BotUnderTest, switched


async def announcements(bot: BotUnderTest, number: int) -> list[Card]:
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1, 1000))
    return [item.card for item in items if item.card.key.startswith(f"veto:{number}")]


async def looked(bot: BotUnderTest, number: int, seconds: float) -> None:
    """Let time pass, and wait until a watch has looked then."""
    before = sum((await looks(bot, number)).values())
    bot.clock.advance(seconds)
    async with asyncio.timeout(ENDS_WITHIN):
        while sum((await looks(bot, number)).values()) == before:  # noqa: ASYNC110 - rows in a database
            await asyncio.sleep(0.001)


async def again(bot: BotUnderTest, number: int, before: WatchRow) -> WatchRow:
    """Wait until a watch whose countdown was missed has looked again; its row."""
    async with asyncio.timeout(ENDS_WITHIN):
        while (row := (await _compares(bot, number))[0]).revert_at == before.revert_at or not row.evidence.new.looks:  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.001)
    return row


async def test_a_watch_does_not_end_while_the_last_look_was_bad(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await looked(bot, number, 300)
        assert (await bot.deployment(number)).state is State.RUNNING
        bot.clock.advance(10)
        await bot.until_card(number, counts_down)


async def test_one_bad_look_at_the_end_is_looked_at_again(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await looked(bot, number, 300)
        bot.hosts["web1"].http.clear()
        bot.clock.advance(10)
        ended = await bot.end_of(number)
        assert (ended.state, ended.outcome) == (State.SUCCEEDED, "Everything is healthy.")


async def test_a_bad_look_ends_a_watch_if_the_old_release_does_the_same(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        (row,) = await _compares(bot, number)
        assert row.evidence.before is not None
        bad = dataclasses.replace(
            row.evidence.before, answers=AnswersSeen(asked=30, failed=30, bad=3, why="answers 500")
        )
        same = dataclasses.replace(row, evidence=dataclasses.replace(row.evidence, before=bad))
        await bot.deployments.queue.close()
        await bot.store.write(lambda tables: tables.watches.put(same))
        bot.hosts["web1"].http[HEALTH] = BAD
        bot.clock.advance(300)
        await bot.restart()
        await to_the_end(bot, number)
        found = await bot.deployment(number)
        words = "Not everything is healthy, and the old release was no better. web1: health check fails (answers 500)."
        assert (found.state, found.outcome) == (State.SUCCEEDED, words)


async def test_a_url_that_the_old_release_does_not_have_hides_no_failure(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        host = bot.hosts["web1"]
        host.http[HEALTH] = (404, "no such page")

        def effect(it: FakeHost, env: Mapping[str, str]) -> None:
            switched(it, env)
            it.http.clear()

        host.script("switch", Outcome(effect=effect, log=b"switched\n"))
        number = await begun(bot)
        host.http[HEALTH] = BAD
        await until_worse(bot, number)


async def test_a_vetoed_canary_gets_through_its_pause(tmp_path: Path) -> None:
    rollout = {"canary": 1, "batch": "100%", "pause": "1m"}
    async with watched(tmp_path, rollout=rollout) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        assert (await bot.say(f"veto #{number}")).ok
        await to_the_end(bot, number)
        ended = await bot.deployment(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "222"), ended.outcome
        rows = await bot.store.read(lambda tables: tables.deployments.steps(number))
        (pause,) = [row for row in rows if row.kind is StageKind.PAUSE]
        seen = {row.job: row for row in await bot.store.read(lambda tables: tables.watches.of(number))}[pause.job]
        assert seen.evidence.new.looks
        assert [one.signal for one in seen.evidence.vetoes] == ["answers"]


async def test_a_veto_of_one_server_accepts_nothing_on_others(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        assert (await bot.say(f"veto #{number}")).ok
        bot.hosts["web1"].http.clear()
        async with asyncio.timeout(ENDS_WITHIN):
            while len(await _compares(bot, number)) < 4 or runs(bot) != "222":
                bot.clock.advance(10)
                await asyncio.sleep(0.005)
        for host in bot.hosts:
            host.http[HEALTH] = BAD
        await until_worse(bot, number)
        counting = {row.server for row in await _compares(bot, number) if row.state is WatchState.WORSE}
        assert counting
        assert counting <= {"web2", "web3"}
        first, second = await announcements(bot, number)
        assert (first.key, second.key) == (f"veto:{number}", f"veto:{number}:2")
        assert "vetoed the rollback" in first.title
        assert not first.buttons
        assert second.buttons


async def test_a_countdown_that_ended_while_the_bot_was_down_begins_again(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        (before,) = await _compares(bot, number)
        await bot.deployments.queue.close()
        bot.clock.advance(2 * 86400)
        await bot.restart()
        row = await again(bot, number, before)
        assert (row.state, row.evidence.new.looks) == (WatchState.LOOKING, 1)
        await next_look(bot, number)
        (row,) = await _compares(bot, number)
        assert row.state is WatchState.WORSE
        assert row.revert_at == bot.clock.now() + 20
        assert len(await announcements(bot, number)) >= 1
        assert (await bot.say(f"veto #{number}")).ok


async def test_a_silent_look_after_a_missed_countdown_begins_no_other(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        (before,) = await _compares(bot, number)
        await bot.deployments.queue.close()
        bot.hosts["web1"].http.clear()
        bot.hosts["web1"].down = "no route to it"
        bot.clock.advance(2 * 86400)
        await bot.restart()
        row = await again(bot, number, before)
        assert (row.state, row.evidence.new.silent, row.evidence.findings) == (WatchState.LOOKING, True, ())
        bot.hosts["web1"].down = ""
        await to_the_end(bot, number)
        assert (await bot.deployment(number)).state is State.SUCCEEDED


async def test_a_server_that_became_well_while_the_bot_was_down_is_kept(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        await bot.deployments.queue.close()
        bot.hosts["web1"].http.clear()
        bot.clock.advance(2 * 86400)
        await bot.restart()
        for _ in range(6):
            await next_look(bot, number)
        assert (await bot.deployment(number)).state is State.RUNNING, "one good look is not enough"
        await to_the_end(bot, number)
        assert ((await bot.deployment(number)).state, runs(bot)) == (State.SUCCEEDED, "2")
        assert not (await _announced(bot, number)).buttons


async def test_a_clock_that_goes_back_does_not_stop_the_looks(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.clock.advance(-3600)
        await asyncio.sleep(0.02)
        await next_look(bot, number)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)


async def test_a_server_without_network_for_a_moment_at_the_end_is_waited_for(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].down = "no route to it"
        await looked(bot, number, 300)
        for _ in range(3):
            await next_look(bot, number)
        assert (await bot.deployment(number)).state is State.RUNNING
        bot.hosts["web1"].down = ""
        await to_the_end(bot, number)
        assert (await bot.deployment(number)).state is State.SUCCEEDED


@pytest.mark.parametrize("others", [True, False])
async def test_a_bot_without_network_at_the_end_waits_longer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, *, others: bool
) -> None:
    monkeypatch.setattr(release_watch, "_NO_NETWORK", 1000)  # a busy machine must not use it up
    async with watched(tmp_path) as bot:
        bot.wait(restore_silence=1.0)
        number = await begun(bot)
        for name in ("web1",) if others else ("web1", "web2", "web3"):
            bot.hosts[name].down = "no route to it"
        if others:
            bot.clock.advance(300)
            async with asyncio.timeout(ENDS_WITHIN):
                while (await bot.deployment(number)).state is State.RUNNING:
                    bot.clock.advance(10)
                    await asyncio.sleep(0.05)
        else:
            await looked(bot, number, 300)
            await asyncio.sleep(1.5)
            await next_look(bot, number)
            await next_look(bot, number)
            assert (await bot.deployment(number)).state is State.RUNNING
        for host in bot.hosts:
            host.down = ""
        await to_the_end(bot, number)
        assert ((await bot.deployment(number)).state is State.SUCCEEDED) is not others


async def test_an_old_server_that_hangs_is_left_out_of_a_look(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    look = WatchLooks.look

    async def hang(
        self: WatchLooks, target: WatchedTarget, seen: ServerSeen, *, within: float | None = None
    ) -> ServerSeen:
        if seen.server == "web2":
            await asyncio.Event().wait()
        return await look(self, target, seen, within=within)

    async with watched(tmp_path) as bot:
        bot.wait(watch_look=0.5)
        await bot.restart()
        number = await bot.ask("deploy shop@v2 to production because it is time")
        async with asyncio.timeout(ENDS_WITHIN):
            while not await _compares(bot, number):  # noqa: ASYNC110 - rows in a database
                await asyncio.sleep(0.001)
        monkeypatch.setattr(WatchLooks, "look", hang)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)


async def test_slow_answers_do_not_make_a_look_long(monkeypatch: pytest.MonkeyPatch) -> None:
    bench = LookBench()

    async def slow(*_: object, **__: object) -> tuple[int, str]:
        await asyncio.sleep(0.5)
        return 200, ""

    monkeypatch.setattr(bench.host, "http_status", slow)
    bench.looks = WatchLooks(
        FakeServers([bench.host], {"web1": bench.engine}),
        ErrorSamples(FakeServers([bench.host], {"web1": bench.engine}), bench.clock, Redactor()),
        bench.clock,
        Timeouts(gate_answer=1.8, watch_look=2.2),
    )
    began = asyncio.get_running_loop().time()
    seen = (await bench.look()).answers
    assert asyncio.get_running_loop().time() - began < 4
    assert seen is not None
    assert (seen.asked, seen.failed) == (10, 0)
    assert seen.medians[0] >= 0.5


async def test_a_plan_says_that_the_release_is_watched(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        card = await bot.say("deploy shop@v2 to production --dry-run")
        text = "5 min after the canary and at the end; rolled back if it does worse, unless vetoed"
        assert [one.text for one in card.lines if one.name == "watch"] == [text]


async def test_a_rollback_that_waits_for_a_watch_says_how_to_stop_it(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        other = await bot.ask("rollback shop from production because it is slow")
        assert f"cancel #{number} stops its watch and rolls back at once" in (await bot.card(other)).text


def test_the_card_says_which_part_of_the_old_release_is_unknown() -> None:
    log, answers = LogSeen().add(LogCounts(windows=(0,) * 12)), AnswersSeen().add(UrlLook(asked=10, median=0.1))
    new = ServerSeen(server="web1", log=log, answers=answers, containers=ContainersSeen())
    whole = WatchEvidence(new=new, before=new)
    assert unknown_words(whole) == ""
    for before, words in (
        (dataclasses.replace(new, log=None), "error lines"),
        (dataclasses.replace(new, answers=None), "health checks"),
        (dataclasses.replace(new, containers=None), "restarts"),
    ):
        assert words in unknown_words(dataclasses.replace(whole, before=before))


@pytest.mark.parametrize(("olds", "watches"), [(6, 6), (1, 1), (2, 3), (10, 2), (3, 30)])
def test_several_watches_share_the_old_servers(olds: int, watches: int) -> None:
    names = [f"old{at}" for at in range(olds)]
    asked = Counter(name for at in range(watches) for name in shared(names, at, watches))
    assert len(asked) == min(olds, watches * 4)
    assert max(asked.values()) - min(asked.values()) <= 1
    assert max(asked.values()) <= max(4, watches // olds)
    assert shared([], 0, watches) == []


@pytest.mark.parametrize(("after", "last"), [("", ""), ("warm", ""), ("", "warm")])
def test_restarts_before_the_end_of_a_task_do_not_count(after: str, last: str) -> None:
    part = ServerPlan(
        server="web1",
        steps=(Step(name="switch", script="a"),),
        verify=True,
        after=(Step(name="after", script="a", task=after),) if after else (),
        last=(Step(name="last", script="a", task=last),) if last else (),
        watch=60.0,
        first_watch=60.0,
    )
    early, late = (at for at, stage in enumerate(part.stages) if stage.kind is StageKind.COMPARE)
    assert ran_task(part, early) is bool(after)
    assert ran_task(part, late) is bool(after or last)
    assert ran_task(part, late, since=StageKind.COMPARE) is bool(last), "restarts between two watches count"
