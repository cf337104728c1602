"""By which branch or tag the steps of a release know it, whatever named it last."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from deploybot.deployments.fingerprint import binding_of
from deploybot.deployments.release_names import as_known, as_triggered
from deploybot.domain import AutoRule, Phase, Plan, Release, State, Step, StepRow, StepState, Trigger
from deploybot.ports import Tables
from deploybot.strategies.release_values import SINCE_TAGS
from deploybot.testing import Outcome
from tests.kit.bot import GOOD_SWITCH, V1, V2, BotUnderTest

SHA = V1.id
TRIGGER = Trigger(
    app="shop", environment="production", rule=AutoRule.TAG, source="tags/v1", commit=SHA, release=SHA, ref=SHA,
    why="tag v1", made=1.0,
)  # fmt: skip


def names_of(bot: BotUnderTest, number: int, script: str = "switch") -> list[tuple[str, str]]:
    """What the steps of a deployment got as DEPLOYBOT_REF and DEPLOYBOT_TAG, each server once."""
    jobs = [one for server in ("web1", "web2") for one in bot.hosts[server].started if one.job.startswith(f"{number}-")]
    return [(one.env["DEPLOYBOT_REF"], one.env["DEPLOYBOT_TAG"]) for one in jobs if one.script == script]


async def trigger(bot: BotUnderTest, **more: Any) -> int:  # noqa: ANN401  fields of a trigger
    return (await bot.store.write(lambda tables: tables.triggers.add(replace(TRIGGER, **more)))).number


async def named(bot: BotUnderTest, ref: str, number: int = 0) -> tuple[str, str, str, str | None]:
    releases = bot.deployments.releases
    typed = replace(await releases.resolve(bot.app, bot.production, ref), typed=ref)
    found = await releases.names.of_request(bot.production, typed, number)
    return found.label, found.step_ref, found.tag, found.typed


async def test_the_ref_of_a_trigger_reaches_the_steps(bot: BotUnderTest) -> None:
    assert await named(bot, SHA, await trigger(bot)) == (SHA[:10], "v1", "v1", None)
    branch = await trigger(bot, source="heads/feature/a", environment="staging")
    assert await named(bot, SHA, branch) == (SHA[:10], "feature/a", "", None)


async def test_a_person_who_presses_the_button_of_a_trigger_deploys_what_it_names(bot: BotUnderTest) -> None:
    await trigger(bot)
    assert await named(bot, SHA) == (SHA[:10], "v1", "v1", None)
    assert await named(bot, V2.id) == (V2.id[:10], V2.id, "", None)
    assert await named(bot, "v1") == ("v1", "v1", "", None)


async def test_an_open_trigger_of_images_names_nothing_that_a_person_deploys(bot: BotUnderTest) -> None:
    bot.refs.known = {"main": V1.id, "v1": V1.id}
    await bot.deploy(V1)
    await trigger(bot, source="images", ref="")
    assert await named(bot, "") == ("main", "main", "", None)


@pytest.mark.parametrize("name", ["$(reboot)", "a b", "a;b", "-x", "a'b", "x" * 201, ""])
def test_a_name_that_nobody_could_type_reaches_no_step(name: str) -> None:
    release = Release.of_commit(SHA, SHA)
    assert as_triggered(release, replace(TRIGGER, source=f"tags/{name}"), ()) == release


def test_new_images_change_no_name() -> None:
    release = Release.of_commit(SHA, SHA)
    images = replace(TRIGGER, source="images")
    ran = replace(V1, tag="v1")
    found = as_triggered(release, images, (V2, ran))
    assert (found.ref, found.step_ref, found.tag) == (SHA, "v1", "v1")
    assert as_triggered(release, images, (V2,)) == release
    assert as_known(V2, Release.by_id(V2.id)) == V2  # a record without a name
    # A record of the version before has no tags, and the release has none from then on, whatever names it.
    assert as_known(replace(V1, tag="v1"), V1) == V1
    assert as_known(replace(V1, ref="main"), V1).tag == ""


async def test_a_rollback_brings_back_the_names_that_it_ran_with(bot: BotUnderTest) -> None:
    bot.refs.known |= {"main": V1.id}
    bot.refs.tags = {"v1": V1.id}
    await bot.say("deploy shop@main to production because of tests")
    await bot.end_of(1)
    await bot.deploy(V2)
    await bot.say("rollback shop from production to v1 because of tests")
    ended = await bot.end_of(3)
    assert (ended.state, ended.plan.release.label) == (State.SUCCEEDED, "v1")
    assert names_of(bot, 1) == names_of(bot, 3) == [("main", "")] * 2
    # From then on, too: the names come from the record.
    await bot.say("restart shop in production because of tests")
    await bot.end_of(4)
    assert names_of(bot, 4, "command") == [("main", "")] * 2
    assert await bot.deployments.releases.names.of_past(bot.production, Release.of_commit("9" * 40, "v9")) == (
        Release.of_commit("9" * 40, "v9")
    )


async def test_the_same_commit_by_another_ref_has_its_names(bot: BotUnderTest) -> None:
    bot.refs.known |= {"main": V1.id}
    bot.refs.tags = {"v1": V1.id}
    for ref in ("main", "v1"):
        await bot.say(f"deploy shop@{ref} to production because of tests")
    await bot.end_of(2)
    assert [names_of(bot, number) for number in (1, 2)] == [[("main", "")] * 2, [("v1", "v1")] * 2]
    assert {one.release.tag for one in (await bot.running()).values()} == {"v1"}


def of_before(steps: tuple[Step, ...]) -> tuple[Step, ...]:
    return tuple(replace(one, env=tuple(pair for pair in one.env if pair[0] not in SINCE_TAGS)) for one in steps)


def plan_of_before(plan: Plan) -> Plan:
    """A plan as the version before stored it."""
    parts = (replace(one, steps=of_before(one.steps), restore=of_before(one.restore)) for one in plan.servers)
    return replace(plan, servers=tuple(parts))


async def test_approvals_of_the_version_before_stay_valid(bot: BotUnderTest) -> None:
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V2)
    assert {name for part in plan.servers for step in part.steps for name, _ in step.env} >= SINCE_TAGS
    bound, old = (binding_of(one, bot.settings, ref="v2") for one in (plan, plan_of_before(plan)))
    assert bound == old
    part = plan.servers[0]
    env = (*part.steps[-1].env, ("DEPLOYBOT_OTHER", "1"))
    other = replace(plan, servers=(replace(part, steps=(*part.steps[:-1], replace(part.steps[-1], env=env))),))
    assert binding_of(other, bot.settings, ref="v2") != bound


async def test_a_plan_of_the_version_before_runs_with_what_its_steps_lack(bot: BotUnderTest) -> None:
    """Compose is asked with these variables right before `up`, which must then have them."""
    await bot.deploy(V1)
    bot.hosts["web2"].script("switch", Outcome(code=1), GOOD_SWITCH)
    plan = plan_of_before(await bot.deployments._planner.deploy(bot.app, bot.production, V2))
    first = plan.servers[0]

    def leave(tables: Tables) -> int:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0).number
        tables.deployments.move(made, State.RUNNING, now=1.0)
        row = StepRow(
            deployment=made, phase=Phase.FORWARD, server=first.server, position=0, name="fetch", job="j",
            state=StepState.PENDING,
        )  # fmt: skip
        tables.deployments.begin(row)
        tables.deployments.end("j", StepState.DONE, code=0, now=2.0)
        return made

    number = await bot.store.write(leave)
    bot.start()
    await bot.deployments.queue.resume()
    assert (await bot.end_of(number)).state is State.RESTORED
    jobs = [one for name in ("web1", "web2") for one in bot.hosts[name].started if one.job.startswith(f"{number}-")]
    shorts = {(one.env["DEPLOYBOT_RELEASE"], one.env["DEPLOYBOT_SHORT"]) for one in jobs if one.script == "switch"}
    assert shorts == {(one.id, one.id[:10]) for one in (V1, V2)}
