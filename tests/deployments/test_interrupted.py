"""What is taken up again after the worst moments; each was found by tests/chaos first."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace

import pytest

from deploybot.card import Line, Tone
from deploybot.deployments.deployment_card import deployment_card
from deploybot.deployments.step_logs import Journal
from deploybot.domain import Deployment, JobState, JobStatus, Phase, State, StepRow, StepState
from deploybot.errors import Unreachable
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.testing import FakeHost, Outcome
from tests.deployments.conftest import V1, V2, V3, Shop


async def killed(shop: Shop, *ended: StepRow, cancel_by: str = "") -> Deployment:
    """V2 as a bot leaves it that is killed right after these steps have ended."""
    plan = await shop.deployments._planner.deploy(shop.app, shop.production, V2)

    def leave(tables: Tables) -> Deployment:
        made = tables.deployments.add(plan, requester=shop.person, reason="", place=None, now=1.0)
        tables.deployments.move(made.number, State.RUNNING, now=1.0)
        for row in ended:
            mine = replace(row, deployment=made.number)
            tables.deployments.begin(replace(mine, state=StepState.PENDING))
            tables.deployments.end(row.job, row.state, code=row.code, now=2.0, detail=row.detail)
        if cancel_by:
            tables.deployments.ask_cancel(made.number, cancel_by)
        return made

    made = await shop.store.write(leave)
    shop.start_bot()
    await shop.deployments.queue.resume()
    return await shop.end_of(made.number)


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


def test_what_was_written_but_never_committed_is_not_kept_twice(shop: Shop) -> None:
    journal = Journal(shop.settings.bot.data / "logs", Redactor(), limit=100_000)
    row = fetch("web1", StepState.STARTED)
    journal.append(row, b"one\n", last=False)
    kept = journal.append(row, b"one\ntwo\n", last=False)
    assert (journal.path(row).read_bytes(), kept.size) == (b"one\ntwo\n", 8)


async def test_stopping_insists_while_the_server_does_not_answer(shop: Shop) -> None:
    await shop.deploy(V1)
    web1 = shop.hosts["web1"]
    web1.script("fetch", Outcome(hold=True))
    card = await shop.ask(V2)
    job = await shop.started(2, "fetch")
    web1.cut()
    await shop.deployments.cancel(shop.ctx(), 2)
    await asyncio.sleep(0.1)
    web1.down = ""
    ended = await shop.end_of(2)
    assert (ended.state, card.queued) == (State.CANCELLED, True)
    assert (await web1.poll(job, 0)).status.state in {JobState.CANCELLED, JobState.NEVER}


async def test_a_card_says_that_a_step_is_out_of_sight_until_it_is_seen_again(shop: Shop) -> None:
    web1 = shop.hosts["web1"]
    web1.script("fetch", Outcome(hold=True))
    await shop.ask(V1)
    job = await shop.started(1, "fetch")
    web1.cut("the connection broke")
    assert (await line_of(shop, "fetch … (no contact: the connection broke; retrying)")).tone is Tone.UNKNOWN
    web1.down = ""
    assert (await line_of(shop, "fetch …")).tone is Tone.BUSY
    web1.finish(job)
    assert (await shop.end_of(1)).state is State.SUCCEEDED


async def test_a_card_says_that_a_step_cannot_be_started_yet(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    answers = asyncio.Event()
    start = FakeHost.start

    async def slow(host: FakeHost, job: str, script: str, env: Mapping[str, str], *, deadline: float) -> JobStatus:
        if not answers.is_set():
            raise Unreachable(host.name, "no answer in 10 s")
        return await start(host, job, script, env, deadline=deadline)

    monkeypatch.setattr(FakeHost, "start", slow)
    shop.hosts["web1"].script("fetch", Outcome(hold=True))
    await shop.ask(V1)
    words = "fetch … (may not have started: no answer in 10 s; retrying)"
    assert (await line_of(shop, words)).tone is Tone.UNKNOWN
    answers.set()
    assert (await line_of(shop, "fetch …")).tone is Tone.BUSY
    shop.hosts["web1"].script("fetch", Outcome())
    shop.hosts["web1"].finish(await shop.started(1, "fetch"))
    assert (await shop.end_of(1)).state is State.SUCCEEDED


async def line_of(shop: Shop, text: str) -> Line:
    """web1's line of the first deployment's card, once it reads like this."""
    async with asyncio.timeout(10):
        while True:
            deployment = await shop.deployments.get(1)
            assert deployment
            steps = await shop.store.read(lambda tables: tables.deployments.steps(1))
            line = deployment_card(deployment, steps).lines[0]
            if line.text == text:
                return line
            await asyncio.sleep(0.02)


async def test_who_cancelled_is_told_the_same_after_a_restart(shop: Shop) -> None:
    await shop.deploy(V1)
    stopped = fetch("web1", StepState.CANCELLED, detail="cancelled by ana")
    ended = await killed(shop, stopped, cancel_by="ana")
    assert (ended.state, ended.outcome) == (
        State.CANCELLED,
        "Cancelled by ana.\nThe running release was not touched.",
    )


async def test_a_step_that_another_one_stopped_is_no_cancelled_deployment(shop: Shop) -> None:
    await shop.deploy(V1)
    stopped = fetch("web1", StepState.CANCELLED, detail="step `fetch` failed on web2 with exit code 3")
    ended = await killed(shop, stopped, fetch("web2", StepState.FAILED, code=3))
    assert ended.state is State.FAILED
    assert ended.outcome.startswith("Step `fetch` failed on web2 with exit code 3.")


async def test_cancelled_between_two_steps_the_next_one_is_not_begun(shop: Shop) -> None:
    await shop.deploy(V1)
    done = (fetch(server, StepState.DONE, code=0) for server in ("web1", "web2"))
    ended = await killed(shop, *done, cancel_by="ana")
    assert ended.outcome == "Cancelled by ana.\nThe running release was not touched."
    rows = await shop.store.read(lambda tables: tables.deployments.steps(ended.number))
    assert {row.name for row in rows} == {"fetch"}


async def test_what_comes_during_a_clean_up_is_planned_after_it(shop: Shop) -> None:
    web1 = shop.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, releases=("9" * 40,))
    web1.script("prune", Outcome(hold=True), Outcome())
    await shop.ask(V1)
    prune = await shop.started(1, "prune")
    card = await shop.ask(V2)
    assert "Waits for the previous deployment's clean-up." in card.text
    web1.finish(prune)
    assert (await shop.end_of(2)).state is State.SUCCEEDED


async def test_a_waiting_one_is_planned_when_the_server_answers_again(shop: Shop) -> None:
    web1 = shop.hosts["web1"]
    web1.script("fetch", Outcome(hold=True), web1._outcomes["fetch"][0])
    await shop.ask(V1)
    job = await shop.started(1, "fetch")
    await shop.ask(V2)
    shop.hosts["web2"].down = "the connection broke"
    web1.finish(job, code=1)
    await shop.end_of(1)
    shop.hosts["web2"].down = ""
    assert (await shop.end_of(2)).state is State.SUCCEEDED


async def test_files_of_jobs_that_a_killed_bot_left_go_with_the_next_clean_up(shop: Shop) -> None:
    await shop.deploy(V1)
    ended = await killed(shop, fetch("web1", StepState.FAILED, code=1))
    assert ended.state is State.FAILED
    await shop.hosts["web1"].start("job-web1", "old", {}, deadline=1.0)
    await shop.deploy(V3)
    assert (await shop.hosts["web1"].poll("job-web1", 0)).status.state is JobState.NEVER


async def test_a_restart_that_fails_does_not_say_that_nothing_was_touched(shop: Shop) -> None:
    await shop.deploy(V1)
    web1, web2 = (shop.hosts[name] for name in ("web1", "web2"))
    web1.script("command", Outcome(code=1, log=b"it does not come up again\n"))
    await shop.deployments.restart(shop.ctx(), shop.app, shop.production)
    ended = await shop.end_of(2)
    assert (ended.state, ended.tail) == (State.FAILED, ("it does not come up again",))
    assert ended.outcome.endswith("Now running: web1 1111111111; web2 1111111111.")
    assert not [one for one in web2.started if one.script == "command"], "it stops at the first that fails"
