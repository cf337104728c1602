"""In which order servers are put back, and what a clean-up leaves on them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import JobState, ServerFacts, State, StepState
from deploybot.testing import FakeHost, Outcome
from tests.kit.bot import V1, V2, V3, BotUnderTest, open_as, switched
from tests.kit.settings import bot_settings


async def test_servers_are_put_back_in_the_opposite_order(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    order: list[tuple[str, str]] = []

    def switch(host: FakeHost, env: Mapping[str, str]) -> None:
        order.append((host.name, env["DEPLOYBOT_RELEASE"][0]))
        switched(host, env)

    good = Outcome(effect=switch)
    bot.hosts["web1"].script("switch", good)
    bot.hosts["web2"].script("switch", Outcome(effect=switch, code=1), good)
    ended = await bot.deploy(V2)
    assert ended.state is State.RESTORED
    assert order == [("web1", "2"), ("web2", "2"), ("web2", "1"), ("web1", "1")]
    told = [line.partition(":")[0] for line in ended.outcome.splitlines() if "was restored" in line]
    assert told == ["web2", "web1"]


@pytest.mark.parametrize("silence", [0.05, 60.0])
async def test_a_server_that_does_not_answer_or_fails_holds_up_no_other(tmp_path: Path, silence: float) -> None:
    settings = bot_settings(tmp_path / "data", servers=("web1", "web2"), apps={"shop": {"restore_within": "5m"}})
    async with open_as(BotUnderTest, tmp_path, settings) as bot:
        bot.wait(restore_silence=silence, restore_look=0.01)
        await bot.deploy(V1)
        web1, web2 = bot.hosts["web1"], bot.hosts["web2"]
        good = Outcome(effect=switched)
        web1.script("switch", good)
        # One that goes away, and one that fails, and is retried after a pause of seconds.
        stuck = [Outcome(hold=True)] if silence < 1 else [Outcome(code=1), Outcome(hold=True)]
        web2.script("switch", Outcome(effect=switched, code=1), *stuck)
        begun = len(web1.started)
        number = await bot.ask()

        def put_back() -> list[str]:
            jobs = [one.job for one in web2.started if one.script == "switch"]
            return [job for job in jobs if job.startswith(f"{number}-r")]

        job = ""
        if silence < 1:
            job = await bot.started(number, "switch", "web2", phase="r")
            web2.cut()
        await bot.until(number, lambda _: len(web1.started) > begun + 2 and web1.server_facts.current == V1.id)
        assert (await bot.deployment(number)).state is State.RESTORING
        assert web2.server_facts.current == V2.id
        if silence < 1:
            web2.down = ""
            web2.finish(job)
        else:
            await bot.until(number, lambda _: len(put_back()) == 2)
            web2.finish(put_back()[-1])
        ended = await bot.end_of(number)
    told = [line.partition(":")[0] for line in ended.outcome.splitlines() if "was restored" in line]
    assert (ended.state, told) == (State.RESTORED, ["web2", "web1"])


async def test_a_clean_up_keeps_folders_of_releases_that_were_requested_since(bot: BotUnderTest) -> None:
    await bot.deploy(V1)
    web1 = bot.hosts["web1"]
    web1.server_facts = replace(web1.server_facts, releases=(V1.id, V3.id))
    web1.script("switch", Outcome(hold=True, effect=switched), Outcome(effect=switched))
    second = await bot.ask("deploy shop@v2 to production because it is time")
    switch = await bot.started(second, "switch")
    await bot.ask("deploy shop@v3 to production because it is time")
    web1.finish(switch)
    prune = await bot.started(second, "prune")
    keep = next(one.env["DEPLOYBOT_KEEP"] for one in web1.started if one.job == prune)
    assert keep.split("\n") == [V2.id, V1.id, V3.id]


async def test_a_server_that_answers_keeps_its_turn_however_long_it_takes_to_start(tmp_path: Path) -> None:
    settings = bot_settings(tmp_path / "data", servers=("web1", "web2"), apps={"shop": {"restore_within": "5m"}})
    async with open_as(BotUnderTest, tmp_path, settings) as bot:
        bot.wait(restore_silence=0.05, restore_look=0.01)
        await bot.deploy(V1)
        web1, web2 = bot.hosts["web1"], bot.hosts["web2"]
        web1.script("switch", Outcome(effect=switched))
        web2.script("switch", Outcome(effect=switched, code=1), Outcome(hold=True, effect=switched))
        number = await bot.ask()
        job = await bot.started(number, "switch", "web2", phase="r")
        begun, looks = len(web1.started), count_looks(web2)
        await bot.until(number, lambda _: next(looks) > 20)
        assert len(web1.started) == begun
        web2.finish(job)
        assert (await bot.end_of(number)).state is State.RESTORED
    assert len(web1.started) > begun


async def test_a_restore_that_hangs_on_a_server_that_answers_ends_its_turn(tmp_path: Path) -> None:
    settings = bot_settings(tmp_path / "data", servers=("web1", "web2"), apps={"shop": {"restore_within": 0.5}})
    async with open_as(BotUnderTest, tmp_path, settings) as bot:
        await bot.deploy(V1)
        web1, web2 = bot.hosts["web1"], bot.hosts["web2"]
        web1.script("switch", Outcome(effect=switched))
        web2.script("switch", Outcome(effect=switched, code=1), Outcome(hold=True, effect=switched))
        number = await bot.ask()
        job = await bot.started(number, "switch", "web2", phase="r")
        begun = len(web1.started)
        await bot.until(number, lambda _: len(web1.started) > begun and web1.server_facts.current == V1.id)
        assert (await bot.deployment(number)).state is State.RESTORING
        web2.finish(job)
        assert (await bot.end_of(number)).state is State.RESTORED


def count_looks(host: FakeHost) -> Iterator[int]:
    """Count how often a server is looked at from now on; each answer is the number until then."""
    facts, looks = host.facts, 0

    async def counted(directory: str = "", *, timeout: float = 15.0, docker: bool = True) -> ServerFacts:
        nonlocal looks
        looks += 1
        return await facts(directory, timeout=timeout, docker=docker)

    host.facts = counted  # type: ignore[method-assign]  # of a fake
    return iter(lambda: looks, -1)


@pytest.mark.parametrize("state", [JobState.ORPHAN, JobState.LOST])
async def test_the_files_of_a_job_whose_end_is_not_known_are_never_deleted(bot: BotUnderTest, state: JobState) -> None:
    await bot.deploy(V1)
    web1 = bot.hosts["web1"]
    web1.script("switch", Outcome(state=state), web1._outcomes["switch"][0])
    assert (await bot.deploy(V2)).state is State.UNKNOWN
    rows = await bot.store.read(lambda tables: tables.deployments.steps(2))
    jobs = {row.state: row.job for row in rows if row.server == "web1"}
    assert (await web1.poll(jobs[StepState.UNKNOWN], 0)).status.state is state
    assert (await web1.poll(jobs[StepState.DONE], 0)).status.state is JobState.NEVER, "what ended well is cleaned up"
    await bot.deploy(V3)
    assert (await web1.poll(jobs[StepState.UNKNOWN], 0)).status.state is state
