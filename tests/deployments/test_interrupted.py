"""What is taken up again after the worst moments; each was found by tests/chaos first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

from deploybot.card import Line, Tone
from deploybot.deployments.deployment_card import deployment_card
from deploybot.deployments.step_logs import Journal
from deploybot.domain import Deployment, JobState, JobStatus, Phase, State, StepRow, StepState
from deploybot.errors import Unreachable
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.testing import FakeHost, Outcome
from tests.kit.bot import V1, V2, V3, BotUnderTest


async def killed(bot: BotUnderTest, *ended: StepRow, cancel_by: str = "") -> Deployment:
    """V2 as a bot leaves it that is killed right after these steps have ended."""
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V2)

    def leave(tables: Tables) -> Deployment:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        tables.deployments.move(made.number, State.RUNNING, now=1.0)
        for row in ended:
            mine = replace(row, deployment=made.number)
            tables.deployments.begin(replace(mine, state=StepState.PENDING))
            tables.deployments.end(row.job, row.state, code=row.code, now=2.0, detail=row.detail)
        if cancel_by:
            tables.deployments.ask_cancel(made.number, cancel_by)
        return made

    made = await bot.store.write(leave)
    bot.start()
    await bot.deployments.queue.resume()
    return await bot.end_of(made.number)


def fetch(server: str, state: StepState, *, code: int = -1, detail: str = "") -> StepRow:
    """The first step on a server, as it ended."""
    return StepRow(
        deployment=0,
        phase=Phase.FORWARD,
        server=server,
        position=0,
        name="fetch",
        job=f"job-{server}",
        state=state,
        code=code,
        detail=detail,
    )


def test_what_was_written_but_never_committed_is_not_kept_twice(bot: BotUnderTest) -> None:
    journal = Journal(bot.settings.bot.data / "logs", Redactor(), limit=100_000)
    row = fetch("web1", StepState.STARTED)
    journal.append(row, b"one\n", last=False)
    kept = journal.append(row, b"one\ntwo\n", last=False)
    assert (journal.path(row).read_bytes(), kept.size) == (b"one\ntwo\n", 8)


async def test_stopping_insists_while_the_server_does_not_answer(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    web1 = bot.hosts["web1"]
    web1.script("fetch", Outcome(hold=True))
    card = await bot.request(V2)
    job = await bot.started(2, "fetch")
    web1.cut()
    await bot.deployments.cancel(bot.ctx(), 2)
    await asyncio.sleep(0.1)
    web1.down = ""
    ended = await bot.end_of(2)
    assert (ended.state, card.queued) == (State.CANCELLED, True)
    assert (await web1.poll(job, 0)).status.state in {JobState.CANCELLED, JobState.NEVER}


async def test_a_card_says_that_a_step_is_out_of_sight_until_it_is_seen_again(bot: BotUnderTest) -> None:
    web1 = bot.hosts["web1"]
    web1.script("fetch", Outcome(hold=True))
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    web1.cut("the connection broke")
    assert (await line_of(bot, "fetch … (no contact: the connection broke; retrying)")).tone is Tone.UNKNOWN
    web1.down = ""
    assert (await line_of(bot, "fetch …")).tone is Tone.BUSY
    web1.finish(job)
    assert (await bot.end_of(1)).state is State.SUCCEEDED


async def test_a_card_says_that_a_step_cannot_be_started_yet(bot: BotUnderTest) -> None:
    answers = asyncio.Event()

    def slowly(host: FakeHost) -> None:
        start = host.start

        async def slow(job: str, script: str, env: Mapping[str, str], *, deadline: float) -> JobStatus:
            if not answers.is_set():
                raise Unreachable(host.name, "no answer in 10 s")
            return await start(job, script, env, deadline=deadline)

        host.start = slow  # type: ignore[method-assign,assignment]

    for host in bot.hosts:
        slowly(host)
    bot.hosts["web1"].script("fetch", Outcome(hold=True))
    await bot.request(V1)
    words = "fetch … (may not have started: no answer in 10 s; retrying)"
    assert (await line_of(bot, words)).tone is Tone.UNKNOWN
    answers.set()
    assert (await line_of(bot, "fetch …")).tone is Tone.BUSY
    bot.hosts["web1"].script("fetch", Outcome())
    bot.hosts["web1"].finish(await bot.started(1, "fetch"))
    assert (await bot.end_of(1)).state is State.SUCCEEDED


async def line_of(bot: BotUnderTest, text: str) -> Line:
    """web1's line of the first deployment's card, once it reads like this."""
    async with asyncio.timeout(10):
        while True:
            deployment = await bot.deployments.get(1)
            assert deployment
            steps = await bot.store.read(lambda tables: tables.deployments.steps(1))
            line = deployment_card(deployment, steps).lines[0]
            if line.text == text:
                return line
            await asyncio.sleep(0.02)


async def test_who_cancelled_is_shown_the_same_after_a_restart(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    stopped = fetch("web1", StepState.CANCELLED, detail="cancelled by ana")
    ended = await killed(bot, stopped, cancel_by="ana")
    assert (ended.state, ended.outcome) == (
        State.CANCELLED,
        "Cancelled by ana.\nThe running release was not touched.",
    )


async def test_a_step_that_another_one_stopped_is_no_cancelled_deployment(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    stopped = fetch("web1", StepState.CANCELLED, detail="step `fetch` failed on web2 with exit code 3")
    ended = await killed(bot, stopped, fetch("web2", StepState.FAILED, code=3))
    assert ended.state is State.FAILED
    assert ended.outcome.startswith("Step `fetch` failed on web2 with exit code 3.")


async def test_cancelled_between_two_steps_the_next_one_is_not_begun(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    done = (fetch(server, StepState.DONE, code=0) for server in ("web1", "web2"))
    ended = await killed(bot, *done, cancel_by="ana")
    assert ended.outcome == "Cancelled by ana.\nThe running release was not touched."
    rows = await bot.store.read(lambda tables: tables.deployments.steps(ended.number))
    assert {row.name for row in rows} == {"fetch"}


async def test_one_that_had_not_run_a_step_yet_is_planned_again_by_the_next_bot(bot: BotUnderTest) -> None:
    """However long the bot was down: what runs now is what is replaced, and restored."""
    await bot.deploy(V1)
    plan = await bot.deployments._planner.deploy(bot.app, bot.production, V3)
    for name in ("web1", "web2"):
        bot.hosts[name].server_facts = replace(bot.hosts[name].server_facts, current=V2.id, releases=(V1.id, V2.id))

    def leave(tables: Tables) -> Deployment:
        made = tables.deployments.add(plan, requester=bot.person, reason="", channel=None, now=1.0)
        return tables.deployments.move(made.number, State.RUNNING, now=1.0)

    made = await bot.store.write(leave)
    bot.start()
    await bot.deployments.queue.resume()
    ended = await bot.end_of(made.number)
    assert (ended.state, ended.started) == (State.SUCCEEDED, 1.0)
    assert {part.replaces for part in plan.servers} == {V1}
    assert {part.replaces and part.replaces.id for part in ended.plan.servers} == {V2.id}


async def test_what_comes_during_a_clean_up_is_planned_after_it(bot: BotUnderTest) -> None:
    web1 = bot.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, releases=("9" * 40,))
    web1.script("prune", Outcome(hold=True), Outcome())
    await bot.request(V1)
    prune = await bot.started(1, "prune")
    card = await bot.request(V2)
    assert "Waits for the previous deployment's clean-up." in card.text
    web1.finish(prune)
    assert (await bot.end_of(2)).state is State.SUCCEEDED


async def test_a_waiting_one_is_planned_when_the_server_answers_again(bot: BotUnderTest) -> None:
    web1 = bot.hosts["web1"]
    web1.script("fetch", Outcome(hold=True), web1._outcomes["fetch"][0])
    await bot.request(V1)
    job = await bot.started(1, "fetch")
    await bot.request(V2)
    bot.hosts["web2"].down = "the connection broke"
    web1.finish(job, code=1)
    await bot.end_of(1)
    bot.hosts["web2"].down = ""
    assert (await bot.end_of(2)).state is State.SUCCEEDED


async def test_files_of_jobs_that_a_killed_bot_left_go_with_the_next_clean_up(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    ended = await killed(bot, fetch("web1", StepState.FAILED, code=1))
    assert ended.state is State.FAILED
    await bot.hosts["web1"].start("job-web1", "old", {}, deadline=1.0)
    await bot.deploy(V3)
    assert (await bot.hosts["web1"].poll("job-web1", 0)).status.state is JobState.NEVER


async def test_a_restart_that_fails_does_not_say_that_nothing_was_touched(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    web1, web2 = (bot.hosts[name] for name in ("web1", "web2"))
    web1.script("command", Outcome(code=1, log=b"it does not come up again\n"))
    await bot.deployments.restart(bot.ctx(), bot.app, bot.production)
    ended = await bot.end_of(2)
    assert (ended.state, ended.tail) == (State.FAILED, ("it does not come up again",))
    assert ended.outcome.endswith("Now running: web1 1111111111; web2 1111111111.")
    assert not [one for one in web2.started if one.script == "command"], "it stops at the first that fails"
