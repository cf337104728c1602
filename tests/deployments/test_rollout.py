"""Roll-outs: in which batches servers are switched, what lies between them, and which servers are left out."""

from __future__ import annotations

import asyncio
import dataclasses
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.backoff import Backoff
from deploybot.card import MARKS, Card, Tone
from deploybot.deployments.batch_layout import layout_of
from deploybot.deployments.batch_progress import rollout_text
from deploybot.domain import Kind, Plan, Role, ServerPlan, StageKind, State, StepRow, StepState
from deploybot.errors import DeploybotError, HostKeyMismatch, ServerDown, Unreachable
from deploybot.settings import Rollout, Settings
from deploybot.testing import FakeHost, Outcome
from tests.kit.bot import ENDS_WITHIN, HEALTH, V1, V2, BotUnderTest, Team, fetched, open_as, switched
from tests.kit.settings import bot_settings

SERVERS = ("web1", "web2", "web3", "web4", "web5")
TEAM: Team = {"ana": [(Role.DEPLOYER, "*", "*")], "ben": [(Role.APPROVER, "*", "*")]}


@asynccontextmanager
async def fleet(folder: Path, production: Mapping[str, object], **rollout: object) -> AsyncIterator[BotUnderTest]:
    """A bot whose shop runs v1 on five servers, with these keys in `rollout` and in production."""
    async with open_as(BotUnderTest, folder, _settings(folder, {}), team=TEAM) as bot:
        bot.wait(clock_check=0.001, job_retry=Backoff(0.0001, 0.001))
        await bot.deploy(V1)
        await bot.restart(_settings(folder, {"rollout": rollout, **production}))
        yield bot


def _settings(folder: Path, production: Mapping[str, object]) -> Settings:
    shop = {
        "restart": "./restart",
        "health": {"http": HEALTH, "within": "1s"},
        "restore_within": "1s",
        "environments": {"production": {"servers": [*SERVERS], **production}},
    }
    return bot_settings(folder / "data", servers=SERVERS, apps={"shop": shop})


def runs(bot: BotUnderTest) -> str:
    """The first digit of what each server runs."""
    return "".join(bot.hosts[name].server_facts.current[:1] or "-" for name in SERVERS)


def watched(bot: BotUnderTest, **failing: Outcome) -> list[str]:
    """What all servers ran, in turn, at each switch of one of them; a failing one has its own first switch."""
    seen: list[str] = []

    def switch(host: FakeHost, env: Mapping[str, str]) -> None:
        switched(host, env)
        seen.append(f"{host.name}: {runs(bot)}")

    good = Outcome(effect=switch)
    for name in SERVERS:
        first = [dataclasses.replace(failing[name], effect=switch)] if name in failing else []
        bot.hosts[name].script("switch", *first, good)
    return seen


async def steps(bot: BotUnderTest, number: int) -> tuple[StepRow, ...]:
    return await bot.store.read(lambda tables: tables.deployments.steps(number))


def pausing(card: Card) -> bool:
    return any("pausing" in line.text for line in card.lines)


def order(rows: Sequence[StepRow], name: str = "switch") -> list[str]:
    return [row.server for row in rows if row.name == name and row.phase.value == "forward"]


@pytest.mark.parametrize(
    ("rollout", "servers", "batches"),
    [
        ({}, 3, "1 2 3"),
        ({"batch": 2}, 5, "12 34 5"),
        ({"batch": "25%"}, 5, "12 34 5"),
        ({"batch": "1%"}, 5, "1 2 3 4 5"),
        ({"batch": "100%"}, 5, "12345"),
        ({"batch": 9}, 5, "12345"),
        ({"batch": 2, "canary": 1}, 5, "1 23 45"),
        ({"batch": "100%", "canary": "web4"}, 5, "4 1235"),
        ({"batch": "100%", "canary": ["web5", "web2"]}, 5, "25 134"),
        ({"batch": 2, "canary": 9}, 3, "123"),
        ({"batch": 2, "canary": "web5"}, 3, "12 3"),
    ],
)
def test_the_batches(rollout: Mapping[str, object], servers: int, batches: str) -> None:
    shop = {"environments": {"production": {"servers": [*SERVERS], "rollout": rollout}}}
    environment = bot_settings(servers=SERVERS, apps={"shop": shop}).apps["shop"].environments["production"]
    found = layout_of(environment, SERVERS[:servers], gently=True)
    assert " ".join("".join(name[-1] for name in batch) for batch in found.batches) == batches
    assert sorted(found.servers) == [*SERVERS[:servers]]


