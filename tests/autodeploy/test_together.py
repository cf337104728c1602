"""Changes that come together: new images while a commit waits, and several changes in one check. Nothing is lost."""

from __future__ import annotations

import dataclasses
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from deploybot.autodeploy.pending_deployments import NO_BUILD_KNOWN
from deploybot.domain import AutoRule, BuildState, Kind, Phase, Pin, State, StepRow, StepState, TriggerState
from deploybot.ports import Tables
from tests.autodeploy.conftest import AutodeployBot, open_autodeploy_bot
from tests.autodeploy.test_images import IMAGES, WEB, WORKER, lay, pin, see

NEW = pin("web", "3")
BOTH = {"branch": "develop", "image": True}
LOCK = "lock shop staging because I look at it"


@asynccontextmanager
async def running_both(tmp_path: Path, **more: object) -> AsyncIterator[AutodeployBot]:
    """Open a bot that deploys commits and images automatically, and has deployed and seen both."""
    async with open_autodeploy_bot(tmp_path, {"auto": BOTH | more}, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await see(bot, WEB, WORKER)
        yield bot


async def states(bot: AutodeployBot) -> list[tuple[str, TriggerState]]:
    return [(one.source, one.state) for one in await bot.triggers()]


@pytest.mark.parametrize("more", [{"after": "ci"}, {"ask": True}])
async def test_a_new_image_never_replaces_a_commit_that_waits(tmp_path: Path, more: dict[str, object]) -> None:
    async with running_both(tmp_path, **more) as bot:
        made = await bot.push("develop")
        await see(bot, NEW, WORKER)
        await bot.look()
        (trigger,) = await bot.triggers()
        assert (trigger.commit, trigger.state.ended) == (made, False)
        bot.refs.branches["main"] = made
        await lay(bot, WEB, WORKER)  # somebody has deployed the commit meanwhile, before the image was pushed
        await bot.look()
        await bot.look()
        assert [one.source for one in await bot.triggers()] == ["heads/develop", "images"]
        assert (await bot.triggers())[1].ref == NEW.digest


async def test_the_commit_that_waits_brings_the_image_and_nothing_more_is_deployed(tmp_path: Path) -> None:
    async with running_both(tmp_path, after="ci") as bot:
        made = await bot.push("develop")
        await see(bot, NEW, WORKER)
        await bot.say(LOCK, "dia")
        await bot.built(made)
        bot.refs.branches["main"] = made
        await lay(bot, NEW, WORKER)
        await bot.look()
        await bot.look()
        assert await states(bot) == [("heads/develop", TriggerState.DONE)]


async def test_an_image_waits_while_a_commit_is_red_and_is_deployed_if_its_branch_is_deleted(tmp_path: Path) -> None:
    async with running_both(tmp_path, after="ci") as bot:
        made = await bot.push("develop")
        await see(bot, NEW, WORKER)
        await bot.built(made, BuildState.FAILED)
        await bot.say(LOCK, "dia")
        await bot.look()
        assert [one.source for one in await bot.triggers()] == ["heads/develop"]
        del bot.refs.branches["develop"]
        await bot.look()
        assert await states(bot) == [("heads/develop", TriggerState.LEFT), ("images", TriggerState.OPEN)]


async def test_an_image_that_a_commit_replaced_is_new_again_if_the_commit_is_not_deployed(tmp_path: Path) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        await see(bot, NEW, WORKER)
        await bot.push("develop")
        assert await states(bot) == [("images", TriggerState.OVERTAKEN), ("heads/develop", TriggerState.OPEN)]
        del bot.refs.branches["develop"]
        await bot.look()
        (*_, last) = await bot.triggers()
        assert (last.source, last.state, last.why) == ("images", TriggerState.OPEN, "image shop:latest")


async def test_an_image_found_with_a_commit_is_new_again_if_the_commit_is_not_deployed(tmp_path: Path) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        bot.commit("develop")
        await see(bot, NEW, WORKER)
        assert await states(bot) == [("heads/develop", TriggerState.OPEN)]
        del bot.refs.branches["develop"]
        await bot.look()
        assert await states(bot) == [("heads/develop", TriggerState.LEFT), ("images", TriggerState.OPEN)]


async def request(bot: AutodeployBot, made: str, *pins: Pin, state: State = State.WAITING) -> int:
    """Let the automatic deployment of a commit, whose trigger is the last one, have these images."""
    (*_, trigger) = await bot.triggers()
    (laid, *_) = await bot.deployments_of()
    release = laid.plan.release.of_commit(made, images=pins)

    def put(tables: Tables) -> int:
        person = tables.people.named("deploybot")
        assert person is not None
        plan = dataclasses.replace(laid.plan, release=release)
        row = tables.deployments.add(
            plan, requester=person, reason="", channel=None, now=3.0, needs_approval=True, trigger=trigger.number
        )
        tables.triggers.mark_deployed(trigger.number, row.number)
        if state is not State.WAITING:
            tables.deployments.move(row.number, state, now=4.0)
        return row.number

    return await bot.store.write(put)


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
async def test_a_new_image_does_not_replace_the_deployment_of_a_commit(tmp_path: Path, state: State) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        made = await bot.push("develop")
        number = await request(bot, made, WEB, WORKER, state=state)
        await see(bot, NEW, WORKER)
        await bot.say("unlock shop staging", "dia")
        await bot.look()
        assert (await bot.deployment(number)).state is state
        assert await states(bot) == [("heads/develop", TriggerState.DEPLOYED)]
        await bot.say(LOCK, "dia")
        await bot.store.write(lambda tables: tables.deployments.move(number, State.CANCELLED, now=5.0))
        await bot.look()
        assert (await states(bot))[1:] == [("images", TriggerState.OPEN)]


@pytest.mark.parametrize("state", [State.WAITING, State.RUNNING])
async def test_an_image_found_before_it_waits_for_the_deployment_of_a_commit(tmp_path: Path, state: State) -> None:
    """A version before, or a lock in between, may leave both."""
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        made = await bot.push("develop")
        image = dataclasses.replace((await bot.triggers())[0], rule=AutoRule.IMAGE, source="images", ref=NEW.digest)
        image = dataclasses.replace(image, release=f"web={NEW.digest} worker={WORKER.digest}", commit="")
        number = await request(bot, made, WEB, WORKER, state=state)
        await bot.store.write(lambda tables: tables.triggers.add(image))
        await bot.say("unlock shop staging", "dia")
        await bot.look()
        (*_, trigger) = await bot.triggers()
        assert trigger.problem == f"#{number} comes first: images are deployed with the commit that runs"
        assert (await bot.deployment(number)).state is state


async def test_a_new_image_waits_for_what_a_person_is_deploying(tmp_path: Path) -> None:
    """Planned now, it would bring back the commit that is being replaced."""
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        (laid,) = await bot.deployments_of()

        def begin(tables: Tables) -> int:
            person = tables.people.named("eve")
            assert person is not None
            row = tables.deployments.add(laid.plan, requester=person, reason="", channel=None, now=3.0)
            return tables.deployments.move(row.number, State.RUNNING, now=3.0).number

        number = await bot.store.write(begin)
        await see(bot, NEW, WORKER)
        assert await states(bot) == []
        await bot.store.write(lambda tables: tables.deployments.move(number, State.SUCCEEDED, now=4.0))
        await bot.look()
        assert await states(bot) == [("images", TriggerState.OPEN)]


async def tried(bot: AutodeployBot, number: int) -> None:
    """A deployment has begun, and a step of it has failed."""
    step = StepRow(
        deployment=number,
        phase=Phase.FORWARD,
        server="web1",
        position=0,
        name="pull",
        job=f"{number}-pull",
        state=StepState.FAILED,
        code=1,
    )

    def put(tables: Tables) -> None:
        tables.deployments.move(number, State.RUNNING, now=4.0)
        tables.deployments.begin(step)

    await bot.store.write(put)


@pytest.mark.parametrize("end", [State.FAILED, State.RESTORED])
async def test_images_of_a_deployment_that_failed_are_not_deployed_without_its_commit(
    tmp_path: Path, end: State
) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        made = await bot.push("develop")
        number = await request(bot, made, NEW, WORKER)
        await see(bot, NEW, WORKER)
        assert await states(bot) == [("heads/develop", TriggerState.DEPLOYED)]
        await tried(bot, number)
        ended = await bot.store.write(lambda tables: tables.deployments.move(number, end, now=5.0))
        await bot.look()
        await bot.look()
        assert await states(bot) == [("heads/develop", TriggerState.DEPLOYED), ("images", TriggerState.LEFT)]
        (card,) = [one for one in await bot.cards() if "image" in one.title]
        assert card.text == f"It was part of #{number}: {ended.word}."
        assert [button.command for button in card.buttons] == [f"deploy shop@{NEW.digest} to staging"]


async def test_a_persons_deployment_in_between_does_not_make_images_that_failed_new(tmp_path: Path) -> None:
    """Such as a rollback, requested while the failed one runs: afterwards it is the last one, and it succeeded."""
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        number = await request(bot, await bot.push("develop"), NEW, WORKER)
        await see(bot, NEW, WORKER)
        between = await ask_as(bot, "eve", bot.refs.branches["main"], WEB, WORKER)
        await bot.store.write(lambda tables: tables.deployments.move(number, State.RESTORED, now=5.0))
        await bot.store.write(lambda tables: tables.deployments.move(between, State.SUCCEEDED, now=6.0))
        await bot.look()
        await bot.look()
        assert (await states(bot))[1:] == [("images", TriggerState.LEFT)]
        assert (await bot.triggers())[-1].problem.startswith(f"It was part of #{number}: failed, rolled back to ")


@pytest.mark.parametrize("end", [State.FAILED, State.RESTORED])
async def test_images_that_failed_in_a_persons_deployment_are_not_deployed(tmp_path: Path, end: State) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        number = await ask_as(bot, "eve", bot.refs.branches["main"], NEW, WORKER)
        await tried(bot, number)
        await see(bot, NEW, WORKER)
        await bot.store.write(lambda tables: tables.deployments.move(number, end, now=5.0))
        await bot.look()
        await bot.look()
        assert await states(bot) == [("images", TriggerState.LEFT)]
        (card,) = [one for one in await bot.cards() if "image" in one.title]
        assert [button.command for button in card.buttons] == [f"deploy shop@{NEW.digest} to staging"]


@pytest.mark.parametrize("kind", [Kind.RESTART, Kind.TASK])
async def test_a_restart_or_task_that_failed_did_not_try_the_images(tmp_path: Path, kind: Kind) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        number = await ask_as(bot, "eve", bot.refs.branches["main"], NEW, WORKER, kind=kind)
        await bot.store.write(lambda tables: tables.deployments.move(number, State.FAILED, now=5.0))
        await see(bot, NEW, WORKER)
        assert await states(bot) == [("images", TriggerState.OPEN)]


@pytest.mark.parametrize("deployer", ["deploybot", "eve"])
async def test_images_of_a_request_that_ended_before_it_began_are_new_again(tmp_path: Path, deployer: str) -> None:
    """Rejected, cancelled and expired requests never begin, so their images were never tried."""
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        made = await bot.push("develop")
        if deployer == "deploybot":
            number = await request(bot, made, NEW, WORKER)
        else:
            await bot.store.write(
                lambda tables: tables.triggers.put(
                    dataclasses.replace(tables.triggers.pending("shop")[0], state=TriggerState.DONE)
                )
            )
            number = await ask_as(bot, deployer, made, NEW, WORKER)
        await see(bot, NEW, WORKER)
        await bot.look()
        assert len(await bot.triggers()) == 1
        await bot.store.write(lambda tables: tables.deployments.move(number, State.CANCELLED, now=5.0))
        await bot.look()
        assert (await states(bot))[1:] == [("images", TriggerState.OPEN)]


async def ask_as(bot: AutodeployBot, name: str, made: str, *pins: Pin, kind: Kind = Kind.DEPLOY) -> int:
    """Let a person request a commit with these images."""
    (laid, *_) = await bot.deployments_of()

    def put(tables: Tables) -> int:
        person = tables.people.named(name)
        assert person is not None
        plan = dataclasses.replace(laid.plan, kind=kind, release=laid.plan.release.of_commit(made, images=pins))
        return tables.deployments.add(plan, requester=person, reason="", channel=None, now=3.0).number

    return await bot.store.write(put)


@pytest.mark.parametrize("replaced", [True, False])
async def test_images_whose_own_request_a_commit_replaces_are_not_lost_if_the_commit_is_rejected(
    tmp_path: Path, *, replaced: bool
) -> None:
    """If a person ended their own request, the card says so: it was not deployed."""
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        await see(bot, NEW, WORKER)
        first = await request(bot, bot.refs.branches["main"], NEW, WORKER)
        made = await bot.push("develop")
        second = await request(bot, made, NEW, WORKER)
        if replaced:
            await bot.store.write(lambda tables: tables.deployments.replaced(first, second))
        for number in (first, second):
            await cancel(bot, number)
        await bot.look()
        if replaced:
            assert (await states(bot))[2:] == [("images", TriggerState.OPEN)]
            third = await request(bot, bot.refs.branches["main"], NEW, WORKER)
            (*_, trigger) = await bot.triggers()
            assert (trigger.state, trigger.deployment) == (TriggerState.DEPLOYED, third)
            return
        assert (await states(bot))[2:] == [("images", TriggerState.LEFT)]
        assert (await bot.triggers())[-1].problem == f"Its automatic deployment #{first} did not start: cancelled"
        (card,) = [one for one in await bot.cards() if one.title.endswith("is not deployed automatically")]
        assert [button.command for button in card.buttons] == [f"deploy shop@{NEW.digest} to staging"]


async def cancel(bot: AutodeployBot, number: int) -> None:
    await bot.store.write(lambda tables: tables.deployments.move(number, State.CANCELLED, now=5.0))


async def hints(bot: AutodeployBot) -> list[str]:
    return [one.hint for one in await bot.cards()]


def waiting(image: Pin) -> str:
    return f"New image shop:latest waits for this commit. To deploy it now: `deploy shop@{image.digest} to staging`"


async def test_the_card_of_a_commit_that_waits_names_the_images_that_wait_for_it(tmp_path: Path) -> None:
    async with running_both(tmp_path, ask=True) as bot:
        bot.commit("develop")
        await see(bot, NEW, WORKER)
        assert await hints(bot) == [waiting(NEW)], "found with the commit"
        newer = pin("web", "5")
        await see(bot, newer, WORKER)
        assert await hints(bot) == [waiting(newer)]
        await bot.push("develop")
        assert [one.hint for one in await bot.cards() if not one.final] == [waiting(newer)], "the next commit's card"
        await see(bot, WEB, WORKER)
        assert set(await hints(bot)) == {""}, "the tag was moved back"


async def test_an_image_that_waits_for_builds_without_an_end_is_named_after_a_while(tmp_path: Path) -> None:
    async with running_both(tmp_path, after="ci") as bot:
        made = await bot.push("develop")
        await bot.built(made, BuildState.RUNNING)
        await see(bot, NEW, WORKER)
        assert 0 < await bot.look() <= NO_BUILD_KNOWN
        assert await bot.cards() == []
        bot.clock.advance(NO_BUILD_KNOWN)
        await bot.look()
        assert await hints(bot) == [waiting(NEW)]


@pytest.mark.parametrize(
    ("more", "message", "sources"),
    [
        ({"paths": ["app/**"]}, "Change things", ["images"]),
        ({}, "Docs [skip deploy]", ["heads/develop", "images"]),
    ],
)
async def test_an_image_found_with_a_commit_that_is_not_deployed_is_deployed(
    tmp_path: Path, more: dict[str, object], message: str, sources: list[str]
) -> None:
    auto = {"auto": BOTH | more}
    async with open_autodeploy_bot(tmp_path, auto, strategy="compose", images=IMAGES) as bot:
        await lay(bot, WEB, WORKER)
        await see(bot, WEB, WORKER)
        await bot.say(LOCK, "dia")
        bot.commit("develop", message, paths=("docs/x.md",), on=bot.refs.branches["main"])
        await see(bot, NEW, WORKER)
        assert [one.source for one in await bot.triggers()] == sources
        assert (await states(bot))[-1] == ("images", TriggerState.OPEN)


async def test_an_image_found_with_a_commit_that_somebody_deployed_is_deployed(tmp_path: Path) -> None:
    async with running_both(tmp_path) as bot:
        await bot.say(LOCK, "dia")
        bot.refs.branches["main"] = bot.commit("develop")
        await lay(bot, WEB, WORKER)
        await see(bot, NEW, WORKER)
        assert await states(bot) == [("images", TriggerState.OPEN)]


async def push_and_tag(bot: AutodeployBot, message: str = "Change things") -> tuple[str, str]:
    """A tag, and a newer commit of the branch: what one `git push --follow-tags` brings."""
    tagged = bot.commit("develop")
    bot.refs.tags["v1.0"] = tagged
    head = bot.commit("develop", message)
    bot.automatic._dates.update({tagged: 100.0, head: 200.0})
    await bot.look()
    return tagged, head


async def test_a_tag_pushed_with_a_commit_that_is_skipped_is_deployed(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "tag": "v*"}}) as bot:
        tagged, _ = await push_and_tag(bot, "Docs [skip deploy]")
        assert await bot.deployed() == [tagged]
        assert [one.title for one in await bot.cards()] == [
            "shop/staging: push to develop is not deployed automatically"
        ]


