"""How deployments end: the state, every line of the outcome, and what is recorded to run."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import (
    Deployment,
    JobState,
    JobStatus,
    Kind,
    ManifestRow,
    Phase,
    Release,
    State,
    StepRow,
    StepState,
)
from deploybot.errors import Cancelled, StepFailed, sentence
from deploybot.ports import Tables
from deploybot.testing import FakeHost, Outcome
from tests.deployments.test_containers import ComposedServer, composed, good, server
from tests.kit.bot import GOOD_SWITCH, HEALTH, V1, V2, V3, BotUnderTest, open_as, open_bot
from tests.kit.settings import bot_settings
from tests.strategies.sites import PROJECT

__all__ = ["composed", "server"]

BROKEN = Outcome(code=1, effect=GOOD_SWITCH.effect, log=b"broken\n")
WHY = "Step `switch` failed on web1: broken (exit code 1)."


async def left_restoring(bot: BotUnderTest, outcome: str, *, cancel_by: str) -> Deployment:
    """V2 as a bot leaves it that is killed right after it began to restore web1; a new bot takes it up."""
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V2)
    switch = next(at for at, step in enumerate(plan.servers[0].steps) if step.switches)

    def leave(tables: Tables) -> Deployment:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        tables.deployments.move(made.number, State.RUNNING, now=1.0)
        row = StepRow(
            deployment=made.number,
            phase=Phase.FORWARD,
            server="web1",
            position=switch,
            name="switch",
            job="job-1",
            state=StepState.FAILED,
            code=1,
        )
        tables.deployments.begin(row)
        tables.deployments.ask_cancel(made.number, cancel_by)
        return tables.deployments.move(made.number, State.RESTORING, now=1.0, outcome=outcome)

    made = await bot.store.write(leave)
    bot.start()
    await bot.deployments.queue.resume()
    return await bot.end_of(made.number)


async def test_what_a_cancellation_restores_ends_as_cancelled_also_after_a_crash(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    ended = await left_restoring(bot, sentence(Cancelled("ana")), cancel_by="ana")
    assert ended.state is State.CANCELLED
    assert ended.outcome.splitlines()[0] == "Cancelled by ana."


async def test_a_cancellation_during_a_restore_does_not_change_why_it_failed(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    ended = await left_restoring(bot, WHY, cancel_by="ana")
    assert (ended.state, ended.outcome.splitlines()[0]) == (State.RESTORED, WHY)


async def test_a_release_without_any_check_is_not_called_healthy(tmp_path: Path) -> None:
    async with open_as(BotUnderTest, tmp_path, bot_settings(tmp_path / "data", servers=("web1", "web2"))) as bot:
        assert (await bot.deploy(V1)).outcome == "All steps succeeded."


async def test_what_is_compared_with_its_release_is_called_healthy(composed: BotUnderTest) -> None:
    assert (await composed.deploy(V1)).outcome == "Everything is healthy."


async def test_a_restart_does_not_change_since_when_a_release_runs(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    await bot.deployments.restart(bot.ctx(), bot.app, bot.production)
    assert (await bot.end_of(2)).state is State.SUCCEEDED
    assert {row.deployment for row in (await bot.running()).values()} == {1}


async def test_before_the_switch_nothing_is_restored(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("fetch", Outcome(code=3, log=b"no route to host\n"))
    ended = await bot.deploy(V2)
    assert ended.outcome == (
        "Step `fetch` failed on web1: no route to host (exit code 3).\nThe running release was not touched."
    )


async def test_before_the_switch_of_a_first_deployment_nothing_is_said_to_run(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(code=3, log=b"no route to host\n"))
    ended = await bot.deploy(V1)
    assert ended.outcome.splitlines()[1:] == ["Nothing ran before, and nothing was started."]


async def test_before_the_switch_the_advice_is_given(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    log = b"failed to solve: failed to mount a1: snapshot a1 does not exist: not found\n"
    bot.hosts["web1"].script("fetch", Outcome(code=17, log=log))
    ended = await bot.deploy(V2)
    assert ended.outcome.partition("\n")[2] == (
        "The running release was not touched. Docker's build cache on web1 is damaged: empty it there "
        "(docker builder prune --all --force) and try again. "
        "If that does not help, stop Docker, delete its folder buildkit (/var/lib/docker/buildkit), and start it."
    )


async def test_a_switch_that_the_server_refuses_to_start_restores_nothing(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    host = bot.hosts["web1"]
    start = host.start

    async def full(job: str, script: str, env: Mapping[str, str], **more: float) -> JobStatus:
        if script != "switch":
            return await start(job, script, env, **more)
        raise StepFailed("web1", "switch", 73, ("Nothing was run: No space left on device",))

    host.start = full  # type: ignore[method-assign]
    ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    assert ended.outcome == (
        "Step `switch` was not started on web1: Nothing was run: No space left on device.\n"
        "The running release was not touched."
    )
    assert {(row.release, row.healthy) for row in (await bot.running()).values()} == {(V1, True)}


async def test_before_the_switch_what_is_not_well_is_named(composed: BotUnderTest, server: ComposedServer) -> None:
    await good(composed, V1)
    server.engine.all["shop-production"] = [
        replace(one, health="unhealthy") for one in server.engine.all["shop-production"]
    ]
    server.host.script("compose_build", Outcome(code=3))
    ended = await composed.deploy(V2)
    assert ended.outcome.splitlines()[1:] == [
        "The running release was not touched. Now running: web1 1111111111 (web is unhealthy)."
    ]


async def test_a_restart_that_fails_is_left_and_changes_no_record(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("command", Outcome(code=1, log=b"no such unit\n"))
    await bot.deployments.restart(bot.ctx(), bot.app, bot.production)
    ended = await bot.end_of(2)
    assert (ended.plan.kind, ended.state) == (Kind.RESTART, State.FAILED)
    assert ended.outcome.splitlines()[1:] == ["Now running: web1 1111111111; web2 1111111111."]
    assert {(row.deployment, row.healthy) for row in (await bot.running()).values()} == {(1, True)}


async def test_what_is_left_is_recorded_as_what_runs(tmp_path: Path) -> None:
    async with open_bot(tmp_path, on_failure="leave") as bot:
        await bot.deploy(V1)
        bot.hosts["web1"].script("switch", BROKEN)
        ended = await bot.deploy(V2)
        rows = await bot.running()
    left = 'Left as it is (on_failure = "leave"). Now running: web1 2222222222; web2 1111111111.'
    assert ended.outcome.splitlines() == [WHY, left]
    assert {name: (row.release.id, row.healthy) for name, row in rows.items()} == {
        "web1": (V2.id, False),
        "web2": (V1.id, True),
    }


async def test_a_person_who_cancels_gets_the_old_release_also_where_failures_are_left(tmp_path: Path) -> None:
    async with open_bot(tmp_path, on_failure="leave") as bot:
        await bot.deploy(V1)
        bot.hosts["web1"].script("switch", Outcome(hold=True), GOOD_SWITCH)
        await bot.request(V2)
        await bot.started(2, "switch")
        await bot.deployments.cancel(bot.ctx(), 2)
        ended = await bot.end_of(2)
    assert ended.state is State.CANCELLED
    assert "web1: v1 (1111111111) was restored and is healthy." in ended.outcome


async def test_the_first_deployment_that_fails_says_that_nothing_ran_before(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("switch", Outcome(code=1, log=b"broken\n"))
    ended = await bot.deploy(V1)
    nothing = "Nothing ran before, so there is nothing to restore. Now running: web1 nothing; web2 nothing."
    assert ended.outcome.splitlines() == [WHY, nothing]


@pytest.mark.parametrize("on_failure", ["leave", "restore"])
async def test_the_way_out_of_a_lost_port_is_named_where_nothing_is_restored(tmp_path: Path, on_failure: str) -> None:
    log = b"Error response from daemon: Bind for 0.0.0.0:80 failed: port is already allocated\n"
    async with open_bot(tmp_path, on_failure=on_failure) as bot:
        bot.hosts["web1"].script("switch", Outcome(code=1, log=log))
        ended = await bot.deploy(V1)
    assert "restart Docker there (sudo systemctl restart docker) and try again." in ended.outcome.splitlines()[1]


async def test_that_nothing_serves_is_the_first_line_if_a_restore_fails(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)

    def gone(host: FakeHost, env: Mapping[str, str]) -> None:
        del host, env
        server.engine.all["shop-production"] = []

    server.host.script("compose_up", Outcome(code=1, effect=gone, log=b"broken\n"))
    ended = await composed.deploy(V2)
    assert ended.state is State.FAILED
    why = "step `restore` failed on web1: broken (exit code 1)"
    assert ended.outcome.splitlines() == [
        "Nothing serves shop/production on web1.",
        "Step `up` failed on web1: broken (exit code 1).",
        f"web1: v1 (1111111111) could not be restored: {why}.",
        "Now running: web1 nothing.",
    ]


async def test_a_job_that_was_restored_and_has_ended_is_no_server_that_serves_nothing(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    server.host.script("compose_up", Outcome(effect=server.up_and_end))
    server.host.script("compose_build", Outcome(effect=server.build))
    assert (await composed.deploy(V1)).state is State.SUCCEEDED
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up_and_end))
    ended = await composed.deploy(V2)
    assert (ended.state, ended.outcome.splitlines()[0]) == (State.RESTORED, "Not healthy on web1: web is unhealthy.")


async def test_each_server_says_how_its_restore_went(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web2"].http[HEALTH] = (500, "no database")
    ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    assert ended.outcome.splitlines() == [
        f"Not healthy on web2: {HEALTH} answers 500: no database.",
        f"web2: v1 (1111111111) was restored but is not healthy: {HEALTH} answers 500: no database.",
        "web1: v1 (1111111111) was restored and is healthy.",
        "Now running: web1 1111111111; web2 1111111111.",
    ]
    assert {name: row.healthy for name, row in (await bot.running()).items()} == {"web1": True, "web2": False}


async def test_what_cannot_be_restored_is_not_recorded_as_restored(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    for name in ("web1", "web2"):
        bot.hosts[name].server_facts = replace(bot.hosts[name].server_facts, releases=())
    bot.hosts["web1"].script("switch", BROKEN)
    ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    assert "web1: v1 (1111111111) is no longer on the server and was not restored." in ended.outcome
    rows = {name: (row.release.id, row.deployment, row.healthy) for name, row in (await bot.running()).items()}
    assert rows == {"web1": (V2.id, 2, False), "web2": (V1.id, 1, True)}


async def test_what_was_restored_is_recorded_as_it_ran_before(composed: BotUnderTest, server: ComposedServer) -> None:
    await good(composed, V1)
    await forget_manifest(composed, V1)
    server.host.script("compose_up", Outcome(effect=server.up_broken), Outcome(effect=server.up))
    ended = await composed.deploy(V2)
    assert ended.state is State.RESTORED, ended.outcome
    kept = await composed.store.read(lambda tables: tables.manifests.get("shop", "production", "web1", V1.id))
    assert kept is not None
    assert kept.verified
    assert [one.service for one in kept.manifest.services] == ["web"]
    assert kept.manifest.services[0].image == "sha256:" + "1" * 64


async def forget_manifest(bot: BotUnderTest, release: Release) -> None:
    """What the bot recorded is overwritten by less: only what ran before is known exactly."""

    def forget(tables: Tables) -> None:
        found = tables.manifests.get("shop", "production", "web1", release.id)
        assert isinstance(found, ManifestRow)
        tables.manifests.put(replace(found, verified=False))

    await bot.store.write(forget)


def lose_docker(server: ComposedServer) -> None:
    """Let the next `up` come up, and end as unknown with an Engine that does not answer yet: the server restarted."""

    def up(host: FakeHost, env: Mapping[str, str]) -> None:
        server.up(host, env)
        labelled = [
            replace(one, labels=(*one.labels, ("deploybot.release", V2.id))) for one in server.engine.all[PROJECT]
        ]
        server.engine.all[PROJECT] = labelled
        server.engine.down = "it starts"

    server.host.script("compose_up", Outcome(effect=up, state=JobState.LOST), Outcome(effect=server.up))


@pytest.mark.parametrize("first", [True, False])
async def test_what_an_unknown_end_left_is_known_when_docker_answers_again(
    composed: BotUnderTest, server: ComposedServer, *, first: bool
) -> None:
    if not first:
        await good(composed, V1)
    lose_docker(server)
    ended = await composed.deploy(V2)
    assert (ended.state, ended.outcome.splitlines()[-1]) == (
        State.UNKNOWN,
        "Nothing was run again. Now running: web1 unknown (it starts).",
    )
    server.engine.down = ""
    assert (await status_of(composed)).startswith("v2 (2222222222)")
    assert (await composed.say("status")).lines[0].text.startswith("v2 (2222222222)")


async def status_of(bot: BotUnderTest) -> str:
    (line,) = [one for one in (await bot.say("status shop production")).lines if one.name == "web1"]
    return line.text


async def test_what_a_person_puts_back_by_hand_is_not_what_was_deployed(
    composed: BotUnderTest, server: ComposedServer
) -> None:
    await good(composed, V1)
    before = server.engine.all[PROJECT]
    await good(composed, V2)
    server.engine.all[PROJECT] = before
    assert (await status_of(composed)).startswith("runs something other than #2 deployed")
    server.host.script("compose_build", Outcome(code=1))
    assert (await composed.deploy(V3)).state is State.FAILED
    assert (await status_of(composed)).startswith("runs something other than #2 deployed")


async def test_a_link_that_an_unknown_end_moved_is_known(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    before = (await bot.running())["web1"]
    bot.hosts["web1"].script("switch", Outcome(effect=GOOD_SWITCH.effect, state=JobState.LOST))
    assert (await bot.deploy(V2, servers=["web1"])).state is State.UNKNOWN
    # As if the server had not answered when it ended.
    await bot.store.write(lambda tables: tables.running.put(before))
    assert (await status_of(bot)).startswith("v2 (2222222222)")
    bot.hosts["web1"].server_facts = replace(bot.hosts["web1"].server_facts, current=V3.id)
    assert (await status_of(bot)).startswith("runs 3333333333, but #1 deployed v1")