def test_an_old_release_comes_back_without_a_canary_and_without_pauses() -> None:
    rollout = {"batch": 2, "canary": "web5", "pause": "1m"}
    shop = {"environments": {"production": {"servers": [*SERVERS], "rollout": rollout}}}
    environment = bot_settings(servers=SERVERS, apps={"shop": shop}).apps["shop"].environments["production"]
    found = layout_of(environment, SERVERS, gently=False)
    assert found.batches == (("web1", "web2"), ("web3", "web4"), ("web5",))
    assert found.pause == 0.0


async def test_batches_follow_each_other_and_the_servers_of_one_are_switched_side_by_side(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, canary="web3") as bot:
        for name in ("web1", "web2"):
            bot.hosts[name].script("switch", Outcome(effect=switched, hold=True), Outcome(effect=switched))
        number = await bot.ask()
        held = [await bot.started(number, "switch", name) for name in ("web1", "web2")]
        assert runs(bot) == "22211"
        card = await bot.card(number)
        assert "batch 2 of 3" in card.text
        assert {(line.name, line.text) for line in card.lines} >= {("web3", "healthy")}
        for name, job in zip(("web1", "web2"), held, strict=True):
            bot.hosts[name].finish(job)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22222")
        assert order(await steps(bot, number))[0] == "web3"
        assert {*order(await steps(bot, number))[3:]} == {"web4", "web5"}
        assert rollout_text(ended.plan) == "web3; then web1, web2; then web4, web5"


async def test_every_server_is_prepared_before_the_canary_is_switched(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=4, canary=1) as bot:
        bot.hosts["web5"].script("fetch", Outcome(code=1, log=b"no room\n"))
        ended = await bot.deploy(V2)
        assert (ended.state, runs(bot)) == (State.FAILED, "11111")
        assert "The running release was not touched." in ended.outcome


async def test_a_failure_stops_and_the_last_batch_is_put_back_first(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2) as bot:
        seen = watched(bot, web4=Outcome(code=1))
        ended = await bot.deploy(V2)
        assert (ended.state, runs(bot)) == (State.RESTORED, "11111")
        back = [one.partition(":")[0] for one in seen if one.startswith(("web1", "web2", "web3", "web4"))][-4:]
        assert {*back[:2]} == {"web3", "web4"}
        assert {*back[2:]} == {"web1", "web2"}
        assert not any(one.startswith("web5") for one in seen)
        assert ended.outcome.splitlines()[-1].startswith("Now running: web1 1111111111; web2 1111111111;")


async def test_what_fails_stays_with_on_failure_leave(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"on_failure": "leave"}, batch=2, canary=1) as bot:
        watched(bot, web2=Outcome(code=1))
        ended = await bot.deploy(V2)
        assert (ended.state, runs(bot)) == (State.FAILED, "22211")
        assert {name for name, row in (await bot.running()).items() if row.release == V2} == {"web1", "web2", "web3"}


async def test_a_pause_lasts_from_its_row_and_a_restart_of_the_bot_does_not_begin_it_again(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch="100%", canary=1, pause="1h") as bot:
        number = await bot.ask()
        await bot.until_card(number, pausing)
        assert runs(bot) == "21111"
        (begun,) = [row for row in await steps(bot, number) if row.kind is StageKind.PAUSE]
        bot.clock.advance(1800)
        await bot.restart()
        await bot.until_card(number, pausing)
        assert runs(bot) == "21111"
        bot.clock.advance(1790)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22222")
        rows = [row for row in await steps(bot, number) if row.kind is StageKind.PAUSE]
        assert [(row.server, row.started) for row in rows] == [("web1", begun.started)]


async def test_a_canary_that_falls_ill_in_the_pause_is_put_back_and_no_other_server_is_switched(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch="100%", canary=1, pause="1h") as bot:
        number = await bot.ask()
        await bot.until_card(number, pausing)
        bot.hosts["web1"].http[HEALTH] = (500, "no database")
        bot.clock.advance(3600)
        await bot.until(number, lambda one: one.state is State.RESTORING)
        bot.hosts["web1"].http.clear()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.RESTORED, "11111")
        assert "answers 500" in ended.outcome


async def test_a_pause_can_be_cancelled(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch="100%", canary=1, pause="1h") as bot:
        number = await bot.ask()
        await bot.until_card(number, pausing)
        await bot.say(f"cancel #{number}")
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.CANCELLED, "11111")


