"""What a card says of a step that runs for long: the time, and the last line of its output."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.chat.console.terminal_cards import plain
from deploybot.deployments.deployment_card import deployment_card
from deploybot.deployments.server_lines import Progress
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_progress import StepProgress
from deploybot.domain import State, StepRow, StepState
from deploybot.masking import MASK, Redactor
from deploybot.testing import FakeClock
from deploybot.testing.fake_hosts import Outcome
from tests.deployments.test_phone import deployment_of, on_slack, on_telegram, plan_of, rows, rows_done
from tests.kit.bot import SECRET, V1, BotUnderTest

OUTPUT = "npm warn deprecated inflight@1.0.6: this module is not supported, and leaks memory"


def running(servers: int, step: int) -> list[StepRow]:
    """The rows of a plan whose servers are all at the same step."""
    return [
        replace(row, job=f"{row.server}-{row.name}", state=StepState.STARTED if row.position == step else row.state)
        for row in rows_done(plan_of(servers))
        if row.position <= step
    ]


@pytest.mark.parametrize("servers", [1, 2, 3, 5])
@pytest.mark.parametrize("step", [0, 1, 2])
def test_a_running_card_with_output_takes_seven_rows_and_two_a_server(servers: int, step: int) -> None:
    steps = running(servers, step)
    progress = {row.job: Progress(3_600.0 * at + 80, f"{at} {OUTPUT}") for at, row in enumerate(steps)}
    card = deployment_card(deployment_of(plan_of(servers), State.RUNNING), steps, progress=progress)
    assert rows(card) <= 7 + 2 * servers, on_slack(card)


def test_the_time_and_the_last_line_are_on_every_platform() -> None:
    steps = running(1, 1)
    progress = {"web1-build": Progress(80.0, OUTPUT)}
    card = deployment_card(deployment_of(plan_of(1), State.RUNNING), steps, progress=progress)
    assert card.lines[0].text == "fetch 34 s, build … 1 min 20 s\n> npm warn deprecated inflight@1.0.6: t…"
    for shown in (on_slack(card), on_telegram(card), plain(card)):
        assert "build … 1 min 20 s\n" in shown
        assert "> npm warn deprecated inflight@1.0.6: t…" in shown


def test_many_servers_show_the_time_alone() -> None:
    steps = running(4, 0)
    progress = {row.job: Progress(20.0, OUTPUT) for row in steps}
    (line,) = deployment_card(deployment_of(plan_of(4), State.RUNNING), steps, progress=progress).lines
    assert (line.name, line.text) == ("web1, web2, web3, web4", "fetch … 20 s")


def test_what_is_lost_or_over_shows_no_progress() -> None:
    """Without contact, the time since the start says nothing about the step."""
    steps = [replace(row, detail="no answer") for row in running(1, 0)]
    progress = {"web1-fetch": Progress(20.0, OUTPUT)}
    for state in (State.RUNNING, State.UNKNOWN):
        (line,) = deployment_card(deployment_of(plan_of(1), state), steps, progress=progress).lines
        assert "20 s" not in line.text
        assert "npm" not in line.text


@pytest.fixture
def journal(tmp_path: Path) -> Journal:
    return Journal(tmp_path, Redactor((SECRET,)), limit=50_000)


def test_a_card_changes_every_ten_seconds_not_with_every_line(journal: Journal) -> None:
    clock = FakeClock(1_000.0)
    progress = StepProgress(journal, clock, str)
    (row,) = running(1, 0)
    row = replace(row, started=1_000.0)
    found = []
    for second in range(25):
        row = journal.append(row, f"line {second}\n".encode(), last=False)
        found.append(progress.of([row]).get(row.job))
        clock.advance(1)
    assert found[:10] == [None] * 10
    assert found[10:20] == [Progress(10.0, "line 10")] * 10
    assert found[20:] == [Progress(20.0, "line 20")] * 5


def test_what_has_ended_or_not_begun_has_no_progress(journal: Journal) -> None:
    progress = StepProgress(journal, FakeClock(1_000.0), str)
    (row,) = running(1, 0)
    states = (StepState.PENDING, StepState.DONE, StepState.FAILED, StepState.UNKNOWN, StepState.CANCELLED)
    assert progress.of([replace(row, state=state) for state in states]) == {}
    assert progress.of([row]) == {row.job: Progress(990.0, "")}


def test_the_last_line_is_masked_before_a_card_cuts_it(journal: Journal) -> None:
    """A secret may have become known after the log was written."""
    (row,) = running(1, 0)
    row = journal.append(row, b"token new-secret\n", last=False)
    progress = StepProgress(journal, FakeClock(1_000.0), Redactor(("new-secret",)).text)
    assert progress.of([row])[row.job].output == f"token {MASK}"


def test_a_log_that_cannot_be_read_takes_no_card_away(journal: Journal) -> None:
    (row,) = running(1, 0)
    journal.path(row).mkdir(parents=True)
    assert StepProgress(journal, FakeClock(1_000.0), str).of([row]) == {row.job: Progress(990.0, "")}


async def test_the_card_in_the_outbox_reports_a_long_step(bot: BotUnderTest) -> None:
    log = f"begin\nlogin with {SECRET}\n".encode()
    bot.hosts["web1"].script("fetch", Outcome(hold=True, log=log))
    await bot.request(V1)
    await bot.started(1, "fetch")
    async with asyncio.timeout(10):
        while not (await bot.store.read(lambda tables: tables.deployments.steps(1)))[0].size:  # noqa: ASYNC110  nothing tells of it
            await asyncio.sleep(0)
    bot.clock.advance(80)
    await bot.deployments.cancel(bot.ctx(), 1)
    line = next(one for one in (await bot.posted(1)).lines if one.name == "web1")
    assert line.text == f"fetch … 1 min 20 s\n> login with {MASK}"
    assert (await bot.end_of(1)).state is State.CANCELLED