async def test_the_newest_commit_takes_the_place_of_a_tag_before_it(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "tag": "v*"}}) as bot:
        _, head = await push_and_tag(bot)
        assert await bot.deployed() == [head]
        assert await bot.cards() == []


async def test_a_newest_commit_that_somebody_deploys_takes_the_place_of_a_tag_before_it(tmp_path: Path) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "tag": "v*"}}) as bot:
        await bot.say(LOCK, "eve")
        hotfix = bot.commit("hotfix", on=bot.refs.branches["main"])
        await bot.end(await bot.ask(f"deploy shop@{hotfix} to staging", "eve"))
        bot.refs.tags["v1.0"] = bot.commit("side", on=bot.refs.branches["main"])
        bot.refs.branches["develop"] = hotfix
        bot.automatic._dates.update({bot.refs.tags["v1.0"]: 100.0, hotfix: 200.0})
        await bot.look()
        assert await bot.triggers() == []


@pytest.mark.parametrize("message", ["Change things", "Docs [skip deploy]"])
async def test_a_deleted_tag_is_reported_beside_another_change(tmp_path: Path, message: str) -> None:
    async with open_autodeploy_bot(tmp_path, {"auto": {"branch": "develop", "tag": "v*"}}) as bot:
        bot.refs.tags["v9.0"] = bot.commit("other")
        await bot.look()
        await bot.settle()
        del bot.refs.tags["v9.0"]
        bot.refs.tags["v1.1"] = bot.commit("side", on=bot.refs.branches["main"])
        bot.commit("develop", message)
        await bot.look()
        titles = [one.title for one in await bot.cards()]
        assert "shop/staging: tag v1.1 is not deployed automatically" in titles


async def test_one_commit_that_is_left_twice_is_reported_once(tmp_path: Path) -> None:
    """A branch and a tag were both moved back to it."""
    auto = {"auto": {"branch": "develop", "tag": "live"}}
    async with open_autodeploy_bot(tmp_path, auto) as bot:
        old = bot.refs.branches["develop"]
        bot.refs.tags["live"] = await bot.push("develop")
        await bot.look()
        await bot.settle()
        bot.refs.branches["develop"] = bot.refs.tags["live"] = old
        await bot.look()
        assert len(await bot.cards()) == 1
        assert [one.state for one in await bot.triggers()][-2:] == [TriggerState.LEFT, TriggerState.LEFT]