@pytest.mark.parametrize("kind", [Kind.ROLLBACK, Kind.RESTART])
async def test_rollbacks_and_restarts_go_in_batches_and_do_not_pause(tmp_path: Path, kind: Kind) -> None:
    async with fleet(tmp_path, {}, batch=3, canary=1, pause="1h") as bot:
        number = await bot.ask()
        await bot.until_card(number, pausing)
        bot.clock.advance(3601)
        await bot.end_of(number)
        asked = "rollback shop from production" if kind is Kind.ROLLBACK else "restart shop production"
        ended = await bot.end_of(await bot.ask(f"{asked} because it is slow"))
        assert (ended.plan.kind, ended.state, ended.plan.sizes) == (kind, State.SUCCEEDED, (3, 2))


def down(host: FakeHost, problem: DeploybotError | None = None) -> None:
    """Let a server answer nothing, or with an error of its own."""
    host.down = "no route to it"
    if problem is not None:

        async def reach(timeout: float) -> None:
            del timeout
            raise problem

        host._reach = reach  # type: ignore[method-assign]  # of a fake


async def test_a_server_that_is_down_stops_a_deployment_before_it_begins(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2) as bot:
        down(bot.hosts["web4"])
        with pytest.raises(Unreachable):
            await bot.deploy(V2)
        assert runs(bot) == "11111"


async def test_a_server_that_is_down_is_skipped_if_bot_toml_says_so(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, on_down="skip") as bot:
        down(bot.hosts["web4"])
        number = await bot.ask()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22212")
        assert ended.outcome == "Everything is healthy. web4 was down and keeps what it runs."
        assert "web4 is down and is skipped: no route to it" in ended.plan.warnings
        lines = {line.name: line.text for line in (await bot.card(number)).lines}
        assert lines["web4"] == "down, skipped"
        assert (await bot.running())["web4"].release == V1


@pytest.mark.parametrize(
    "problem",
    [
        HostKeyMismatch("web4", "its host key is another one"),
        Unreachable("web4", "the login as deploy was refused"),
    ],
)
async def test_a_server_that_answers_wrongly_is_not_down(tmp_path: Path, problem: Unreachable) -> None:
    async with fleet(tmp_path, {}, batch=2, on_down="skip") as bot:
        down(bot.hosts["web4"], problem)
        with pytest.raises(Unreachable):
            await bot.deploy(V2)
        assert runs(bot) == "11111"


async def test_the_canary_is_never_skipped(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, canary="web4", on_down="skip") as bot:
        down(bot.hosts["web4"])
        with pytest.raises(ServerDown):
            await bot.deploy(V2)
        assert runs(bot) == "11111"


async def test_nothing_begins_if_all_servers_are_down(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, on_down="skip") as bot:
        for name in SERVERS:
            down(bot.hosts[name])
        with pytest.raises(ServerDown):
            await bot.deploy(V2)


def goes_down(bot: BotUnderTest, script: str, at: str, server: str = "web5") -> None:
    """Let a server go down when a script runs on another one."""

    def unplug(host: FakeHost, env: Mapping[str, str]) -> None:
        bot.hosts[server].cut("it is off")
        (switched if script == "switch" else fetched)(host, env)

    bot.hosts[at].script(script, Outcome(effect=unplug), Outcome(effect=switched if script == "switch" else fetched))


async def test_a_server_that_goes_down_before_its_batch_is_skipped(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, on_down="skip") as bot:
        goes_down(bot, "switch", "web1")
        number = await bot.ask()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22221")
        card = await bot.card(number)
        assert card.title.endswith("succeeded, but not on web5")
        assert "Everything is healthy. web5 was down and keeps what it runs." in card.text
        assert {line.name: line.text for line in card.lines}["web5"] == "down, skipped"
        assert (await bot.running())["web5"].release == V1
        good = await bot.store.read(lambda tables: tables.deployments.healthy("shop", "production", "web5"))
        assert good == {V1.id}, "it is prepared from scratch there"
        history = await bot.say("history shop production")
        assert history.table
        assert "succeeded, but not on web5" in str(history)
        assert any("not on all" in line and MARKS[Tone.WARN] in line for line in history.table.narrow), history.table


