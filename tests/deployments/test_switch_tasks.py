"""`before_switch` and `after_switch`: when and where tasks run, once, and what follows if one fails."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.backoff import Backoff
from deploybot.deployments.fingerprint import _content
from deploybot.domain import Phase, Role, State, Step, StepRow
from deploybot.errors import DeploybotError, ServerDown
from deploybot.settings import Settings
from deploybot.testing import Outcome
from tests.kit.bot import HEALTH, V1, V2, BotUnderTest, Team, open_as, switched
from tests.kit.settings import bot_settings

SERVERS = ("web1", "web2", "web3")
TEAM: Team = {"ana": [(Role.DEPLOYER, "*", "*")], "ben": [(Role.APPROVER, "*", "*")]}
AROUND = {"before_switch": ["migrate"], "after_switch": ["warm"]}


def _settings(folder: Path, production: Mapping[str, object], tasks: Mapping[str, str] | None = None) -> Settings:
    shop = {
        "restart": "./restart",
        "health": {"http": HEALTH, "within": "1s"},
        "restore_within": "1s",
        "tasks": tasks or {"migrate": "./migrate", "warm": "./warm", "check": "./check"},
        "environments": {"production": {"servers": [*SERVERS], **production}},
    }
    return bot_settings(folder / "data", servers=SERVERS, apps={"shop": shop})


@asynccontextmanager
async def shop(folder: Path, production: Mapping[str, object]) -> AsyncIterator[BotUnderTest]:
    """A bot whose shop runs v1 on three servers, with these keys in production."""
    async with open_as(BotUnderTest, folder, _settings(folder, {}), team=TEAM) as bot:
        await bot.deploy(V1)
        await bot.restart(_settings(folder, production))
        yield bot


async def ran(bot: BotUnderTest, number: int, phase: Phase = Phase.FORWARD) -> list[str]:
    """The steps of a deployment in the order in which they began: `web1 migrate`."""
    rows: tuple[StepRow, ...] = await bot.store.read(lambda tables: tables.deployments.steps(number))
    return [f"{row.server} {row.name}" for row in rows if row.phase is phase and row.name not in {"health", "fetch"}]


def runs(bot: BotUnderTest) -> str:
    return "".join(bot.hosts[name].server_facts.current[:1] for name in SERVERS)


async def test_they_run_once_on_the_first_server_before_and_after_all_switches(tmp_path: Path) -> None:
    async with shop(tmp_path, AROUND) as bot:
        number = await bot.ask()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "222")
        assert await ran(bot, number) == ["web1 migrate", "web1 switch", "web2 switch", "web3 switch", "web1 warm"]
        (job,) = [one for one in bot.hosts["web1"].started if one.env.get("DEPLOYBOT_COMMAND") == "./migrate"]
        assert (job.env["DEPLOYBOT_INSIDE"], job.env["DEPLOYBOT_RELEASE"]) == ("release", V2.id)


async def test_each_runs_on_each_server_before_any_switch_and_after_each_ones_own(tmp_path: Path) -> None:
    each = {
        "before_switch": [{"task": "migrate"}, {"task": "check", "on": "each", "within": "7s"}],
        "after_switch": {"task": "warm", "on": "each"},
        "rollout": {"batch": 2, "canary": "web3"},
    }
    async with shop(tmp_path, each) as bot:
        number = await bot.ask()
        await bot.end_of(number)
        done = await ran(bot, number)
        assert done.index("web3 migrate") < done.index("web3 check")
        assert sorted(done[:4]) == ["web1 check", "web2 check", "web3 check", "web3 migrate"]
        assert done[4:6] == ["web3 switch", "web3 warm"]
        assert sorted(done[6:]) == ["web1 switch", "web1 warm", "web2 switch", "web2 warm"]
        deadlines = {one.deadline for one in bot.hosts["web1"].started if one.env.get("DEPLOYBOT_COMMAND") == "./check"}
        assert deadlines == {7.0}


async def test_one_that_fails_before_the_switch_stops_everything(tmp_path: Path) -> None:
    async with shop(tmp_path, {**AROUND, "rollout": {"batch": "100%"}}) as bot:
        bot.hosts["web1"].script("command", Outcome(code=3, log=b"no such table\n"))
        number = await bot.ask()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.FAILED, "111")
        assert await ran(bot, number) == ["web1 migrate"]
        assert await ran(bot, number, Phase.RESTORE) == []
        assert ended.outcome == (
            "Step `migrate` failed on web1: no such table (exit code 3).\n"
            "The running release was not touched. migrate has run: what that changed, such as a database, stays. "
            "Now running: web1 1111111111; web2 1111111111; web3 1111111111."
        )


async def test_one_that_fails_after_the_switch_brings_the_old_release_back(tmp_path: Path) -> None:
    async with shop(tmp_path, AROUND) as bot:
        bot.hosts["web1"].script("command", Outcome(), Outcome(code=1))
        number = await bot.ask()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.RESTORED, "111")
        assert "migrate and warm have run: what that changed, such as a database, stays." in ended.outcome.splitlines()
        assert not [one for one in await ran(bot, number, Phase.RESTORE) if "migrate" in one or "warm" in one]


async def test_what_ran_before_the_bot_died_does_not_run_again(tmp_path: Path) -> None:
    async with shop(tmp_path, AROUND) as bot:
        bot.hosts["web1"].script("command", Outcome(hold=True), Outcome())
        number = await bot.ask()
        job = await bot.started(number, "command")
        await bot.restart()
        assert runs(bot) == "111"
        bot.hosts["web1"].finish(job)
        bot.hosts["web2"].script("switch", Outcome(effect=switched, hold=True))
        held = await bot.started(number, "switch", "web2")
        await bot.restart()
        bot.hosts["web2"].finish(held)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "222")
        commands = [one.env["DEPLOYBOT_COMMAND"] for one in bot.hosts["web1"].started if one.script == "command"]
        assert commands == ["./migrate", "./warm"]


async def test_a_rollback_runs_only_what_says_so(tmp_path: Path) -> None:
    around = {
        "before_switch": ["migrate", {"task": "check", "on_rollback": True}],
        "after_switch": [{"task": "warm", "on_rollback": False}],
    }
    async with shop(tmp_path, around) as bot:
        await bot.end_of(await bot.ask())
        number = await bot.ask("rollback shop from production because it is slow")
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "111")
        assert await ran(bot, number) == ["web1 check", "web1 switch", "web2 switch", "web3 switch"]


async def test_a_restart_and_a_task_run_nothing_else(tmp_path: Path) -> None:
    async with shop(tmp_path, AROUND) as bot:
        number = await bot.ask("restart shop production because it is slow")
        await bot.end_of(number)
        assert not [one for one in await ran(bot, number) if "migrate" in one or "warm" in one]


async def test_the_first_server_is_not_left_out_if_a_task_runs_only_there(tmp_path: Path) -> None:
    async with shop(tmp_path, {**AROUND, "rollout": {"on_down": "skip"}}) as bot:
        bot.hosts["web1"].down = "it is off"
        with pytest.raises(ServerDown):
            await bot.deploy(V2)
        bot.hosts["web1"].down, bot.hosts["web2"].down = "", "it is off"
        ended = await bot.deploy(V2)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "212")


@pytest.mark.parametrize("key", ["before_switch", "after_switch"])
async def test_nothing_is_started_beside_a_task_that_may_still_run(tmp_path: Path, key: str) -> None:
    async with shop(tmp_path, {key: {"task": "migrate", "on": "each"}, "rollout": {"on_down": "skip"}}) as bot:
        bot.wait(job_stop=0.05, job_grace=0.01)
        web1 = bot.hosts["web1"]
        web1.script("command", Outcome(hold=True))
        number = await bot.ask()
        await bot.started(number, "command")
        web1.cut("no route to it")
        await bot.say(f"cancel #{number}")
        await bot.until(number, lambda one: one.state is not State.RUNNING)
        web1.down = ""
        ended = await bot.end_of(number)
        assert ended.state is State.UNKNOWN
        assert "The result of step `migrate` on web1 is unknown" in ended.outcome
        assert "migrate may have run: what that changed, such as a database, stays." in ended.outcome
        assert not [one for one in web1.started if one.job.startswith(f"{number}-r-")]


async def test_a_task_has_its_time_also_on_a_server_that_may_be_skipped(tmp_path: Path) -> None:
    around = {"before_switch": {"task": "migrate", "on": "each", "within": "1h"}, "rollout": {"on_down": "skip"}}
    async with shop(tmp_path, around) as bot:
        bot.wait(job_retry=Backoff(0.0001, 0.001))
        web2 = bot.hosts["web2"]
        web2.script("command", Outcome(hold=True))
        number = await bot.ask()
        job = await bot.started(number, "command", "web2")
        web2.cut("no route to it")
        await bot.until_card(number, lambda card: any("no contact" in line.text for line in card.lines))
        bot.clock.advance(120)
        web2.down = ""
        web2.finish(job)
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.SUCCEEDED, "222"), ended.outcome


async def test_a_task_that_would_run_only_on_a_server_that_is_left_out_stops_the_deployment(tmp_path: Path) -> None:
    skips = {"rollout": {"on_down": "skip"}}
    async with shop(tmp_path, skips) as bot:
        bot.hosts["web1"].down = "it is off"
        number = await bot.ask("deploy shop@v2 to production --in 2h because it is time")
        bot.hosts["web1"].down = ""
        await bot.restart(_settings(tmp_path, {**skips, "before_switch": ["migrate"]}))
        bot.clock.advance(7300)
        bot.deployments.queue.look_again()
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.FAILED, "111")
        assert "web1 was down and is left out, but migrate would run only there" in ended.outcome


async def test_what_stays_as_it_is_after_a_failure_names_the_tasks_too(tmp_path: Path) -> None:
    async with shop(tmp_path, {**AROUND, "on_failure": "leave"}) as bot:
        bot.hosts["web2"].script("switch", Outcome(code=1))
        ended = await bot.end_of(await bot.ask())
        assert ended.state is State.FAILED
        assert "migrate has run: what that changed, such as a database, stays." in ended.outcome


async def test_cards_name_them(tmp_path: Path) -> None:
    around = {"before_switch": ["migrate"], "after_switch": [{"task": "warm", "on": "each"}], "approvals": 1}
    async with shop(tmp_path, around) as bot:
        for card in (await bot.say("deploy shop@v2 to production --dry-run"), await bot.card(await bot.ask())):
            lines = {line.name: line.text for line in card.lines}
            assert (lines["before"], lines["after"]) == ("migrate on web1", "warm on each server")


async def test_an_approval_covers_the_text_of_the_task(tmp_path: Path) -> None:
    async with shop(tmp_path, {**AROUND, "approvals": 1}) as bot:
        number = await bot.ask()
        await bot.restart(
            _settings(tmp_path, {**AROUND, "approvals": 1}, {"migrate": "./drop-everything", "warm": "./warm"})
        )
        await bot.say(f"approve #{number}", "ben")
        ended = await bot.end_of(number)
        assert (ended.state, runs(bot)) == (State.CANCELLED, "111")
        assert "steps: web1 would run other steps than those shown" in ended.outcome


def test_a_step_without_a_task_is_bound_as_before() -> None:
    """An approval that the version before bound to a plan still counts."""
    before = {"name", "script", "env", "secrets", "uploads", "timeout", "switches", "bind"}
    assert _content(Step(name="switch", script="switch")).keys() == before


@pytest.mark.parametrize(
    ("production", "problem"),
    [
        ({"before_switch": ["migrat"]}, 'shop has no task "migrat", did you mean "migrate"?'),
        ({"after_switch": ["warm", "warm"]}, '"warm" is listed more than once'),
        ({"before_switch": [{"task": "warm", "on": "last"}]}, "on"),
        ({"before_switch": [{"on": "each"}]}, "task"),
        ({"before_switch": "rm -rf /"}, "should be a name"),
    ],
)
def test_mistakes_in_bot_toml(production: Mapping[str, object], problem: str) -> None:
    with pytest.raises(DeploybotError) as caught:
        _settings(Path("/nonexistent"), production)
    assert problem in str(caught.value)


def test_an_environment_may_have_none() -> None:
    shop = {
        "tasks": {"migrate": "./migrate"},
        "before_switch": "migrate",
        "environments": {"production": {}, "staging": {"before_switch": [], "directory": "/srv/staging"}},
    }
    app = bot_settings(apps={"shop": shop}).apps["shop"]
    assert [len(app.at(one).before_switch or ()) for one in ("production", "staging")] == [1, 0]
