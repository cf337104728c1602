"""The bot is killed before and after each of its writes, from the first event to the last deployment, and starts anew.

What hears of an event before it is kept hears of it again, as the inbox does it. Everything that the rules want is
deployed, and nothing twice.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest

from deploybot.domain import Author, Build, Event, Push, State, TriggerState
from deploybot.domain import BuildState as Is
from tests.approvals.test_killed import Mortal, die
from tests.autodeploy.conftest import GITHUB, AutodeployBot, open_autodeploy_bot

STAGING = {"auto": {"branch": "develop", "after": "ci"}}
PRODUCTION = {"auto": {"branch": "main"}, "approvals": 1}


def story(bot: AutodeployBot) -> Iterable[tuple[str, str]]:
    """Pushes by branch; main is pushed over while it waits for its approval."""
    root = bot.refs.branches["main"]
    yield "develop", bot.commit("develop", on=root)
    yield "main", bot.commit("main", on=root)
    yield "main", bot.commit("main")


def events(branch: str, commit: str) -> list[Event]:
    author = Author("Cem", GITHUB["cem"])
    push = Push(sender="github", branch=branch, after=commit, by=author)
    return [push, Build(sender="github", key="1", name="test", state=Is.PASSED, commit=commit)]


async def live(bot: AutodeployBot, told: list[Event], late: list[tuple[str, str]]) -> None:
    """What is left of the story: each event until it is kept, then what comes of it, then the approval."""
    while told or late:
        if not told:
            told += events(*late.pop(0))
            bot.refs.branches[branch_of(told)] = told[0].after  # type: ignore[attr-defined]
        while told:
            await bot.hear(told[0])
            told.pop(0)
            await bot.look()
    await bot.settle()
    for one in await bot.deployments_of("production"):
        if one.awaits_approval:
            await bot.approve(one.number)
    await bot.settle()


async def start_and_live(bot: AutodeployBot, told: list[Event], late: list[tuple[str, str]]) -> None:
    await bot.restart()
    await live(bot, told, late)


def branch_of(told: list[Event]) -> str:
    assert isinstance(told[0], Push)
    return told[0].branch


@pytest.mark.parametrize("after", [False, True])
async def test_killed_at_every_write(tmp_path: Path, *, after: bool, figure: Callable[[str], None]) -> None:
    wrong: list[str] = []
    for at in itertools.count(1):
        folder = tmp_path / str(at)
        folder.mkdir()
        async with open_autodeploy_bot(folder, STAGING, PRODUCTION) as bot:
            real = bot.store
            base = dict(bot.refs.branches)
            late, told = list(story(bot)), list[Event]()
            bot.refs.branches = base
            mortal = Mortal(real, at, after=after)
            bot.store = mortal  # type: ignore[assignment]
            killed = await die(bot, mortal, asyncio.ensure_future(start_and_live(bot, told, late)))
            bot.store = real
            await bot.restart()
            await bot.look()
            await live(bot, told, late)
            wrong += await judge(bot, at)
        if not killed:
            break
    figure(f"{'after' if after else 'before'} each of {at - 1} writes: 0 lost, 0 doubled" if not wrong else f"{wrong}")
    assert wrong == []
    assert at > 20


async def judge(bot: AutodeployBot, at: int) -> list[str]:
    """What is not as it has to be."""
    wrong = []
    for environment, branch in (("staging", "develop"), ("production", "main")):
        commits = await bot.deployed(environment)
        rows = await bot.deployments_of(environment)
        if await bot.runs(environment) != bot.refs.branches[branch]:
            wrong.append(f"{at}: {environment} lost {branch}")
        if len(commits) != len({*commits}):
            wrong.append(f"{at}: {environment} doubled {commits}")
        if not all(row.state in {State.SUCCEEDED, State.CANCELLED} for row in rows):
            wrong.append(f"{at}: {environment} has {[row.state for row in rows]}")
    jobs: list[Any] = [one.job for name in ("web1", "web2", "web3") for one in bot.hosts[name].started]
    if len(jobs) != len({*jobs}):
        wrong.append(f"{at}: jobs doubled")
    if any(trigger.state is TriggerState.OPEN for trigger in await bot.triggers()):
        wrong.append(f"{at}: a trigger is open")
    return wrong
