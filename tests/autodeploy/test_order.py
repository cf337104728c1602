"""What was deployed while a trigger waited counts: an older commit never replaces a newer one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from deploybot.domain import Release, State, TriggerState
from deploybot.errors import Unreachable
from deploybot.settings import App
from deploybot.testing import FakeRefs
from tests.autodeploy.conftest import AutodeployBot, open_autodeploy_bot
from tests.autodeploy.test_images import IMAGES, WEB, WORKER, lay, pin, see


class Counting(FakeRefs):
    """A repository that counts comparisons, and may be unreachable for them."""

    compared = 0
    gone = False

    async def is_ancestor(self, app: App, old: str, new: str) -> bool | None:
        self.compared += 1
        if self.gone:
            raise Unreachable("git.example.com", "no answer")
        return await super().is_ancestor(app, old, new)


@pytest.fixture
async def bot(tmp_path: Path) -> AsyncIterator[AutodeployBot]:
    auto = {"auto": {"branch": "develop", "after": "ci"}}
    async with open_autodeploy_bot(tmp_path, auto, refs=Counting(tmp_path)) as made:
        first = await made.push("develop")
        await made.built(first)
        await made.settle()
        yield made


async def hotfix(bot: AutodeployBot, on: str) -> str:
    """Somebody deploys a commit on top of another one by hand."""
    made = bot.commit("hotfix", on=on)
    assert await bot.end(await bot.ask(f"deploy shop@{made} to staging", "eve")) is State.SUCCEEDED
    return made


async def test_what_waited_for_its_builds_does_not_replace_a_hotfix_on_top_of_it(bot: AutodeployBot) -> None:
    waits = await bot.push("develop")
    fix = await hotfix(bot, waits)
    await bot.built(waits)
    await bot.settle()
    assert await bot.runs() == fix
    trigger = (await bot.triggers())[-1]
    assert trigger.state is TriggerState.LEFT
    (card,) = await bot.cards()
    assert card.text == f"It is older than {Release.of_commit(fix)}, which runs there."
    assert [button.command for button in card.buttons] == [f"deploy shop@{waits} to staging"]


async def test_what_waited_for_a_lock_does_not_replace_a_hotfix_on_top_of_it(bot: AutodeployBot) -> None:
    await bot.say("lock shop staging because I look at it", "eve")
    waits = await bot.push("develop")
    await bot.built(waits)
    fix = await hotfix(bot, waits)
    await bot.say("unlock shop staging", "eve")
    await bot.look()
    await bot.settle()
    assert await bot.runs() == fix


async def test_a_hotfix_that_is_being_deployed_counts_too(bot: AutodeployBot) -> None:
    waits = await bot.push("develop")
    fix = bot.commit("hotfix", on=waits)
    number = await bot.ask(f"deploy shop@{fix} to staging", "eve")
    assert (await bot.deployment(number)).state is State.RUNNING
    await bot.built(waits)
    (card,) = await bot.cards()
    assert card.text == f"It is older than {Release.of_commit(fix)}, which is being deployed there."
    await bot.settle()
    assert await bot.runs() == fix


async def test_what_somebody_deployed_beside_it_is_replaced(bot: AutodeployBot) -> None:
    waits = await bot.push("develop")
    await hotfix(bot, bot.refs.branches["main"])
    await bot.built(waits)
    await bot.settle()
    assert await bot.runs() == waits


async def test_a_queued_one_does_not_replace_what_ran_before_its_turn(bot: AutodeployBot) -> None:
    """It was queued while the hotfix waited for its turn, too."""
    waits = bot.commit("develop")
    fix = bot.commit("hotfix", on=waits)
    async with bot.deployments.queue._turns["shop", "staging"]:
        first = await bot.ask(f"deploy shop@{fix} to staging", "eve")
        await bot.look()
        await bot.built(waits)
        second = (await bot.deployments_of())[-1].number
    assert second != first
    assert await bot.end(first) is State.SUCCEEDED
    ended = await bot.end_of(second)
    assert ended.state is State.FAILED
    assert ended.outcome == (
        f"{Release.of_commit(waits)} is older than {Release.of_commit(fix)}, which runs there. Nothing was done."
    )
    assert await bot.runs() == fix


async def test_what_waits_for_nothing_is_compared_once(bot: AutodeployBot) -> None:
    assert isinstance(bot.refs, Counting)
    bot.refs.compared = 0
    made = bot.commit("develop")
    await bot.built(made)
    assert (await bot.deployed())[-1] == made
    assert bot.refs.compared == 1  # with what was considered last, which also runs
    await bot.settle()


async def test_a_repository_that_does_not_answer_delays_one_trigger(bot: AutodeployBot) -> None:
    assert isinstance(bot.refs, Counting)
    waits = await bot.push("develop")
    await hotfix(bot, bot.refs.branches["main"])
    bot.refs.gone = True
    await bot.built(waits)
    (card,) = await bot.cards()
    assert "no answer" in card.text
    bot.refs.gone = False
    assert 0 < await bot.look() <= 30
    bot.clock.advance(60)
    await bot.look()
    await bot.settle()
    assert await bot.runs() == waits


async def test_several_new_images_do_not_bring_an_older_commit_back(tmp_path: Path) -> None:
    """They are deployed with the commit that ran when they were found."""
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await see(bot, WEB, WORKER)
        await bot.say("lock shop staging because I look at it", "dia")
        await see(bot, pin("web", "3"), pin("worker", "4"))
        newer = bot.commit("main")
        await lay(bot, release=Release.of_commit(newer, images=(WEB, WORKER)))
        await bot.say("unlock shop staging", "dia")
        await bot.look()
        (trigger,) = await bot.triggers()
        assert (trigger.state, trigger.problem[:16]) == (TriggerState.LEFT, "It is older than")
