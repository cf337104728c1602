"""What waits ends when its source moves on to something that needs no deployment: nothing reverted is deployed."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploybot.domain import AutoRule, Plan, State, Trigger, TriggerState
from deploybot.domain.trigger import BOT_NAME
from deploybot.ports import Tables
from deploybot.settings import App
from deploybot.testing import FakeRefs, Outcome
from tests.autodeploy.conftest import AutodeployBot, open_autodeploy_bot
from tests.autodeploy.test_images import IMAGES, WEB, WORKER, lay, pin, see
from tests.kit.bot import fetched

PATHS = ["shop/*"]
APPROVED = {"auto": {"branch": "main", "paths": PATHS}, "approvals": 1}


class Reverting(FakeRefs):
    """A repository in which commits may have the same content as older ones."""

    same: dict[str, str]

    async def touched(self, app: App, old: str, new: str, patterns: Sequence[str]) -> tuple[str, ...] | None:
        if self.same.get(new) == old:
            return ()
        return await super().touched(app, old, new, patterns)


def reverting(folder: Path) -> Reverting:
    refs = Reverting(folder)
    refs.same = {}
    return refs


async def revert(bot: AutodeployBot, branch: str, to: str) -> str:
    """Push a commit with the content of an older one."""
    assert isinstance(bot.refs, Reverting)
    made = bot.commit(branch, "Revert", paths=("shop/x.py",))
    bot.refs.same[made] = to
    await bot.look()
    return made


async def states(bot: AutodeployBot) -> list[TriggerState]:
    return [one.state for one in await bot.triggers()]


async def wait_for(bot: AutodeployBot, trigger: Trigger, plan: Plan) -> int:
    """A deployment that a trigger has caused, and that waits for approvals; its number."""

    def put(tables: Tables) -> int:
        person = tables.people.named(BOT_NAME)
        assert person is not None
        number = tables.triggers.add(trigger).number
        made = tables.deployments.add(
            plan, requester=person, reason="", channel=None, now=3.0, needs_approval=True, trigger=number
        )
        tables.triggers.mark_deployed(number, made.number)
        return made.number

    return await bot.store.write(put)


async def test_a_revert_ends_what_waits_for_its_builds(tmp_path: Path) -> None:
    auto = {"auto": {"branch": "develop", "after": "ci", "paths": PATHS}}
    async with open_autodeploy_bot(tmp_path, auto, refs=reverting(tmp_path)) as bot:
        good = await bot.push("develop", paths=("shop/x.py",))
        await bot.built(good)
        await bot.settle()
        bad = await bot.push("develop", paths=("shop/x.py",))
        await revert(bot, "develop", good)
        await bot.built(bad)
        await bot.settle()
        assert await bot.deployed() == [good]
        assert await states(bot) == [TriggerState.DEPLOYED, TriggerState.OVERTAKEN]
        assert (await bot.triggers())[1].problem == "Newer: push to develop, which needs no deployment of its own"


async def test_a_revert_ends_the_request_that_waits_for_approvals(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, APPROVED, refs=reverting(tmp_path)) as bot:
        good = await bot.push("main", paths=("shop/x.py",), by="eve")
        (one,) = await bot.deployments_of("production")
        await bot.approve(one.number)
        await bot.end(one.number)
        await bot.push("main", paths=("shop/x.py",), by="eve")
        await revert(bot, "main", good)
        two = (await bot.deployments_of("production"))[1]
        assert two.state is State.CANCELLED
        assert two.outcome == "Newer: push to main, which needs no deployment of its own. Nothing was deployed."
        assert not (await bot.approve(two.number)).ok
        await bot.deployments.queue.idle(two.number)
        assert [button.label for button in (await bot.card(two.number)).buttons] == ["Try again"]
        assert "deploy cancelled" in [row.action for row in await bot.audit()]
        assert await bot.runs("production") == good


async def test_a_revert_ends_what_waits_for_its_turn_and_no_request_of_a_person(tmp_path: Path) -> None:
    auto = {"auto": {"branch": "develop", "paths": PATHS}}
    async with open_autodeploy_bot(tmp_path, auto, refs=reverting(tmp_path)) as bot:
        good = await bot.push("develop", paths=("shop/x.py",))
        await bot.settle()
        async with bot.deployments.queue._turns["shop", "staging"]:
            mine = await bot.ask(f"deploy shop@{bot.refs.branches['main']} to staging", "eve")
            await bot.push("develop", paths=("shop/x.py",))
            await revert(bot, "develop", good)
        assert await bot.end(mine) is State.SUCCEEDED
        rows = await bot.deployments_of()
        assert [row.state for row in rows] == [State.SUCCEEDED, State.SUCCEEDED, State.CANCELLED]


async def test_a_revert_while_the_bad_commit_is_being_deployed_is_deployed_after_it(tmp_path: Path) -> None:
    auto = {"auto": {"branch": "develop", "paths": PATHS}}
    async with open_autodeploy_bot(tmp_path, auto, refs=reverting(tmp_path)) as bot:
        good = await bot.push("develop", paths=("shop/x.py",))
        await bot.settle()
        bot.hosts["web1"].script("fetch", Outcome(hold=True, effect=fetched), Outcome(effect=fetched))
        bad = await bot.push("develop", paths=("shop/x.py",))
        begun = (await bot.deployments_of())[-1].number
        job = await bot.started(begun, "fetch")
        back = await revert(bot, "develop", good)
        assert (await bot.deployment(begun)).state is State.RUNNING
        bot.hosts["web1"].finish(job)
        await bot.settle()
        assert await bot.deployed() == [good, bad, back]
        assert await bot.runs() == back


async def test_what_runs_is_not_there_while_something_else_is_being_deployed(bot: AutodeployBot) -> None:
    """What runs now is about to be replaced, so the branch that moves to it needs a deployment."""
    other = bot.commit("side", on=bot.refs.branches["main"])
    hotfix = bot.commit("hotfix", on=bot.refs.branches["develop"])
    await bot.end(await bot.ask(f"deploy shop@{hotfix} to staging", "eve"))
    bot.hosts["web1"].script("fetch", Outcome(hold=True, effect=fetched), Outcome(effect=fetched))
    begun = await bot.ask(f"deploy shop@{other} to staging", "eve")
    job = await bot.started(begun, "fetch")
    bot.refs.branches["develop"] = hotfix
    await bot.look()
    assert (await bot.deployment(begun)).state is State.RUNNING
    bot.hosts["web1"].finish(job)
    await bot.settle()
    assert await bot.deployed() == [hotfix, other, hotfix]
    assert await bot.runs() == hotfix


async def test_a_commit_deployed_by_hand_before_its_branch_has_it_ends_the_older_one(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "after": "ci"}}) as bot:
        old = await bot.push("develop")
        hotfix = bot.commit("hotfix", on=old)
        await bot.end(await bot.ask(f"deploy shop@{hotfix} to staging", "ana"))
        bot.refs.branches["develop"] = hotfix
        await bot.look()
        await bot.built(old)
        await bot.settle()
        assert await bot.runs() == hotfix
        assert await states(bot) == [TriggerState.OVERTAKEN]


@pytest.mark.parametrize("auto", [{"branch": "main"}, {"branch": "main", "tag": "v*"}])
async def test_a_branch_moved_back_ends_the_request_that_waits(tmp_path: Path, auto: dict[str, object]) -> None:
    async with open_autodeploy_bot(tmp_path, None, {"auto": auto, "approvals": 1}) as bot:
        old = bot.refs.branches["main"]
        await bot.push("main", by="eve")
        bot.refs.branches["main"] = old
        await bot.look()
        (one,) = await bot.deployments_of("production")
        assert (one.state, one.outcome) == (
            State.CANCELLED,
            "Newer: push to main, which is not deployed automatically. Nothing was deployed.",
        )


async def test_a_tag_on_the_commit_that_waits_ends_nothing(tmp_path: Path) -> None:
    auto = {"auto": {"branch": "main", "tag": "v*"}, "approvals": 1}
    async with open_autodeploy_bot(tmp_path, None, auto) as bot:
        made = await bot.push("main", by="eve")
        bot.refs.tags["v1.0"] = made
        await bot.look()
        (one,) = await bot.deployments_of("production")
        assert one.awaits_approval


async def test_a_skipped_commit_leaves_the_request_before_it(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, None, {"auto": {"branch": "main"}, "approvals": 1}) as bot:
        await bot.push("main", by="eve")
        await bot.push("main", "Docs [skip deploy]", by="eve")
        (one,) = await bot.deployments_of("production")
        assert one.awaits_approval


async def test_a_newer_tag_that_changes_nothing_ends_the_older_one(tmp_path: Path) -> None:
    auto = {"auto": {"tag": "v*", "after": "ci", "paths": PATHS}}
    async with open_autodeploy_bot(tmp_path, auto, refs=reverting(tmp_path)) as bot:

        async def tag(name: str, commit: str) -> str:
            bot.refs.tags[name] = commit
            await bot.look()
            return commit

        good = await tag("v1.0", bot.commit("main", paths=("shop/x.py",)))
        await bot.built(good)
        await bot.settle()
        bad = await tag("v1.1", bot.commit("main", paths=("shop/x.py",)))
        back = await revert(bot, "main", good)
        await tag("v1.2", back)
        await bot.built(bad)
        await bot.settle()
        assert await bot.deployed() == [good]
        assert await states(bot) == [TriggerState.DEPLOYED, TriggerState.OVERTAKEN]


async def test_another_branch_that_changes_nothing_ends_nothing(tmp_path: Path) -> None:
    auto = {"auto": {"branch": "release/*", "paths": PATHS}, "approvals": 1}
    async with open_autodeploy_bot(tmp_path, None, auto, refs=reverting(tmp_path)) as bot:
        good = await bot.push("release/1", paths=("shop/x.py",))
        (one,) = await bot.deployments_of("production")
        await bot.approve(one.number)
        await bot.end(one.number)
        await bot.push("release/1", paths=("shop/x.py",))
        await revert(bot, "release/2", good)
        assert (await bot.deployments_of("production"))[1].awaits_approval


@pytest.mark.parametrize(("gone", "said"), [("heads/main", "The branch main"), ("tags/v1.0", "The tag v1.0")])
async def test_a_request_that_waits_for_a_deleted_branch_or_tag_ends(tmp_path: Path, gone: str, said: str) -> None:
    kind, _, name = gone.partition("/")
    auto = {"auto": {"branch" if kind == "heads" else "tag": name}, "approvals": 1}
    async with open_autodeploy_bot(tmp_path, None, auto) as bot:
        made = bot.commit("main")
        if kind == "tags":
            bot.refs.tags[name] = made
        await bot.look()
        (one,) = await bot.deployments_of("production")
        del (bot.refs.branches if kind == "heads" else bot.refs.tags)[name]
        await bot.look()
        (one,) = await bot.deployments_of("production")
        assert (one.state, one.outcome) == (State.CANCELLED, f"{said} was deleted. Nothing was deployed.")


async def test_an_image_moved_back_to_what_runs_ends_what_waits(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await see(bot, WEB, WORKER)
        await bot.say("lock shop staging because I look at it", "dia")
        await see(bot, pin("web", "3"), WORKER)
        await see(bot, WEB, WORKER)
        await bot.say("unlock shop staging", "dia")
        await bot.look()
        assert await states(bot) == [TriggerState.OVERTAKEN]
        (card,) = await bot.cards()
        assert card.buttons == ()


async def test_an_image_moved_back_ends_the_request_that_waits(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await see(bot, WEB, WORKER)
        newer = pin("web", "3")
        trigger = Trigger(
            app="shop",
            environment="staging",
            rule=AutoRule.IMAGE,
            source="images",
            commit="",
            release=f"web={newer.digest} worker={WORKER.digest}",
            ref=newer.digest,
            why="image shop:latest",
            made=1.0,
        )
        (laid,) = await bot.deployments_of()
        release = dataclasses.replace(laid.plan.release).with_images((newer, WORKER))
        number = await wait_for(bot, trigger, dataclasses.replace(laid.plan, release=release))
        await see(bot, newer, WORKER)
        assert (await bot.deployment(number)).state is State.WAITING
        await see(bot, WEB, WORKER)
        ended = await bot.deployment(number)
        assert (ended.state, ended.outcome[:19]) == (State.CANCELLED, "Newer: image shop:l")


async def test_an_image_moved_back_while_the_newer_one_is_being_deployed_is_reported(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"image": True}}, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await see(bot, WEB, WORKER)
        newer = pin("web", "3")
        (laid,) = await bot.deployments_of()
        plan = dataclasses.replace(laid.plan, release=laid.plan.release.with_images((newer, WORKER)))

        def begin(tables: Tables) -> None:
            person = tables.people.named("eve")
            assert person is not None
            made = tables.deployments.add(plan, requester=person, reason="", channel=None, now=3.0)
            tables.deployments.move(made.number, State.RUNNING, now=3.0)

        await bot.store.write(begin)
        await see(bot, newer, WORKER)
        assert await bot.triggers() == []
        await see(bot, WEB, WORKER)
        (card,) = await bot.cards()
        assert card.text == "web latest was moved back to an image that ran before."
