"""The watch of a new release: it is compared with the old one, rolled back if it does worse, or kept by a veto."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.backoff import Backoff
from deploybot.card import Card
from deploybot.deployments.batch_layout import layout_of
from deploybot.domain import Kind, Role, ServerSeen, StageKind, State, StepState, WatchRow, WatchSignal, WatchState
from deploybot.settings import Settings
from deploybot.testing import FakeClock
from tests.kit.bot import ENDS_WITHIN, HEALTH, V1, V2, BotUnderTest, Team, open_as
from tests.kit.settings import bot_settings

SERVERS = ("web1", "web2", "web3")
TEAM: Team = {
    "ana": [(Role.DEPLOYER, "*", "*")],
    "ben": [(Role.DEPLOYER, "shop", "production")],
    "vic": [(Role.VIEWER, "*", "*")],
    "eve": [(Role.DEPLOYER, "shop", "staging")],
}
BAD = (500, "no database")


class StillBot(BotUnderTest):
    """A bot whose time passes only when a test says so."""

    make_clock = FakeClock


@asynccontextmanager
async def watched(
    folder: Path, *, servers: tuple[str, ...] = SERVERS, **production: object
) -> AsyncIterator[BotUnderTest]:
    """A bot whose shop runs v1, and is watched for five minutes when another release comes."""
    async with open_as(StillBot, folder, _settings(folder, servers, {}), team=TEAM) as bot:
        bot.wait(clock_check=0.001, watch_before=0.0, job_retry=Backoff(0.0001, 0.001))
        await bot.deploy(V1)
        rollout = {"rollout": {"canary": 1, "batch": "100%"}} if len(servers) > 1 else {}
        await bot.restart(_settings(folder, servers, {"watch": "5m", **rollout, **production}))
        yield bot


def _settings(folder: Path, servers: tuple[str, ...], production: Mapping[str, object]) -> Settings:
    shop = {
        "restart": "./restart",
        "health": {"http": HEALTH, "within": "1s"},
        "restore_within": "1s",
        "environments": {
            "production": {"servers": [*servers], **production},
            "staging": {"servers": ["web1"], "directory": "/srv/staging"},
        },
    }
    return bot_settings(folder / "data", servers=servers, apps={"shop": shop})


def runs(bot: BotUnderTest) -> str:
    """The first digit of what each server runs."""
    return "".join(host.server_facts.current[:1] or "-" for host in bot.hosts)


def watching(card: Card) -> bool:
    return any("watching until" in line.text for line in card.lines)


def counts_down(card: Card) -> bool:
    return any(one.label == "Veto" for one in card.buttons)


async def looks(bot: BotUnderTest, number: int) -> dict[str, int]:
    """How often each server of the last watches was looked at."""
    rows = await bot.store.read(lambda tables: tables.watches.of(number))
    return {row.job: row.evidence.new.looks for row in rows}


async def begun(bot: BotUnderTest, text: str = "deploy shop@v2 to production because it is time") -> int:
    """Request a release, and wait until its watch has looked once."""
    number = await bot.ask(text)
    async with asyncio.timeout(ENDS_WITHIN):
        while not any(row.evidence.new.looks for row in await _compares(bot, number)):  # noqa: ASYNC110 - rows
            await asyncio.sleep(0.001)
    return number


async def next_look(bot: BotUnderTest, number: int) -> None:
    """Let ten seconds pass, and wait until all watches have looked again."""
    before = sum((await looks(bot, number)).values())
    bot.clock.advance(10)
    async with asyncio.timeout(ENDS_WITHIN):
        while sum((await looks(bot, number)).values()) == before:  # noqa: ASYNC110 - rows in a database
            await asyncio.sleep(0.001)


async def until_worse(bot: BotUnderTest, number: int) -> Card:
    """Look until the countdown begins; the card."""
    for _ in range(5):
        card = await bot.card(number)
        if counts_down(card):
            return card
        await next_look(bot, number)
    raise AssertionError(await bot.card(number))


async def to_the_end(bot: BotUnderTest, number: int) -> None:
    """Let time pass, ten seconds after the other, until a deployment has ended."""
    async with asyncio.timeout(ENDS_WITHIN):
        while not (await bot.deployment(number)).state.ended:
            bot.clock.advance(10)
            await asyncio.sleep(0.005)


async def kinds(bot: BotUnderTest, number: int) -> list[tuple[str, StageKind, StepState]]:
    rows = await bot.store.read(lambda tables: tables.deployments.steps(number))
    return [(row.server, row.kind, row.state) for row in rows if row.kind in {StageKind.COMPARE, StageKind.BASELINE}]


async def test_the_canary_is_watched_and_all_servers_are_at_the_end(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        assert runs(bot) == "211"
        card = await bot.card(number)
        (line,) = [one for one in card.lines if one.name == "web1"]
        (moment,) = card.times
        assert line.text == f"watching until {moment.text}"
        (row,) = [one for one in await bot.store.read(lambda t: t.deployments.steps(number)) if one.name == "compare"]
        assert moment.at == row.started + 300
        await to_the_end(bot, number)
        ended = await bot.deployment(number)
        assert (ended.state, ended.outcome, runs(bot)) == (State.SUCCEEDED, "Everything is healthy.", "222")
        done = await kinds(bot, number)
        assert done[:4] == [
            *((name, StageKind.BASELINE, StepState.DONE) for name in sorted(name for name, *_ in done[:3])),
            ("web1", StageKind.COMPARE, StepState.DONE),
        ]
        assert sorted(done[4:]) == [(name, StageKind.COMPARE, StepState.DONE) for name in SERVERS]
        assert "new: " in bot.log_of(number)
        assert "old, on web2: " in bot.log_of(number)


async def test_the_old_release_is_looked_at_before_tasks_put_up_a_page(tmp_path: Path) -> None:
    """A page for the time of a migration answers 503: as what is usual, it would hide the faults of the new release."""
    async with watched(tmp_path, before_switch=["migrate"], tasks={"migrate": "./migrate"}) as bot:
        number = await begun(bot)
        rows = await bot.store.read(lambda tables: tables.deployments.steps(number))
        kinds_ = [row.kind for row in rows if row.kind is StageKind.BASELINE or row.name == "migrate"]
        assert kinds_ == [StageKind.BASELINE] * 3 + [StageKind.RUN]
        await bot.restart()
        await to_the_end(bot, number)
        assert len([one for one in await kinds(bot, number) if one[1] is StageKind.BASELINE]) == 3


async def test_a_canary_that_does_worse_goes_back_after_a_countdown(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        card = await until_worse(bot, number)
        evidence = "health check: fails (answers 500), before 0 of"
        assert [one.text for one in card.lines if one.name == "web1" and one.text.startswith(evidence)], card.lines
        assert card.text.startswith("Rolls back at ")
        assert card.text.splitlines()[0].endswith(f"To keep the new release: veto #{number}")
        announced = await _announced(bot, number)
        assert [one.command for one in announced.buttons] == [f"veto #{number}"]
        assert "does worse" in announced.title
        bot.clock.advance(19)
        await asyncio.sleep(0.02)
        assert runs(bot) == "211"
        bot.clock.advance(1.5)
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        bot.hosts["web1"].http.clear()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.RESTORED, "111")
        assert ended.outcome.splitlines()[0].startswith(f"Not healthy on web1: {evidence}")
        assert (await _announced(bot, number)).buttons == ()
        assert any(line.startswith("new: ") for line in ended.tail)
        assert f"worse: {evidence}" in bot.log_of(number)


async def _announced(bot: BotUnderTest, number: int) -> Card:
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1, 1000))
    return next(item.card for item in items if item.card.key == f"veto:{number}")


async def test_a_single_server_is_compared_with_the_time_before(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        (row,) = await _compares(bot, number)
        assert row.evidence.before is not None
        assert row.evidence.before.answers is not None
        assert (row.evidence.before.answers.asked, row.evidence.olds) == (30, ())
        bot.hosts["web1"].http[HEALTH] = BAD
        assert "before 0 of 30 failed" in str((await until_worse(bot, number)).lines)


def _asked(seen: ServerSeen) -> int:
    return seen.answers.asked if seen.answers else 0


async def _compares(bot: BotUnderTest, number: int) -> list[WatchRow]:
    rows = await bot.store.read(lambda tables: tables.watches.of(number))
    steps = await bot.store.read(lambda tables: tables.deployments.steps(number))
    jobs = {one.job for one in steps if one.kind is StageKind.COMPARE}
    return [row for row in rows if row.job in jobs]


async def test_what_the_old_release_does_too_is_not_worse(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        for host in bot.hosts:
            host.http[HEALTH] = BAD
        for _ in range(4):
            await next_look(bot, number)
        assert not counts_down(await bot.card(number))
        bot.hosts["web2"].http.clear()
        bot.hosts["web3"].http.clear()
        await until_worse(bot, number)


async def test_a_veto_keeps_the_release_and_is_not_asked_for_again(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        answer = await bot.say(f"veto #{number} because the database moves", "ben")
        assert answer.ok
        card = await bot.card(number)
        assert not counts_down(card)
        assert any("(vetoed by ben)" in one.text for one in card.lines)
        assert "ben vetoed the rollback" in (await _announced(bot, number)).title
        await to_the_end(bot, number)
        ended = await bot.deployment(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "222")
        assert ended.outcome.startswith("ben vetoed the rollback. web1: health check: fails")
        (row,) = [one for one in await bot.audit() if one.action == "veto"]
        assert (row.actor, row.subject) == ("ben", f"#{number} shop/production")
        assert row.detail.startswith("kept although web1: health check: fails")
        assert row.detail.endswith("because the database moves")


@pytest.mark.parametrize("who", ["vic", "eve", "stranger"])
async def test_only_who_may_deploy_there_may_veto(tmp_path: Path, who: str) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        answer = await bot.maybe(f"veto #{number}", who)
        assert answer is None or not answer.ok
        assert counts_down(await bot.card(number))
        assert not [one for one in await bot.audit() if one.action == "veto"]


@pytest.mark.parametrize("held", ["freeze", "lock"])
async def test_a_freeze_or_a_lock_of_another_person_does_not_keep_from_a_veto(tmp_path: Path, held: str) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        assert (await bot.say(f"{held} shop production for 2h because of the fair", "ana")).ok
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        assert (await bot.say(f"veto #{number}", "ben")).ok
        await to_the_end(bot, number)
        assert ((await bot.deployment(number)).state, runs(bot)) == (State.SUCCEEDED, "222")


async def test_a_veto_that_comes_too_early_or_too_late_is_refused(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        assert f"No rollback of #{number} is pending" in (await bot.say(f"veto #{number}")).title
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        bot.clock.advance(21)
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        bot.hosts["web1"].http.clear()
        ended = await bot.end_of(number)
        assert ended.state is State.RESTORED
        assert "has already ended" in (await bot.say(f"veto #{number}")).title
        assert "no deployment #99" in (await bot.say("veto #99")).title


async def test_a_bot_that_was_killed_continues_the_watch_to_the_same_end(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        await next_look(bot, number)
        (before,) = await _compares(bot, number)
        shown = (await bot.card(number)).lines
        await bot.restart()
        await next_look(bot, number)
        (after,) = await _compares(bot, number)
        assert _asked(after.evidence.new) > _asked(before.evidence.new)
        assert after.evidence.before == before.evidence.before
        assert (await bot.card(number)).lines == shown
        bot.clock.advance(280)
        ended = await bot.end_of(number)
        assert ended.state is State.SUCCEEDED


async def test_the_countdown_survives_a_kill_and_ends_at_its_time(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        shown = (await until_worse(bot, number)).text
        await bot.restart()
        bot.clock.advance(10)
        await bot.restart()
        assert (await bot.card(number)).text == shown
        bot.clock.advance(11)
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        bot.hosts["web1"].http.clear()
        assert (await bot.end_of(number)).state is State.RESTORED


async def test_a_veto_survives_a_kill(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        await bot.say(f"veto #{number}")
        await bot.restart()
        await to_the_end(bot, number)
        assert (await bot.deployment(number)).state is State.SUCCEEDED


async def test_a_bot_that_was_down_until_after_the_end_looks_once_more(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await next_look(bot, number)
        await bot.deployments.queue.close()
        bot.clock.advance(3600)
        await bot.restart()
        await bot.until_card(number, counts_down)


async def test_a_watch_and_a_countdown_can_be_cancelled(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        for worse in (False, True):
            number = await begun(bot)
            if worse:
                bot.hosts["web1"].http[HEALTH] = BAD
                await until_worse(bot, number)
                bot.hosts["web1"].http.clear()
            await bot.say(f"cancel #{number}")
            ended = await bot.end_of(number)
            assert (ended.state, runs(bot)) == (State.CANCELLED, "111")


async def test_without_time_for_a_veto_it_goes_back_at_once(tmp_path: Path) -> None:
    async with watched(tmp_path, veto=0) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await next_look(bot, number)
        bot.clock.advance(10)
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        bot.hosts["web1"].http.clear()
        assert (await bot.end_of(number)).state is State.RESTORED


async def test_what_does_worse_stays_with_on_failure_leave(tmp_path: Path) -> None:
    async with watched(tmp_path, on_failure="leave") as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        card = await until_worse(bot, number)
        assert card.text.startswith("Fails at ")
        assert f", without a rollback. To continue: veto #{number}" in card.text
        bot.clock.advance(21)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.FAILED, "211")


async def test_a_server_that_does_not_answer_for_a_look_is_shown_and_not_worse(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        bot.hosts["web1"].down = "no route to it"
        for _ in range(5):
            await next_look(bot, number)
        card = await bot.card(number)
        assert not counts_down(card)
        assert any("last look incomplete" in one.text and one.name == "web1" for one in card.lines)
        bot.hosts["web1"].down = ""
        await next_look(bot, number)
        assert not any("last look incomplete" in one.text for one in (await bot.card(number)).lines)
        await to_the_end(bot, number)
        assert (await bot.deployment(number)).state is State.SUCCEEDED


async def test_a_server_that_does_not_answer_at_the_end_is_not_called_healthy(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        bot.wait(restore_silence=0.01)
        number = await begun(bot)
        bot.hosts["web1"].down = "no route to it"
        bot.clock.advance(300)
        async with asyncio.timeout(ENDS_WITHIN):
            while (await bot.deployment(number)).state is State.RUNNING:
                bot.clock.advance(5)
                await asyncio.sleep(0.005)
        assert "no route to it" in (await bot.deployment(number)).outcome
        bot.hosts["web1"].down = ""


@pytest.mark.parametrize("kind", [Kind.ROLLBACK, Kind.RESTART])
async def test_a_rollback_and_a_restart_are_not_watched(tmp_path: Path, kind: Kind) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot)
        await to_the_end(bot, number)
        asked = "rollback shop from production" if kind is Kind.ROLLBACK else "restart shop production"
        ended = await bot.end_of(await bot.ask(f"{asked} because it is slow"))
        assert (ended.plan.kind, ended.state) == (kind, State.SUCCEEDED)
        assert await kinds(bot, ended.number) == []


async def test_without_the_key_nothing_is_watched(tmp_path: Path) -> None:
    async with watched(tmp_path, watch=None) as bot:
        ended = await bot.deploy(V2)
        assert ended.state is State.SUCCEEDED
        assert await kinds(bot, ended.number) == []


async def test_a_first_deployment_has_nothing_to_compare_with_and_says_so(tmp_path: Path) -> None:
    settings = _settings(tmp_path, ("web1",), {"watch": "5m"})
    async with open_as(StillBot, tmp_path, settings, team=TEAM) as bot:
        bot.wait(clock_check=0.001)
        number = await bot.ask()
        await bot.until_card(number, lambda card: any("no old release" in one.text for one in card.lines))
        bot.hosts["web1"].http[HEALTH] = BAD
        card = await until_worse(bot, number)
        assert any("before unknown" in one.text for one in card.lines)


async def test_a_server_of_some_is_compared_with_those_that_are_left_out(tmp_path: Path) -> None:
    async with watched(tmp_path) as bot:
        number = await begun(bot, "deploy shop@v2 to production/web2 because it is time")
        await next_look(bot, number)
        (row,) = await _compares(bot, number)
        assert [one.now.server for one in row.evidence.olds] == ["web1", "web3"]
        assert all(_asked(one.now) for one in row.evidence.olds)


@pytest.mark.parametrize(("canary", "first"), [(1, {"web1"}), (0, set()), (9, set())])
def test_only_a_canary_that_others_follow_is_watched_first(tmp_path: Path, canary: int, first: set[str]) -> None:
    settings = _settings(tmp_path, SERVERS, {"watch": "5m", "rollout": {"canary": canary}})
    found = layout_of(settings.apps["shop"].environments["production"], SERVERS, gently=True)
    assert found.watch == 300.0
    assert set(found.canary) & set(SERVERS[: len(found.batches[0])]) >= first


async def test_a_second_signal_counts_down_again_after_a_veto(tmp_path: Path) -> None:
    async with watched(tmp_path, servers=("web1",)) as bot:
        number = await begun(bot)
        bot.hosts["web1"].http[HEALTH] = BAD
        await until_worse(bot, number)
        await bot.say(f"veto #{number}")
        (row,) = await _compares(bot, number)
        assert (row.state, row.evidence.accepted) == (WatchState.LOOKING, (WatchSignal.ANSWERS,))
        assert row.evidence.worse == ()