async def test_a_server_that_goes_down_while_it_is_prepared_is_skipped(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, on_down="skip") as bot:
        bot.hosts["web5"].script("fetch", Outcome(hold=True))
        number = await bot.ask()
        await bot.started(number, "fetch", "web5")
        bot.hosts["web5"].cut("it is off")
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22221"), ended.outcome


async def test_a_bot_that_dies_while_a_server_is_down_skips_it_all_the_same(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, on_down="skip") as bot:
        goes_down(bot, "switch", "web1")
        bot.hosts["web4"].script("switch", Outcome(effect=switched, hold=True), Outcome(effect=switched))
        number = await bot.ask()
        await bot.until(number, lambda _: bot.hosts["web3"].server_facts.current == V2.id)
        held = await bot.started(number, "switch", "web4")
        await bot.restart()
        bot.hosts["web4"].finish(held)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22221"), ended.outcome


async def test_a_skipped_server_stays_skipped_after_a_restart_of_the_bot(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, canary=1, on_down="skip") as bot:
        goes_down(bot, "switch", "web1", "web2")
        bot.hosts["web3"].script("switch", Outcome(effect=switched, hold=True), Outcome(effect=switched))
        number = await bot.ask()
        await bot.until_card(number, lambda card: any(line.text == "down, skipped" for line in card.lines))
        bot.hosts["web2"].down = ""
        await bot.restart()
        bot.hosts["web3"].finish(await bot.started(number, "switch", "web3"))
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "21222"), ended.outcome
        assert {one.script for one in bot.hosts["web2"].started if one.job.startswith(f"{number}-")} == {"fetch"}


async def test_a_skipped_server_may_leave_bot_toml(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, canary=1, on_down="skip") as bot:
        goes_down(bot, "switch", "web1", "web2")
        bot.hosts["web3"].script("switch", Outcome(effect=switched, hold=True), Outcome(effect=switched))
        number = await bot.ask()
        await bot.until_card(number, lambda card: any(line.text == "down, skipped" for line in card.lines))
        fewer = {name: one for name, one in bot.settings.servers.items() if name != "web2"}
        await bot.restart(bot.settings.model_copy(update={"servers": fewer}))
        bot.hosts["web3"].finish(await bot.started(number, "switch", "web3"))
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "21222"), ended.outcome


async def checked(bot: BotUnderTest, number: int) -> bool:
    return any(row.name == "health" and row.state is StepState.DONE for row in await steps(bot, number))


async def test_a_bot_that_lost_its_own_network_skips_nobody(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=1, on_down="skip") as bot:

        def unplug(host: FakeHost, env: Mapping[str, str]) -> None:
            switched(host, env)
            for name in SERVERS[1:]:
                bot.hosts[name].cut("no network")

        bot.hosts["web1"].script("switch", Outcome(effect=unplug), Outcome(effect=switched))
        number = await bot.ask()
        async with asyncio.timeout(ENDS_WITHIN):
            while not await checked(bot, number):  # noqa: ASYNC110 - rows in a database
                await asyncio.sleep(0.001)
        bot.hosts["web1"].cut("no network")
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        for name in SERVERS:
            bot.hosts[name].down = ""
        ended = await bot.end_of(number)
        assert ended.state is State.RESTORED, ended.outcome
        assert "Step `switch` was not started on web2" in ended.outcome


async def test_a_server_that_goes_down_stops_a_deployment_that_may_not_skip_it(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2) as bot:
        goes_down(bot, "switch", "web1")
        number = await bot.ask()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.RESTORED, "11111")
        assert "Step `switch` was not started on web5: web5 cannot be reached: it is off" in ended.outcome


async def test_nothing_is_started_where_a_switch_may_still_run(tmp_path: Path) -> None:
    """One of a batch fails while it is unknown how the switch of the other ends: only the first goes back."""
    async with fleet(tmp_path, {}, batch=2) as bot:
        bot.wait(job_stop=0.05, job_grace=0.01)
        web1, web2 = bot.hosts["web1"], bot.hosts["web2"]
        web2.script("switch", Outcome(effect=switched, hold=True))
        web1.script("switch", Outcome(effect=switched, hold=True), Outcome(effect=switched))
        number = await bot.ask()
        first, second = [await bot.started(number, "switch", name) for name in ("web1", "web2")]
        web2.cut("no route to it")
        web1.finish(first, code=1)
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        web2.down = ""
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.UNKNOWN, "12111"), ended.outcome
        assert "The result of step `switch` on web2 is unknown" in ended.outcome
        assert [one.job for one in web2.started if one.script == "switch" and one.job.startswith(f"{number}-")] == [
            second
        ]


