"""From the turn to the first step: rights, the plan and the servers are looked at once more."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace

import pytest

from deploybot.deployments.start_checks import Beginning
from deploybot.domain import (
    Deployment,
    Holding,
    Identity,
    Lock,
    Origin,
    Phase,
    RefRule,
    ServerFacts,
    State,
    StepRow,
    StepState,
)
from deploybot.errors import Cancelled, Denied, Locked, Unreachable, UserError
from deploybot.ports import Tables
from deploybot.settings import App
from deploybot.testing import FakeClock
from tests.deployments.conftest import PausingStop
from tests.kit.bot import V1, V2, BotUnderTest


class Turn:
    """A deployment of v2 whose turn has come; time passes in pauses only."""

    def __init__(self, bot: BotUnderTest, deployment: Deployment) -> None:
        self.bot, self.deployment = bot, deployment
        self.stop = PausingStop(bot.clock)

    @property
    def beginning(self) -> Beginning:
        return self.bot.deployments.queue._beginning

    async def begin(self) -> Deployment | None:
        return await self.beginning.begin(self.deployment, self.stop)

    async def change(self, work: Callable[[Tables], object]) -> None:
        """Change rows, and look at the deployment again."""
        await self.bot.store.write(work)
        found = await self.bot.deployments.get(self.deployment.number)
        assert found is not None
        self.deployment = found


@pytest.fixture
async def turn(bot: BotUnderTest) -> Turn:
    bot.clock = FakeClock()
    bot.start()
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V2)
    made = await bot.store.write(
        lambda tables: tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
    )
    return Turn(bot, made)


def running(turn: Turn) -> Callable[[Tables], object]:
    return lambda tables: tables.deployments.move(turn.deployment.number, State.RUNNING, now=2.0)


def step(turn: Turn) -> StepRow:
    return StepRow(
        deployment=turn.deployment.number,
        phase=Phase.FORWARD,
        server="web1",
        position=0,
        name="fetch",
        job="job",
        state=StepState.PENDING,
    )


async def test_it_is_planned_again_moved_on_and_reported(turn: Turn) -> None:
    await turn.bot.deploy(V1)
    begun = await turn.begin()
    assert begun is not None
    assert (begun.state, begun.started) == (State.RUNNING, turn.bot.clock.now())
    assert begun.plan.servers[0].replaces == V1
    assert begun == await turn.bot.deployments.get(begun.number)
    assert (await turn.bot.posted(begun.number)).title.startswith("#1 shop/production: v1 → v2")
    assert turn.stop.pauses == []


async def test_a_server_that_does_not_answer_is_asked_every_two_seconds_for_a_minute(turn: Turn) -> None:
    turn.bot.hosts["web1"].down = "no answer"
    with pytest.raises(Unreachable, match="web1"):
        await turn.begin()
    assert turn.stop.pauses == [2.0] * 31


async def test_a_server_that_answers_late_is_early_enough(turn: Turn) -> None:
    class Healing(PausingStop):
        async def pause(self, seconds: float) -> None:
            await PausingStop.pause(self, seconds)
            turn.bot.hosts["web1"].down = ""

    turn.stop = Healing(turn.bot.clock)
    turn.bot.hosts["web1"].down = "no answer"
    begun = await turn.begin()
    assert begun is not None
    assert (begun.state, turn.stop.pauses) == (State.RUNNING, [2.0])


async def test_a_wish_to_stop_is_raised_before_anything_is_planned(turn: Turn) -> None:
    turn.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled, match="ana"):
        await turn.begin()
    assert (await turn.bot.deployments.get(1)) == turn.deployment


async def test_a_wish_to_stop_while_a_server_is_asked_is_raised_at_once(turn: Turn) -> None:
    async def cancelled(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:  # noqa: ARG001  the port's
        turn.stop.set(Cancelled("ana"))
        await asyncio.Event().wait()
        raise AssertionError

    turn.bot.hosts["web1"].facts = cancelled  # type: ignore[method-assign]
    with pytest.raises(Cancelled, match="ana"):
        await turn.begin()
    assert await turn.bot.deployments.get(1) == turn.deployment


async def test_a_right_that_is_gone_is_a_refusal(turn: Turn) -> None:
    await turn.bot.lose_right()
    with pytest.raises(Denied, match="needs the role deployer"):
        await turn.begin()


async def test_a_right_that_is_gone_counts_before_any_server_is_asked(turn: Turn) -> None:
    await turn.bot.lose_right()
    turn.bot.hosts["web1"].down = "no answer"
    with pytest.raises(Denied):
        await turn.begin()
    assert turn.stop.pauses == []


async def test_a_right_that_goes_while_it_is_planned_counts(turn: Turn) -> None:
    host = turn.bot.hosts["web1"]
    facts = host.facts

    async def lose_right(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        await turn.bot.lose_right()
        return await facts(directory, timeout=timeout, docker=docker)

    host.facts = lose_right  # type: ignore[method-assign]
    with pytest.raises(Denied, match="needs the role deployer"):
        await turn.begin()
    found = await turn.bot.deployments.get(1)
    assert found is not None
    assert found.state is State.WAITING


async def test_a_lock_that_is_taken_while_it_is_planned_counts(turn: Turn) -> None:
    host = turn.bot.hosts["web1"]
    facts, now = host.facts, turn.bot.clock.now()

    def lock(tables: Tables) -> None:
        ben = tables.people.add("benno", Identity("console", "77"))
        tables.locks.take(Lock("shop", "production", ben.id, ben.name, "measuring", now, 0.0))

    async def locked(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        host.facts = facts  # type: ignore[method-assign]
        await turn.bot.store.write(lock)
        return await facts(directory, timeout=timeout, docker=docker)

    host.facts = locked  # type: ignore[method-assign]
    with pytest.raises(Locked, match=r"^shop/production is locked by benno since .*“measuring”"):
        await turn.begin()
    assert await turn.bot.deployments.get(1) == turn.deployment


@pytest.mark.parametrize("gone", ["app", "environment"])
async def test_a_place_that_is_gone_is_named(turn: Turn, gone: str) -> None:
    apps = turn.bot.settings.apps
    if gone == "app":
        del apps["shop"]
    else:
        del apps["shop"].environments["production"]
    with pytest.raises(UserError) as caught:
        await turn.begin()
    assert caught.value.sentence == "bot.toml no longer has shop production"


async def test_what_ended_while_it_was_looked_at_does_not_begin(turn: Turn) -> None:
    waiting = turn.deployment
    await turn.change(lambda tables: tables.deployments.move(1, State.CANCELLED, now=2.0, outcome="no"))
    turn.deployment = waiting
    assert await turn.begin() is None
    found = await turn.bot.deployments.get(1)
    assert found is not None
    assert (found.state, found.outcome) == (State.CANCELLED, "no")


async def test_one_that_has_begun_goes_on_as_it_is(turn: Turn) -> None:
    await turn.change(running(turn))
    assert await turn.begin() == turn.deployment


async def test_before_the_first_step_rights_are_looked_at_once_more(turn: Turn) -> None:
    await turn.change(running(turn))
    await turn.bot.lose_right()
    with pytest.raises(Denied):
        await turn.begin()


async def test_after_the_first_step_it_goes_on_whatever_has_changed(turn: Turn) -> None:
    await turn.change(running(turn))
    await turn.change(lambda tables: tables.deployments.begin(step(turn)))
    await turn.bot.lose_right()
    assert await turn.begin() == turn.deployment


async def test_what_is_to_stop_or_is_being_put_back_is_not_asked_for_rights(turn: Turn) -> None:
    await turn.change(running(turn))
    await turn.bot.lose_right()
    turn.stop.set(Cancelled("ana"))
    assert await turn.begin() == turn.deployment
    turn.stop = PausingStop(turn.bot.clock)
    await turn.change(lambda tables: tables.deployments.move(1, State.RESTORING, now=3.0, outcome="broken"))
    assert await turn.begin() == turn.deployment


async def test_a_bot_that_is_about_to_stop_begins_nothing(turn: Turn) -> None:
    turn.beginning.rests = True
    assert await turn.begin() is None
    assert await turn.bot.deployments.get(1) == turn.deployment
    turn.beginning.rests = False
    begun = await turn.begin()
    assert begun is not None
    assert begun.state is State.RUNNING


async def test_a_commit_that_leaves_its_branch_while_it_is_planned_does_not_begin(turn: Turn) -> None:
    """It was on main when it was asked for and when its turn came, and when the plan was made it was on nothing."""
    turn.bot.production.__dict__["refs"] = (RefRule(branch="main"),)
    turn.deployment = replace(turn.deployment, plan=replace(turn.deployment.plan, origin=Origin(ref="branch main")))
    answers = iter((Holding(branches=("main",)), Holding(branches=("evil",))))

    async def holding(app: App, commit: str) -> Holding:  # noqa: ARG001  the port's
        return next(answers)

    turn.bot.refs.holding = holding  # type: ignore[method-assign]
    with pytest.raises(Denied, match=r"^Only commits on branch main may be deployed .* this one is on branch evil\.$"):
        await turn.begin()
    found = await turn.bot.deployments.get(1)
    assert found is not None
    assert found.state is State.WAITING


async def test_a_commit_that_left_its_branch_is_refused_before_any_server_is_asked(turn: Turn) -> None:
    turn.bot.production.__dict__["refs"] = (RefRule(branch="main"),)
    turn.deployment = replace(turn.deployment, plan=replace(turn.deployment.plan, origin=Origin(ref="branch main")))
    turn.bot.hosts["web1"].down = "no answer"

    async def holding(app: App, commit: str) -> Holding:
        assert (app.name, commit) == ("shop", V2.id)
        return Holding(branches=("evil",))

    turn.bot.refs.holding = holding  # type: ignore[method-assign]
    with pytest.raises(Denied, match=r"this one is on branch evil\.$"):
        await turn.begin()
    assert turn.stop.pauses == []


async def test_a_repository_that_does_not_answer_is_asked_every_two_seconds_for_a_minute(turn: Turn) -> None:
    turn.bot.production.__dict__["refs"] = (RefRule(branch="main"),)
    turn.bot.refs.down = "no answer"
    with pytest.raises(Unreachable, match="the repository of shop"):
        await turn.begin()
    assert turn.stop.pauses == [2.0] * 31
