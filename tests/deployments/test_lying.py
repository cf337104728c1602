"""Servers in memory that never say that a job has ended: a step's time and a cancel have their way."""

from __future__ import annotations

import pytest

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.health_gate import LOG_BYTES, HealthGate
from deploybot.domain import Container, Gate, JobChunk, JobState, JobStatus, State
from deploybot.errors import Unhealthy
from deploybot.testing import FakeClock, FakeEngine, FakeHost, FakeServers, Outcome
from tests.kit.bot import GOOD_SWITCH, V1, BotUnderTest, fetched

LINE = b"a line that comes again and again\n"


class Endless(FakeHost):
    """Says of every job that it runs, and that there is more of its log than it gave."""

    heeds = False
    """Whether it stops a job that it is told to stop."""

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        status = (await super().poll(job, offset, limit=limit, timeout=timeout)).status
        if status.state is not JobState.RUNNING:
            return JobChunk(status)
        return JobChunk(JobStatus(JobState.RUNNING, size=offset + 10 * len(LINE)), LINE)

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        return (await self.poll(job, 0, timeout=timeout)).status

    async def cancel(self, job: str, *, grace: float = 10.0) -> JobStatus:
        return await super().cancel(job, grace=grace) if self.heeds else JobStatus(JobState.RUNNING)


@pytest.fixture
def endless(bot: BotUnderTest) -> Endless:
    """Return web1 of the shop, which lies."""
    liar = Endless("web1")
    liar.script("fetch", Outcome(hold=True))
    web2 = FakeHost("web2")
    web2.script("fetch", Outcome(effect=fetched))
    web2.script("switch", GOOD_SWITCH)
    bot.hosts = FakeServers([liar, web2])
    bot.start()
    return liar


@pytest.mark.usefixtures("endless")
async def test_a_step_whose_time_is_over_ends_as_unknown_where_the_server_says_it_runs(bot: BotUnderTest) -> None:
    await bot.request(V1)
    await bot.started(1, "fetch")
    bot.clock.advance(bot.app.step_timeout + 60)
    ended = await bot.end_of(1)
    assert ended.state is State.FAILED
    assert "it was asked to stop, but still runs on the server" in ended.outcome


async def test_a_step_whose_time_is_over_is_stopped_and_fails(bot: BotUnderTest, endless: Endless) -> None:
    endless.heeds = True
    await bot.request(V1)
    await bot.started(1, "fetch")
    bot.clock.advance(bot.app.step_timeout + 60)
    ended = await bot.end_of(1)
    assert ended.state is State.FAILED
    assert "Step `fetch` failed on web1: a line that comes again and again (exit code 124)." in ended.outcome


@pytest.mark.usefixtures("endless")
async def test_a_cancel_ends_what_the_server_says_goes_on(bot: BotUnderTest) -> None:
    await bot.request(V1)
    await bot.started(1, "fetch")
    await bot.deployments.cancel(bot.ctx(), 1)
    ended = await bot.end_of(1)
    assert "unknown" in ended.outcome
    bot.hosts["web1"].script("fetch", Outcome(effect=fetched))
    bot.hosts["web1"].script("switch", GOOD_SWITCH)
    assert (await bot.deploy(V1)).state is State.SUCCEEDED, "the next one begins"


async def test_the_last_words_of_a_container_are_bounded() -> None:
    engine = FakeEngine()
    engine.all["shop"] = [Container(id="1", name="web-1", service="web", image="x", state="restarting")]
    engine.chunks["1"] = [b"x" * LOG_BYTES] * 50 + [b"\n2026-01-01T00:00:00Z the end\n"]
    gate = HealthGate(FakeServers([FakeHost()], {"web1": engine}), FakeClock())
    with pytest.raises(Unhealthy) as caught:
        await gate.pass_through("web1", Gate(kind="docker", target="shop", within=-1.0), CancellationWatch(), since=0.0)
    assert caught.value.tail[-1] == "web | the end"
    assert sum(map(len, caught.value.tail)) < 1000


async def test_whatever_a_health_check_breaks_is_the_reason() -> None:
    class Odd(FakeEngine):
        async def containers(self, project: str) -> tuple[Container, ...]:
            raise RecursionError(project)

    gate = HealthGate(FakeServers([FakeHost()], {"web1": Odd()}), FakeClock())
    with pytest.raises(Unhealthy, match=r"web1 gave no usable answer: it cannot be read \(RecursionError\)"):
        await gate.pass_through("web1", Gate(kind="docker", target="shop", within=-1.0), CancellationWatch(), since=0.0)