async def test_an_approval_covers_a_deployment_that_skips_a_server(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"approvals": 1}, batch=2, on_down="skip") as bot:
        number = await bot.ask()
        down(bot.hosts["web4"])
        await bot.say(f"approve #{number}", "ben")
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22212"), ended.outcome


async def test_what_was_approved_goes_in_the_batches_that_were_shown(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"approvals": 1}, batch=2, on_down="skip") as bot:
        down(bot.hosts["web2"])
        number = await bot.ask()
        shown = rollout_text((await bot.deployment(number)).plan)
        assert shown == "web1; then web3, web4; then web5"
        await bot.say(f"approve #{number}", "ben")
        assert rollout_text((await bot.end_of(number)).plan) == shown


async def test_try_again_means_the_skipped_server_too(tmp_path: Path) -> None:
    async with fleet(tmp_path, {}, batch=2, on_down="skip") as bot:
        down(bot.hosts["web4"])
        bot.hosts["web1"].script("switch", Outcome(code=1), Outcome(effect=switched))
        number = await bot.ask()
        await bot.end_of(number)
        assert (await bot.card(number)).buttons[0].command == f"deploy shop@{V2.id} to production"


async def test_a_health_command_passes_again_at_the_end_of_a_pause(tmp_path: Path) -> None:
    health = {"health": {"command": "./healthy", "within": "5s"}}
    async with fleet(tmp_path, health, batch="100%", canary=1, pause="1h") as bot:
        bot.hosts["web1"].script("health_command", Outcome(), Outcome(code=1), Outcome())
        number = await bot.ask()
        await bot.until_card(number, pausing)
        bot.clock.advance(3601)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.RESTORED, "11111")


async def test_a_server_that_was_shown_as_skipped_is_not_deployed_to_later(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"approvals": 1}, batch=2, on_down="skip") as bot:
        down(bot.hosts["web4"])
        number = await bot.ask()
        assert {line.name: line.text for line in (await bot.card(number)).lines}["web4"] == "down, skipped"
        bot.hosts["web4"].down = ""
        await bot.say(f"approve #{number}", "ben")
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "22212"), ended.outcome


async def test_a_change_of_the_batches_voids_a_request(tmp_path: Path) -> None:
    async with fleet(tmp_path, {"approvals": 1}, batch=1) as bot:
        number = await bot.ask()
        shop = bot.settings.apps["shop"]
        production = shop.environments["production"].model_copy(update={"rollout": Rollout(batch="100%")})
        changed = shop.model_copy(update={"environments": {"production": production}})
        await bot.restart(bot.settings.model_copy(update={"apps": {"shop": changed}}))
        await bot.say(f"approve #{number}", "ben")
        ended = await bot.end_of(number)
        assert ended.state is State.CANCELLED or "rollout" in ended.outcome
        assert runs(bot) == "11111"


def test_a_plan_of_the_version_before_goes_server_by_server() -> None:
    parts = tuple(ServerPlan(server=name, steps=()) for name in SERVERS)
    old = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V1, servers=parts)
    assert [len(batch) for batch in old.batches] == [1] * 5


@pytest.mark.parametrize(
    ("rollout", "problem"),
    [
        ({"batch": 0}, 'should be a number of servers, such as 4, or a share of them, such as "25%"'),
        ({"batch": "0%"}, 'should be a number of servers, such as 4, or a share of them, such as "25%"'),
        ({"batch": "101%"}, 'should be a number of servers, such as 4, or a share of them, such as "25%"'),
        ({"batch": True}, 'should be a number of servers, such as 4, or a share of them, such as "25%"'),
        ({"canary": -1}, 'should be a number of servers, such as 1, or names of servers, such as "web1"'),
        ({"canary": []}, 'should be a number of servers, such as 1, or names of servers, such as "web1"'),
        ({"canary": "web9"}, '"web9" is not one of its servers'),
        ({"on_down": "wait"}, "on_down"),
        ({"pause": "-1s"}, "pause"),
        ({"parallel": 3}, "parallel"),
    ],
)
def test_mistakes_in_bot_toml(rollout: Mapping[str, object], problem: str) -> None:
    shop = {"environments": {"production": {"servers": [*SERVERS], "rollout": rollout}}}
    with pytest.raises(DeploybotError) as caught:
        bot_settings(servers=SERVERS, apps={"shop": shop})
    assert problem in str(caught.value)
