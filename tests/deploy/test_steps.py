"""One step on one server: started once, followed to its end, stopped, and given up at its deadline."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from deploybot.deploy import steps
from deploybot.deploy.journal import Journal
from deploybot.deploy.steps import StepRunner, Work
from deploybot.deploy.stop import Stop
from deploybot.domain import (
    Deployment,
    JobChunk,
    JobState,
    JobStatus,
    Kind,
    Phase,
    Plan,
    State,
    Step,
    StepRow,
    StepState,
    Upload,
    UploadKind,
)
from deploybot.errors import Cancelled, StepFailed, StepUnknown, Unreachable
from deploybot.ports import Tables
from deploybot.redact import Redactor
from deploybot.settings import App
from deploybot.testing import FakeClock, FakeHost, FakeRefs, FakeServers, Outcome
from tests.deploy.conftest import V1, V2, Shop

STEP = Step(name="build", script="build", timeout=100)
PLAN = Plan(kind=Kind.DEPLOY, app="shop", environment="production", release=V2, servers=())
NO_ANSWER = "web1 cannot be reached: the connection broke"


class FarHost(FakeHost):
    """A server whose calls take `seconds` each. The call named by `cut_at` breaks the connection after `spared`."""

    def __init__(self, clock: FakeClock) -> None:
        super().__init__("web1")
        self.clock = clock
        self.seconds = 0.0
        self.calls: list[str] = []
        self.cut_at, self.spared = "", 0
        self.deaf_to_cancel = False
        self.refuses = False
        self.hangs = False
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
        chunk = await super().poll(job, offset, limit=min(limit, 40), timeout=timeout)
        return JobChunk(replace(chunk.status, detail=self.detail), chunk.data)

    async def cancel(self, job: str, *, grace: float = 0.0) -> JobStatus:
        self._call("cancel")
        assert grace == steps.GRACE
        if self.refuses:
            raise StepFailed("web1", "cancel", 126, ("no room", "at all"))
        if self.deaf_to_cancel:
            await self._reach(grace)
            return self._status(job)
        return await super().cancel(job, grace=grace)

    async def wait(self, job: str, *, timeout: float) -> JobStatus:
        self._call("wait")
        assert timeout == steps.LOOK_EVERY
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


class Hasty(Stop):
    """A wish to stop whose pauses take no time; `pauses` says how long they were to be."""

    def __init__(self) -> None:
        super().__init__()
        self.pauses: list[float] = []

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)


@dataclass(slots=True)
class Bench:
    """One server, one deployment, and what runs its steps."""

    shop: Shop
    deployment: Deployment
    clock: FakeClock = field(default_factory=FakeClock)
    stop: Hasty = field(default_factory=Hasty)
    told: list[StepState] = field(default_factory=list)
    host: FarHost = field(init=False)
    runner: StepRunner = field(init=False)
    journal: Journal = field(init=False)

    def __post_init__(self) -> None:
        self.host = FarHost(self.clock)
        self.journal = Journal(self.shop.settings.bot.data / "logs", Redactor(), limit=100_000)
        self.runner = StepRunner(
            store=self.shop.store,
            servers=FakeServers([self.host]),
            refs=CarefulRefs(self.shop.settings.bot.data.parent),
            journal=self.journal,
            clock=self.clock,
            tell=self._tell,
        )

    def _tell(self, tables: Tables, number: int) -> None:
        assert number == self.deployment.number
        self.told += [row.state for row in tables.deployments.steps(number)]

    def work(self, step: Step = STEP, **more: object) -> Work:
        known = {"phase": Phase.FORWARD, "server": "web1", "position": 0, "secrets": {}} | more
        return Work(deployment=self.deployment, app=self.shop.app, step=step, **known)  # type: ignore[arg-type]

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
        return await self.shop.store.read(lambda tables: tables.deployments.steps(self.deployment.number))

    async def keep(self, state: StepState, *, code: int = -1, detail: str = "") -> StepRow:
        """The step as an earlier bot left it."""

        def keep(tables: Tables) -> StepRow:
            row = tables.deployments.begin(self.work().first_row(1.0))
            if state is StepState.STARTED:
                tables.deployments.progress(row.job, offset=0, size=0)
            elif state is not StepState.PENDING:
                tables.deployments.end(row.job, state, code=code, now=2.0, detail=detail)
            return row

        return await self.shop.store.write(keep)


@pytest.fixture
async def bench(shop: Shop) -> Bench:
    def add(tables: Tables) -> Deployment:
        made = tables.deployments.add(PLAN, requester=shop.person, reason="", place=None, now=1.0)
        return tables.deployments.move(made.number, State.RUNNING, now=1.0)

    return Bench(shop, await shop.store.write(add))


def while_down(bench: Bench, seconds: float) -> None:
    """From now on the server does not answer, and every call takes so long to find that out."""
    bench.host.seconds = seconds
    bench.host.cut("the connection broke")


async def test_a_step_gets_a_row_with_an_id_that_nobody_can_guess(bench: Bench) -> None:
    first, second = (bench.work().first_row(5.0) for _ in range(2))
    assert re.fullmatch(r"1-f-web1-0-[0-9a-f]{10}", first.job)
    assert first.job != second.job
    assert replace(first, job="") == StepRow(
        deployment=1,
        phase=Phase.FORWARD,
        server="web1",
        position=0,
        name="build",
        job="",
        state=StepState.PENDING,
        started=5.0,
    )
    odd = bench.work(server="Web 1/ü.x_y-z", phase=Phase.RESTORE).first_row(5.0)
    assert odd.job.startswith("1-r-_eb_1__.x_y-z-0-")


async def test_a_step_is_written_down_told_started_with_its_values_and_ended(bench: Bench) -> None:
    uploads = (
        Upload(kind=UploadKind.BUNDLE, commit=V2.commit, target="/srv/shop/b", have=(V1.commit,)),
        Upload(kind=UploadKind.ARCHIVE, commit=V1.commit, target="/srv/shop/a"),
    )
    bench.host.script("build", Outcome(log=b"one\ntwo\n"))
    row = await bench.run(replace(STEP, env=(("A", "1"), ("B", "2")), uploads=uploads), secrets={"B": "secret"})
    (started,) = bench.host.started
    assert (started.script, dict(started.env), started.deadline) == ("build", {"A": "1", "B": "secret"}, 100)
    assert bench.host.uploads == {
        "/srv/shop/b": f"bundle of {V2.commit} without {V1.commit}\n".encode(),
        "/srv/shop/a": f"archive of {V1.commit}\n".encode(),
    }
    assert bench.told == [StepState.PENDING, StepState.DONE]
    assert (row.state, row.code, row.offset, row.size, row.finished) == (StepState.DONE, 0, 8, 8, bench.clock.now())
    assert (await bench.rows()) == (row,)
    assert bench.journal.path(row).read_bytes() == b"one\ntwo\n"


async def test_a_log_longer_than_one_answer_is_fetched_whole(bench: Bench) -> None:
    log = b"".join(f"line {number}\n".encode() for number in range(50))
    bench.host.script("build", Outcome(log=log + b"no line end"))
    row = await bench.run()
    assert bench.journal.path(row).read_bytes() == log + b"no line end"
    assert row.offset == len(log) + 11


async def test_a_step_that_fails_says_its_code_and_its_last_words(bench: Bench) -> None:
    bench.host.script("build", Outcome(code=3, log=b"".join(b"line %d\n" % number for number in range(30))))
    with pytest.raises(StepFailed) as caught:
        await bench.run()
    assert (caught.value.server, caught.value.step, caught.value.code) == ("web1", "build", 3)
    assert caught.value.tail == tuple(f"line {number}" for number in range(15, 30))
    (row,) = await bench.rows()
    assert (row.state, row.code) == (StepState.FAILED, 3)


@pytest.mark.parametrize(
    ("state", "detail", "why"),
    [
        (JobState.ORPHAN, "", "its runner on the server died and left processes behind"),
        (JobState.LOST, "", "the server was restarted, or the job's files are gone"),
        (JobState.LOST, "boot id differs", "boot id differs"),
        (JobState.NEVER, "", "the server has no trace of it any more"),
    ],
)
async def test_an_end_that_the_server_does_not_know_is_unknown(
    bench: Bench, state: JobState, detail: str, why: str
) -> None:
    bench.host.script("build", Outcome(state=state))
    bench.host.detail = detail
    said = await bench.unknown()
    assert (said.server, said.step, said.why) == ("web1", "build", why)


async def test_a_job_that_was_stopped_on_the_server_was_stopped_by_a_person(bench: Bench) -> None:
    bench.host.script("build", Outcome(state=JobState.CANCELLED))
    with pytest.raises(Cancelled, match="cancelled by a person"):
        await bench.run()
    assert (await bench.rows())[0].state is StepState.CANCELLED


async def test_what_the_server_refuses_to_start_has_failed_and_its_words_are_the_log(bench: Bench) -> None:
    bench.host.refuses = True
    with pytest.raises(StepFailed):
        await bench.run()
    (row,) = await bench.rows()
    assert (row.state, row.code) == (StepState.FAILED, 126)
    assert bench.journal.tail(row, 5) == ("step `build` on web1 ended with code 126", "no room")


async def test_a_start_without_an_answer_is_tried_for_a_minute(bench: Bench) -> None:
    while_down(bench, 30)
    said = await bench.unknown()
    assert bench.host.calls == ["start"] * 3
    assert bench.stop.pauses == [0.5, 1.0]
    assert said.why == f"{NO_ANSWER}; whether it was started there is not known"
    # The card says why it waits, once: when the row was made, when that is not known, when it is given up.
    assert bench.told == [StepState.PENDING, StepState.PENDING, StepState.UNKNOWN]


async def test_pauses_between_tries_double_up_to_ten_seconds(bench: Bench) -> None:
    while_down(bench, 7)
    await bench.unknown()
    assert bench.stop.pauses == [0.5, 1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


async def test_a_start_that_is_not_known_is_noted_with_its_reason(bench: Bench) -> None:
    seen: list[str] = []

    class Watching(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            seen.extend(row.detail for row in await bench.rows())
            bench.host.down = ""

    bench.stop = Watching()
    while_down(bench, 1)
    row = await bench.run()
    assert seen == ["the connection broke"]
    assert (row.state, row.detail) == (StepState.DONE, "")


async def test_a_job_out_of_sight_is_given_up_a_minute_after_its_own_deadline(bench: Bench) -> None:
    bench.host.script("build", Outcome(hold=True))
    bench.host.cut_at, bench.host.seconds = "wait", 80
    said = await bench.unknown()
    assert bench.host.calls == ["wait", "poll", "poll", "poll"]
    assert bench.stop.pauses == [0.5, 1.0, 2.0]
    assert said.why == NO_ANSWER
    # Written down, seen to run, out of sight (once), and unknown.
    assert bench.told == [StepState.PENDING, StepState.STARTED, StepState.STARTED, StepState.UNKNOWN]


async def test_a_job_that_is_seen_again_has_its_whole_time_and_short_pauses_again(bench: Bench) -> None:
    lost: list[str] = []

    class Healing(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            lost.append((await bench.rows())[0].detail)
            if len(bench.stop.pauses) == 2:
                bench.host.down = ""
                bench.host.finish(bench.host.started[0].job)

    bench.stop = Healing()
    bench.host.script("build", Outcome(hold=True))
    bench.host.cut_at, bench.host.seconds = "wait", 1
    row = await bench.run()
    assert (row.state, bench.stop.pauses) == (StepState.DONE, [0.5, 1.0])
    assert lost == ["the connection broke"] * 2


async def test_each_time_out_of_sight_begins_with_a_short_pause(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "LOOK_EVERY", 0.01)

    class Twice(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            bench.host.down = "" if len(self.pauses) > 1 else bench.host.down
            if len(self.pauses) == 2:
                bench.host.cut_at, bench.host.spared = "wait", 1
            elif len(self.pauses) == 3:
                bench.host.finish(bench.host.started[0].job)

    bench.stop = Twice()
    bench.host.script("build", Outcome(hold=True))
    bench.host.cut_at = "wait"
    await bench.run()
    assert bench.stop.pauses == [0.5, 1.0, 0.5]


async def test_who_wishes_to_stop_before_a_step_is_begun_leaves_no_trace_of_it(bench: Bench) -> None:
    bench.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled, match="cancelled by ana"):
        await bench.run()
    assert (await bench.rows(), bench.host.calls, bench.told) == ((), [], [])


@pytest.mark.parametrize(
    ("state", "code", "detail"), [(JobState.RUNNING, -1, "cancelled by ana"), (JobState.DONE, 0, "")]
)
async def test_a_step_that_was_begun_is_stopped_and_an_end_that_came_first_counts(
    bench: Bench, state: JobState, code: int, detail: str
) -> None:
    row = await bench.keep(StepState.PENDING)
    bench.host.script("build", Outcome(hold=True, log=b"half a line"))
    await bench.host.start(row.job, "build", {}, deadline=100)
    if state is JobState.DONE:
        bench.host.finish(row.job)
    bench.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled, match="cancelled by ana"):
        await bench.run()
    (ended,) = await bench.rows()
    assert ended.state is (StepState.DONE if state is JobState.DONE else StepState.CANCELLED)
    assert (ended.code, ended.detail) == (code, detail)
    assert bench.journal.path(ended).read_bytes() == b"half a line"


async def test_a_step_that_failed_before_it_could_be_stopped_has_failed(bench: Bench) -> None:
    row = await bench.keep(StepState.STARTED)
    bench.host.script("build", Outcome(code=3))
    await bench.host.start(row.job, "build", {}, deadline=100)
    bench.stop.set(Cancelled("ana"))
    with pytest.raises(StepFailed):
        await bench.run()


async def test_a_job_that_does_not_stop_is_unknown(bench: Bench) -> None:
    row = await bench.keep(StepState.STARTED)
    bench.host.script("build", Outcome(hold=True))
    await bench.host.start(row.job, "build", {}, deadline=100)
    bench.host.deaf_to_cancel = True
    bench.stop.set(Cancelled("ana"))
    assert (await bench.unknown()).why == "it was told to stop and goes on"


async def test_a_job_that_cannot_be_stopped_is_given_up_after_a_minute(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "RETRY_FIRST", 0.001)
    await bench.keep(StepState.STARTED)
    while_down(bench, 30)
    bench.stop.set(Cancelled("ana"))
    assert (await bench.unknown()).why == f"{NO_ANSWER}, so it could not be stopped"
    assert bench.host.calls == ["cancel"] * 3


async def test_a_server_that_refuses_to_stop_a_job_says_why(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "RETRY_FIRST", 0.001)
    await bench.keep(StepState.STARTED)
    bench.host.refuses, bench.host.seconds = True, 61
    bench.stop.set(Cancelled("ana"))
    assert (await bench.unknown()).why == (
        "step `cancel` on web1 ended with code 126; no room; at all, so it could not be stopped"
    )


async def test_a_wait_that_hangs_is_left_and_the_log_is_looked_at(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(steps, "LOOK_EVERY", 0.01)
    monkeypatch.setattr(steps, "GRACE", 0.1)
    bench.host.hangs = True
    bench.host.script("build", Outcome(hold=True))
    began = asyncio.get_running_loop().time()
    assert (await bench.run()).state is StepState.DONE
    assert asyncio.get_running_loop().time() - began >= 0.1, "it gets its time"


async def test_a_step_that_has_ended_says_the_same_again_and_starts_nothing(bench: Bench) -> None:
    await bench.keep(StepState.DONE, code=0)
    assert (await bench.run()).state is StepState.DONE
    assert (bench.host.calls, bench.told) == ([], [])


@pytest.mark.parametrize(
    ("state", "detail", "said"),
    [
        (StepState.UNKNOWN, "nobody knows", "how step `build` on web1 ended is unknown: nobody knows"),
        (StepState.FAILED, "", "step `build` on web1 ended with code 3"),
        (StepState.CANCELLED, "ben", "cancelled by ben"),
        (StepState.CANCELLED, "", "cancelled by a person"),
    ],
)
async def test_a_bad_end_is_said_again_after_a_restart(bench: Bench, state: StepState, detail: str, said: str) -> None:
    row = await bench.keep(state, code=3, detail=detail)
    bench.journal.append(row, b"one\ntwo\n", last=True)
    with pytest.raises((StepUnknown, StepFailed, Cancelled), match=f"^{re.escape(said)}$") as caught:
        await bench.run()
    if isinstance(caught.value, StepFailed):
        assert caught.value.tail == ("one", "two")


async def test_a_stop_that_is_known_by_now_is_why_a_step_was_cancelled(bench: Bench) -> None:
    await bench.keep(StepState.CANCELLED, detail="ben")
    bench.stop.set(Unreachable("web2", "it is off"))
    with pytest.raises(Unreachable, match="web2"):
        await bench.run()


async def test_a_log_file_that_lost_bytes_is_fetched_again_from_its_beginning(bench: Bench) -> None:
    row = await bench.keep(StepState.PENDING)
    bench.host.script("build", Outcome(log=b"one\ntwo\n"))
    await bench.host.start(row.job, "build", {}, deadline=100)
    await bench.shop.store.write(lambda tables: tables.deployments.progress(row.job, offset=4, size=4))
    ended = await bench.run()
    assert bench.journal.path(ended).read_bytes() == b"one\ntwo\n"
    assert (ended.offset, ended.size, len(bench.host.started)) == (8, 8, 1)
