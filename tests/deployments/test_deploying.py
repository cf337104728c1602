"""A deployment from the wish to its end, on servers in memory."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Sequence
from pathlib import Path

import pytest

from deploybot.card import Line, Tone
from deploybot.deployments.deployment_queue import __name__ as queue_module
from deploybot.deployments.planner import digest_of
from deploybot.domain import JobState, Kind, State, StepState
from deploybot.errors import UserError
from deploybot.settings import App
from deploybot.testing import FakeRefs, Outcome
from tests.deployments.conftest import NO_RIGHT
from tests.kit.bot import CHANNEL, GOOD_SWITCH, HEALTH, SECRET, V1, V2, V3, BotUnderTest, fetched, open_bot


async def test_a_good_release_runs_everywhere_and_is_recorded(bot: BotUnderTest) -> None:
    ended = await bot.deploy(V1)
    assert (ended.state, ended.outcome) == (State.SUCCEEDED, "Everything is healthy.")
    running = await bot.running()
    assert {name: (row.release.id, row.healthy) for name, row in running.items()} == {
        "web1": (V1.id, True),
        "web2": (V1.id, True),
    }
    card = await bot.posted(ended.number)
    assert card.title == "#1 shop/production: v1 · first deployment · succeeded"
    assert (card.tone, card.final, card.ok) == (Tone.GOOD, True, True)
    assert card.lines == (Line("web1, web2", "healthy", Tone.GOOD),)


async def test_values_of_secrets_reach_the_job_and_nothing_else(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("switch", Outcome(effect=GOOD_SWITCH.effect, log=f"using {SECRET}\n".encode()))
    ended = await bot.deploy(V1)
    switch = next(one for one in bot.hosts["web1"].started if one.script == "switch")
    assert switch.env["TOKEN"] == SECRET
    log = bot.log_of(ended.number)
    assert "using •••" in log
    assert SECRET not in log
    assert SECRET not in repr(ended)


async def test_an_unhealthy_release_is_taken_back_from_every_server(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web2"].http[HEALTH] = (500, "no database\nmore")

    def heal(*_: object) -> None:
        GOOD_SWITCH.effect(*_)  # type: ignore[misc, arg-type]
        bot.hosts["web2"].http.clear()

    bot.hosts["web2"].script("switch", GOOD_SWITCH, Outcome(effect=heal))
    ended = await bot.deploy(V2)
    assert ended.state is State.RESTORED
    assert f"Not healthy on web2: {HEALTH} answers 500: no database." in ended.outcome
    assert "web2: v1 (1111111111) was restored and is healthy." in ended.outcome
    assert "web1: v1 (1111111111) was restored and is healthy." in ended.outcome
    assert "Now running: web1 1111111111; web2 1111111111." in ended.outcome
    assert {row.release.id for row in (await bot.running()).values()} == {V1.id}
    assert [one.label for one in (await bot.posted(2)).buttons] == ["Try again"]


async def test_a_step_that_fails_before_the_switch_leaves_what_runs_alone(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("fetch", Outcome(code=3, log=b"fatal: no space left on device\n"))
    ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    assert "Step `fetch` failed on web1: no space left on device (exit code 3)." in ended.outcome
    assert "The running release was not touched." in ended.outcome
    assert ended.tail == ("fatal: no space left on device",)
    assert [one.label for one in (await bot.posted(2)).buttons] == ["Try again", "What runs now"]
    assert not [one for one in bot.hosts["web2"].started if one.script == "switch" and one.job.startswith("2-")]


async def test_a_failed_switch_is_put_back(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(code=1, log=b"restart failed\n"), GOOD_SWITCH)
    ended = await bot.deploy(V2)
    assert ended.state is State.RESTORED
    assert ended.tail == ("restart failed",)
    assert bot.hosts["web2"].server_facts.current == V1.id


async def test_without_a_release_before_nothing_can_be_put_back_and_the_card_says_so(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("switch", Outcome(code=1))
    ended = await bot.deploy(V1)
    assert ended.state is State.FAILED
    assert "Nothing ran before, so there is nothing to restore." in ended.outcome
    assert "Now running: web1 nothing; web2 nothing." in ended.outcome


async def test_a_restoration_that_fails_too_is_no_restored(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(code=1, log=b"broken\n"))
    ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    why = "step `restore` failed on web1: broken (exit code 1)"
    assert f"web1: v1 (1111111111) could not be restored: {why}." in ended.outcome
    assert (await bot.running())["web1"].healthy is False
    back = f"rollback shop from production to {V1.id}"
    assert {one.label: one.command for one in (await bot.posted(2)).buttons}["Roll back"] == back


async def test_on_failure_leave_leaves_it(tmp_path: Path) -> None:
    async with open_bot(tmp_path, on_failure="leave") as bot:
        await bot.deploy(V1)
        bot.hosts["web1"].script("switch", Outcome(code=1, effect=GOOD_SWITCH.effect))
        ended = await bot.deploy(V2)
    assert ended.state is State.FAILED
    assert 'Left as it is (on_failure = "leave"). Now running: web1 2222222222; web2 1111111111.' in ended.outcome


@pytest.mark.parametrize("state", [JobState.ORPHAN, JobState.LOST])
async def test_a_switch_whose_end_is_not_known_is_never_run_again(bot: BotUnderTest, state: JobState) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(state=state))
    ended = await bot.deploy(V2)
    assert ended.state is State.UNKNOWN
    assert "Nothing was run again. Now running: web1 1111111111; web2 1111111111." in ended.outcome
    assert len([one for one in bot.hosts["web1"].started if one.job.startswith("2-")]) == 2
    assert (await bot.posted(ended.number)).tone is Tone.UNKNOWN


async def test_a_cancelled_switch_is_stopped_and_put_back(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(hold=True), GOOD_SWITCH)
    card = await bot.request(V2)
    job = await bot.started(2, "switch")
    await bot.deployments.cancel(bot.ctx(), 2)
    ended = await bot.end_of(2)
    assert card.buttons[0].command == "cancel #2"
    assert ended.state is State.CANCELLED
    assert ended.outcome.startswith("Cancelled by ana.\nweb1: v1 (1111111111) was restored and is healthy.")
    assert (await bot.hosts["web1"].poll(job, 0)).status.state in {JobState.CANCELLED, JobState.NEVER}


async def test_cancelling_twice_or_too_late_is_reported(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1)
    await bot.started(1, "fetch")
    await bot.deployments.cancel(bot.ctx(), 1)
    with pytest.raises(UserError, match="ana already cancelled #1"):
        await bot.deployments.cancel(bot.ctx(), 1)
    assert (await bot.end_of(1)).state is State.CANCELLED
    with pytest.raises(UserError, match="#1 has already ended: cancelled"):
        await bot.deployments.cancel(bot.ctx(), 1)
    with pytest.raises(UserError, match="There is no deployment #9"):
        await bot.deployments.cancel(bot.ctx(), 9)


async def test_the_second_waits_says_for_what_and_plans_anew(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True, effect=None))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    second = await bot.request(V2)
    assert "Waits for #1 (shop/production: v1 · first deployment, by ana, running)." in second.text
    waiting = await bot.deployments.get(2)
    assert waiting is not None
    assert waiting.state is State.WAITING
    assert waiting.plan.servers[0].replaces is None
    bot.hosts["web1"].finish(job)
    await bot.end_of(1)
    bot.hosts["web1"].script("fetch", Outcome())
    ended = await bot.end_of(2)
    assert ended.state is State.SUCCEEDED
    assert ended.plan.servers[0].replaces == V1
    assert ended.plan.digest == digest_of(ended.plan) != waiting.plan.digest


async def test_a_waiting_one_can_be_cancelled(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    await bot.request(V2)
    await bot.deployments.cancel(bot.ctx(), 2)
    ended = await bot.end_of(2)
    assert (ended.state, ended.outcome) == (State.CANCELLED, "Cancelled by ana. It had not started.")
    bot.hosts["web1"].finish(job)
    assert (await bot.end_of(1)).state is State.SUCCEEDED


async def test_a_waiting_one_whose_asker_lost_the_right_does_not_begin(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    await bot.request(V2)
    await bot.lose_right()
    bot.hosts["web1"].finish(job)
    ended = await bot.end_of(2)
    assert (ended.state, ended.outcome) == (State.FAILED, f"{NO_RIGHT} Nothing was done.")


async def test_other_environments_do_not_wait(bot: BotUnderTest) -> None:
    bot.hosts["web1"].script("fetch", Outcome(hold=True), Outcome())
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    card = await bot.deployments.request(bot.ctx(), bot.app, bot.app.environments["staging"], V2)
    assert "Waits" not in card.text
    assert (await bot.end_of(2)).state is State.SUCCEEDED
    bot.hosts["web1"].finish(job)
    await bot.end_of(1)


async def test_dry_run_shows_the_plan_and_does_nothing(bot: BotUnderTest) -> None:
    card = await bot.request(V1, dry_run=True)
    assert card.title == "shop/production: v1 · first deployment · dry run"
    assert card.lines == (Line("web1, web2", "fetch, switch, health"),)
    steps = {line.name: line.text for line in card.details}
    assert f"health: http {HEALTH} within 2.0 s" in steps["web1"]
    assert steps["web1"] == steps["web2"]
    assert not bot.hosts["web1"].started
    assert await bot.deployments.get(1) is None


async def test_some_servers_only(bot: BotUnderTest) -> None:
    ended = await bot.deploy(V1, servers=["web2"])
    assert [part.server for part in ended.plan.servers] == ["web2"]
    with pytest.raises(UserError, match="shop does not run on web9 in production"):
        await bot.request(V1, servers=["web9"])


async def test_an_answer_lost_on_the_way_starts_nothing_twice(bot: BotUnderTest) -> None:
    bot.hosts["web1"].lose(0)
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(hold=True, effect=GOOD_SWITCH.effect))
    await bot.request(V2)
    job = await bot.started(2, "switch")
    bot.hosts["web1"].lose(3)
    bot.hosts["web1"].finish(job)
    assert (await bot.end_of(2)).state is State.SUCCEEDED
    jobs = [one.job for host in ("web1", "web2") for one in bot.hosts[host].started]
    assert len(jobs) == len(set(jobs))


async def test_a_restarted_bot_takes_up_what_runs_and_starts_nothing_again(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(hold=True, effect=GOOD_SWITCH.effect, log=b"one\n"))
    await bot.request(V2)
    job = await bot.started(2, "switch")
    await bot.deployments.queue.close()
    bot.hosts["web1"].write(job, b"two\n")
    bot.start()
    assert [one.number for one in await bot.deployments.queue.resume()] == [2]
    bot.hosts["web1"].finish(job)
    ended = await bot.end_of(2)
    assert ended.state is State.SUCCEEDED
    assert len([one for one in bot.hosts["web1"].started if one.job.startswith("2-")]) == 2
    rows = await bot.store.read(lambda tables: tables.deployments.steps(2))
    assert {row.state for row in rows} == {StepState.DONE}
    log = bot.log_of(2)
    assert (log.count("one"), log.count("two")) == (1, 1)


async def test_a_restart_in_the_middle_of_putting_back_goes_on_putting_back(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(code=1, log=b"broken\n"), Outcome(hold=True))
    await bot.request(V2)
    job = await bot.started(2, "switch", phase="r")
    await bot.deployments.queue.close()
    bot.start()
    await bot.deployments.queue.resume()
    bot.hosts["web1"].finish(job)
    ended = await bot.end_of(2)
    assert ended.state is State.RESTORED
    assert ended.outcome.startswith(
        "Step `switch` failed on web1: broken (exit code 1).\nweb1: v1 (1111111111) was restored"
    )
    assert ended.tail == ("broken",)


async def test_a_server_that_forgot_a_job_that_was_seen_running_makes_it_unknown(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("switch", Outcome(hold=True))
    await bot.request(V2)
    job = await bot.started(2, "switch")
    async with asyncio.timeout(10):
        while True:
            rows = await bot.store.read(lambda tables: tables.deployments.steps(2))
            if any(row.job == job and row.state is StepState.STARTED for row in rows):
                break
    await bot.deployments.queue.close()
    bot.hosts["web1"]._jobs.clear()
    bot.start()
    await bot.deployments.queue.resume()
    ended = await bot.end_of(2)
    assert ended.state is State.UNKNOWN
    assert "the server has no trace of it" in ended.outcome


async def test_restart_and_task_are_deployments_too(bot: BotUnderTest) -> None:
    with pytest.raises(UserError, match="No release of shop runs in production on web1 yet"):
        await bot.deployments.restart(bot.ctx(), bot.app, bot.production)
    await bot.deploy(V1)
    await bot.deployments.restart(bot.ctx(), bot.app, bot.production)
    restarted = await bot.end_of(2)
    assert (restarted.plan.kind, restarted.state) == (Kind.RESTART, State.SUCCEEDED)
    await bot.deployments.task(bot.ctx(), bot.app, bot.production, "migrate")
    done = await bot.end_of(3)
    assert (done.plan.kind, done.outcome) == (Kind.TASK, "migrate succeeded.")
    assert [part.server for part in done.plan.servers] == ["web1"]


async def test_what_a_task_says_is_on_its_card(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    bot.hosts["web1"].script("command", Outcome(log=b"3 rows changed\n"))
    await bot.deployments.task(bot.ctx(), bot.app, bot.production, "migrate")
    assert (await bot.end_of(2)).tail == ("3 rows changed",)


async def test_everything_is_in_the_audit(bot: BotUnderTest) -> None:
    await bot.deploy(V3)
    rows = await bot.store.read(lambda tables: tables.audit.tail(10))
    assert [(row.actor, row.action, row.subject) for row in rows] == [
        ("ana", "deploy asked", "#1 shop/production"),
        ("deploybot", "deploy succeeded", "#1 shop/production"),
    ]


async def test_cards_go_where_it_was_asked(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    items = await bot.store.read(lambda tables: tables.outbox.due(bot.clock.now() + 1, 10))
    assert {item.channel for item in items} == {CHANNEL}


async def test_a_log_that_cannot_be_kept_is_waited_for_and_nothing_starts_twice(bot: BotUnderTest) -> None:
    logs = bot.settings.bot.data / "logs"
    logs.parent.mkdir(parents=True, exist_ok=True)
    logs.write_text("in the way")
    await bot.request(V1)
    await bot.started(1, "fetch")
    deployment = await bot.deployments.get(1)
    assert deployment is not None
    assert deployment.state is State.RUNNING
    logs.unlink()
    assert (await bot.end_of(1)).state is State.SUCCEEDED
    jobs = [one.job for one in bot.hosts["web1"].started]
    assert len(jobs) == len(set(jobs))


async def in_the_way(bot: BotUnderTest, server: str) -> Path:
    """A folder where the log of the next step on a server is to be."""
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V1)
    name = plan.servers[0].steps[0].name
    path = bot.settings.bot.data / "logs" / "1" / f"1-{server}-00-{name}.log"
    path.mkdir(parents=True)
    return path


async def test_a_log_that_cannot_be_kept_stops_no_other_server(bot: BotUnderTest) -> None:
    path = await in_the_way(bot, "web2")
    bot.hosts["web1"].script("fetch", Outcome(effect=fetched, hold=True))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    for _ in range(20):  # web2 meets what is in its way
        await bot.running()
    path.rmdir()
    bot.hosts["web1"].finish(job)
    ended = await bot.end_of(1)
    assert (ended.state, ended.outcome) == (State.SUCCEEDED, "Everything is healthy.")


class LineHandler(logging.Handler):
    """Sets `came` when a line of the log begins with some words."""

    def __init__(self, words: str) -> None:
        super().__init__()
        self.words = words
        self.came = asyncio.Event()

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage().startswith(self.words):
            self.came.set()


async def test_a_failure_beside_a_log_that_cannot_be_kept_waits_for_it(
    bot: BotUnderTest,
) -> None:
    path = await in_the_way(bot, "web2")
    bot.hosts["web1"].script("fetch", Outcome(code=1, log=b"broken\n"))
    waits = LineHandler("#1 waits: a log cannot be saved")
    queue_log = logging.getLogger(queue_module)
    queue_log.addHandler(waits)
    await bot.request(V1)
    async with asyncio.timeout(10):
        await waits.came.wait()
    queue_log.removeHandler(waits)
    path.rmdir()
    ended = await bot.end_of(1)
    assert ended.state is State.FAILED
    assert "failed on web1: broken" in ended.outcome
    rows = await bot.store.read(lambda tables: tables.deployments.steps(1))
    assert [row.state for row in rows if row.state in {StepState.PENDING, StepState.STARTED}] == []


async def test_what_breaks_inside_the_bot_ends_as_unknown(
    bot: BotUnderTest, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    bot.refs = Slipping(tmp_path, v1=V1.id)
    bot.start()
    ended = await bot.deploy(V1)
    assert ended.state is State.UNKNOWN
    assert ended.outcome.startswith("Something broke on my side, id ")
    assert "a slip of the pen" not in ended.outcome
    assert "a slip of the pen" in caplog.text


class Slipping(FakeRefs):
    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        del app, commit, have
        raise ZeroDivisionError("a slip of the pen")


async def test_what_one_server_breaks_is_reported_as_that_server(
    bot: BotUnderTest, caplog: pytest.LogCaptureFixture
) -> None:
    bot.hosts["web1"].script("fetch", Outcome(effect=_explode))
    await bot.request(V1)
    await bot.started(1, "fetch")
    await bot.deployments.cancel(bot.ctx(), 1)
    assert (await bot.end_of(1)).state is State.CANCELLED
    assert caplog.text.count("Traceback") == 1


def _explode(*_: object) -> None:
    raise ZeroDivisionError("a slip of the pen")
