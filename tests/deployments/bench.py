"""A bench for steps: one server that takes its time, one deployment, and what runs its steps."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, cast

import pytest

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_runner import StepRunner, Work
from deploybot.deployments.timeouts import TIMEOUTS
from deploybot.domain import Deployment, JobChunk, JobStatus, Kind, Phase, Plan, State, Step, StepRow, StepState
from deploybot.errors import StepFailed, StepUnknown
from deploybot.masking import Redactor
from deploybot.ports import Tables
from deploybot.settings import App
from deploybot.testing import FakeClock, FakeHost, FakeRefs, FakeServers
from tests.kit.bot import SECRET, V2, BotUnderTest

STEP = Step(name="build", script="build", timeout=100)
PLAN = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=())
NO_ANSWER = "web1 cannot be reached: the connection broke"


class FarHost(FakeHost):
    """A server whose calls take `seconds` each. The call named by `cut_at` breaks the connection after `spared`."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("web1")
        self.clock = clock
        self.timeouts = TIMEOUTS
        self.seconds = 0.0
        self.calls: list[str] = []
        self.limits: list[int] = []
        self.cut_at, self.spared = "", 0
        self.deaf_to_cancel = False
        self.refuses = False
        self.hangs = False
        self.waited = asyncio.Event()
        self.detail = ""

    async def start(
        self, job: str, script: str, env: Mapping[str, str], *, deadline: float, timeout: float = 30.0
    ) -> JobStatus:
        self._call("start")
        if self.refuses:
            raise StepFailed("web1", "build", 126, ("no room",))
        return await super().start(job, script, env, deadline=deadline, timeout=timeout)

    async def poll(self, job: str, offset: int, *, limit: int = 262_144, timeout: float = 15.0) -> JobChunk:
        self._call("poll")
        assert job
        self.limits.append(limit)
        chunk = await super().poll(job, offset, limit=min(limit, 40), timeout=timeout)
        return JobChunk(replace(chunk.status, detail=self.detail), chunk.data)

    async def cancel(self, job: str, *, grace: float = 0.0) -> JobStatus:
        self._call("cancel")
        assert grace == self.timeouts.job_grace
        if self.refuses:
            raise StepFailed("web1", "cancel", 126, ("no room", "at all"))
        if self.deaf_to_cancel:
            await self._reach(grace)
            return self._status(job)
        return await super().cancel(job, grace=grace)

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        self._call("wait")
        self.waited.set()
        assert timeout == self.timeouts.job_wait
        assert job in self._jobs
        if self.hangs:
            self.finish(job)
            await asyncio.Event().wait()
        return await super().wait(job, timeout=timeout)

    def _call(self, name: str) -> None:
        if name == self.cut_at and self.spared:
            self.spared -= 1
        elif name == self.cut_at:
            self.calls.clear()
            self.cut_at = ""
            self.cut("the connection broke")
        elif self.down or not self.cut_at:
            self.clock.advance(self.seconds)
        self.calls.append(name)


class CarefulRefs(FakeRefs):
    """A repository that gives nothing for an app without a name."""

    async def bundle(self, app: App, commit: str, have: Sequence[str]) -> Path:
        assert app.name == "shop"
        return await super().bundle(app, commit, have)

    async def archive(self, app: App, commit: str) -> Path:
        assert app.name == "shop"
        return await super().archive(app, commit)


class Hasty(CancellationWatch):
    """A wish to stop whose pauses take no time; `pauses` says how long they were to be."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


class Slow(Hasty):
    """A wish to stop whose pauses take half a minute by the clock."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__()
        self.clock = clock

    async def pause(self, seconds: float) -> None:
        await super().pause(seconds)
        self.clock.advance(30.0)


@dataclass(slots=True)
class Bench:
    """One server, one deployment, and what runs its steps."""

    bot: BotUnderTest
    deployment: Deployment
    limit: int = 100_000
    clock: FakeClock = field(default_factory=FakeClock)
    stop: Hasty = field(default_factory=Hasty)
    told: list[StepState] = field(default_factory=list)
    problems: list[Exception] = field(default_factory=list)
    """What is raised, one after the other, when the values of a step are asked for."""
    host: FarHost = field(init=False)
    runner: StepRunner = field(init=False)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.host = FarHost(self.clock)
        self.journal = Journal(self.bot.settings.bot.data / "logs", Redactor((SECRET,)), limit=self.limit)
        self.make_runner()

    def make_runner(self) -> None:
        self.runner = StepRunner(
            store=self.bot.store,
            servers=FakeServers([self.host]),
            refs=CarefulRefs(self.bot.settings.bot.data.parent),
            journal=self.journal,
            clock=self.clock,
            queue_card=self._tell,
            timeouts=self.host.timeouts,
        )

    def _tell(self, tables: Tables, number: int) -> None:
        assert number == self.deployment.number
        self.told += [row.state for row in tables.deployments.steps(number)]

    def wait(self, **seconds: Any) -> None:  # noqa: ANN401  those of `Timeouts`
        """Change how long it waits."""
        self.host.timeouts = replace(self.host.timeouts, **seconds)
        self.make_runner()

    def work(self, step: Step = STEP, **more: object) -> Work:
        known: dict[str, object] = {"phase": Phase.FORWARD, "server": "web1", "position": 0} | more
        secrets = cast("dict[str, str]", known.pop("secrets", {}))

        async def values() -> dict[str, str]:
            if self.problems:
                raise self.problems.pop(0)
            return {**dict(step.env), **secrets}

        return Work(deployment=self.deployment, app=self.bot.app, step=step, values=values, **known)  # type: ignore[arg-type]

    async def run(self, step: Step = STEP, **more: object) -> StepRow:
        return await self.runner.run(self.work(step, **more), self.stop)

    async def unknown(self) -> StepUnknown:
        """What it says of an end that it does not know; the row says the same."""
        with pytest.raises(StepUnknown) as caught:
            await self.run()
        (row,) = await self.rows()
        assert (row.state, row.code, row.detail) == (StepState.UNKNOWN, -1, caught.value.why)
        return caught.value

    async def rows(self) -> tuple[StepRow, ...]:
        return await self.bot.store.read(lambda tables: tables.deployments.steps(self.deployment.number))

    async def keep(self, state: StepState, *, code: int = -1, detail: str = "") -> StepRow:
        """The step as an earlier bot left it."""

        def keep(tables: Tables) -> StepRow:
            row = tables.deployments.begin(self.work().first_row(1.0))
            if state is StepState.STARTED:
                tables.deployments.progress(row.job, offset=0, size=0)
            elif state is not StepState.PENDING:
                tables.deployments.end(row.job, state, code=code, now=2.0, detail=detail)
            return row

        return await self.bot.store.write(keep)


async def make_bench(bot: BotUnderTest, limit: int = 100_000) -> Bench:
    """A bench with a deployment that runs; `limit` is what its journal keeps, in bytes."""

    def add(tables: Tables) -> Deployment:
        made = tables.deployments.add(PLAN, requester=bot.person, reason="", channel=None, now=1.0)
        return tables.deployments.move(made.number, State.RUNNING, now=1.0)

    return Bench(bot, await bot.store.write(add), limit)


def while_down(bench: Bench, seconds: float) -> None:
    """From now on the server does not answer, and every call takes so long to find that out."""
    bench.host.seconds = seconds
    bench.host.broke = True
    bench.host.cut("the connection broke")
