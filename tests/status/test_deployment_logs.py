"""The log of a deployment: its steps in order, while it runs and afterwards."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import Deployment, Kind, Plan, Release, State
from tests.status.log_bot import LogBot


@pytest.fixture
def bot(tmp_path: Path) -> LogBot:
    made = LogBot(tmp_path)
    made.deployments.parts = [("web1 fetch", tmp_path / "a.log"), ("web1 build", tmp_path / "b.log")]
    (tmp_path / "a.log").write_text("one\ntwo\n")
    (tmp_path / "b.log").write_text("three\nfour\n")
    put(made, State.RUNNING)
    return made


def put(bot: LogBot, state: State) -> Deployment:
    plan = Plan(
        kind=Kind.DEPLOY, app="shop", environment="production", release=Release.of_commit("1" * 40, "v1"), servers=()
    )
    made = Deployment(number=7, plan=plan, state=state, requester=1, requester_name="ana")
    bot.deployments.rows[7] = made
    return made


def read(path: str) -> str:
    return Path(path).read_text()


def build_of(bot: LogBot) -> Path:
    return bot.deployments.parts[1][1]


async def test_each_step_is_named_above_its_lines(bot: LogBot) -> None:
    card = await bot.of_deployment(bot.deployments.rows[7])
    assert card.code == ("== web1 fetch ==", "one", "two", "== web1 build ==", "three", "four")
    assert card.title == "Log of #7 shop/production · running"
    assert card.hint == "`logs #7 follow` shows what comes next."
    assert (await bot.of_deployment(put(bot, State.SUCCEEDED))).hint == ""


async def test_the_last_lines_over_all_steps(bot: LogBot) -> None:
    card = await bot.of_deployment(bot.deployments.rows[7], lines=3)
    assert card.code == ("== web1 fetch ==", "two", "== web1 build ==", "three", "four")
    assert card.footer == "The last 3 lines; `logs #7 file` has all of them."


async def test_search(bot: LogBot) -> None:
    assert (await bot.of_deployment(bot.deployments.rows[7], grep="THREE")).code == ("== web1 build ==", "three")
    card = await bot.of_deployment(bot.deployments.rows[7], grep="nothing")
    assert (card.code, card.text) == ((), "No line contains “nothing”.")


async def test_a_deployment_that_has_not_begun_says_so(bot: LogBot) -> None:
    bot.deployments.parts = []
    assert (await bot.of_deployment(put(bot, State.WAITING))).text == "No step has written anything yet."
    card = await bot.of_deployment(put(bot, State.SUCCEEDED), file=True)
    assert (card.text, card.files) == ("Its steps wrote nothing, or its log was deleted.", ())


async def test_all_of_it_is_a_file(bot: LogBot) -> None:
    for query in ({"file": True, "lines": 200_000}, {"lines": 1001}):
        (file,) = (await bot.of_deployment(bot.deployments.rows[7], **query)).files
        assert file.name == "deployment-7.txt"
        assert read(file.path) == "one\ntwo\nthree\nfour\n"


async def test_following_ends_with_the_deployment_and_loses_no_line(bot: LogBot) -> None:
    """The last line comes together with the end, and without a line end."""
    task = asyncio.create_task(bot.of_deployment(bot.deployments.rows[7], lines=1, follow=True))
    await bot.until(lambda: "four" in bot.lines)
    assert bot.lines == ["== web1 build ==", "four"]
    assert bot.logs.following("log-1") is not None
    with build_of(bot).open("a") as file:
        file.write("five\nsi")
    await bot.until(lambda: "five" in bot.lines)
    with build_of(bot).open("a") as file:
        file.write("x\nseven")
    put(bot, State.FAILED)
    card = await task
    assert bot.lines == ["== web1 build ==", "four", "five", "six", "seven"]
    assert (card.title, card.final) == ("log-1: #7 shop/production · failed", True)
    assert bot.logs.following("log-1") is None


async def test_following_can_be_stopped(bot: LogBot) -> None:
    task = asyncio.create_task(bot.of_deployment(bot.deployments.rows[7], follow=True))
    await bot.until(lambda: "four" in bot.lines)
    assert bot.logs.stop("log-1")
    assert (await task).title == "log-1: stopped following the log of #7"


async def test_following_ends_when_the_reader_may_no_longer_read_it(bot: LogBot) -> None:
    task = asyncio.create_task(bot.of_deployment(bot.deployments.rows[7], follow=True))
    await bot.until(lambda: "four" in bot.lines)
    bot.refused = True
    assert (await task).title == "log-1: you may no longer read this log"


async def test_a_log_that_a_crash_cut_back_goes_on(bot: LogBot) -> None:
    task = asyncio.create_task(bot.of_deployment(bot.deployments.rows[7], lines=9, follow=True))
    await bot.until(lambda: "four" in bot.lines)
    build_of(bot).write_text("three\n")
    seen = len(bot.cards)
    put(bot, State.FAILED)
    await task
    assert len(bot.cards) == seen
    assert replace(bot.deployments.rows[7]).state is State.FAILED


async def test_a_long_line_is_cut(bot: LogBot) -> None:
    build_of(bot).write_text("x" * 100_000 + "\ny\n")
    card = await bot.of_deployment(bot.deployments.rows[7], lines=2)
    assert [len(line) for line in card.code] == [len("== web1 build =="), 2002, 1]
