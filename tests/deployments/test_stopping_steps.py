"""One step that somebody wishes to stop, and one that an earlier bot has left."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace

import pytest

from deploybot.backoff import Backoff
from deploybot.domain import JobState, JobStatus, ServerUpload, StepState, UploadKind
from deploybot.errors import Cancelled, StepFailed, StepUnknown, Unreachable
from deploybot.testing import Outcome
from tests.deployments.bench import NO_ANSWER, STEP, Bench, make_bench, while_down
from tests.kit.bot import V1, BotUnderTest


@pytest.fixture
async def bench(bot: BotUnderTest) -> Bench:
    return await make_bench(bot)


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


async def test_a_job_that_runs_is_stopped_as_soon_as_somebody_wishes_it(bench: Bench) -> None:
    bench.host.script("build", Outcome(hold=True, log=b"half a line"))
    running = asyncio.ensure_future(bench.run())
    async with asyncio.timeout(10):
        await bench.host.waited.wait()
    bench.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled, match="cancelled by ana"):
        await running
    (row,) = await bench.rows()
    assert (row.state, row.detail) == (StepState.CANCELLED, "cancelled by ana")
    assert (await bench.host.poll(row.job, 0)).status.state is JobState.CANCELLED
    assert bench.journal.path(row).read_bytes() == b"half a line"


async def test_a_job_that_an_earlier_bot_started_is_followed_and_not_started_again(bench: Bench) -> None:
    row = await bench.keep(StepState.STARTED)
    await bench.host.start(row.job, "build", {}, deadline=100)
    bench.host.calls.clear()
    upload = ServerUpload(kind=UploadKind.ARCHIVE, commit=V1.id, target="/srv/shop/a")
    assert (await bench.run(replace(STEP, uploads=(upload,)))).state is StepState.DONE
    assert set(bench.host.calls) == {"poll"}
    assert bench.host.limits[0] == 0, "at first it is asked for its state alone"
    assert bench.host.uploads == {}


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
    assert (await bench.unknown()).why == "it was asked to stop, but still runs on the server"


async def test_a_job_that_cannot_be_stopped_is_given_up_in_time(bench: Bench) -> None:
    bench.wait(job_retry=Backoff(0.001, 10.0), job_stop=3.0)
    await bench.keep(StepState.STARTED)
    while_down(bench, 30)
    bench.stop.set(Cancelled("ana"))
    assert (await bench.unknown()).why == f"{NO_ANSWER}, so it could not be stopped and may still run"
    assert len(bench.host.calls) > 3
    assert {*bench.host.calls} == {"cancel"}


async def test_a_server_that_never_answers_whether_a_job_stops_is_given_up_in_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def hang(job: str, *, grace: float = 0.0) -> None:
        del job, grace
        await asyncio.Event().wait()

    monkeypatch.setattr(bench.host, "cancel", hang)
    bench.wait(job_stop=0.01)
    await bench.keep(StepState.STARTED)
    bench.stop.set(Cancelled("ana"))
    said = "no answer within 0 s, so it could not be stopped and may still run"
    assert (await bench.unknown()).why == said


async def test_a_server_that_refuses_to_stop_a_job_says_why(bench: Bench) -> None:
    bench.wait(job_retry=Backoff(0.001, 10.0), job_stop=3.0)
    await bench.keep(StepState.STARTED)
    bench.host.refuses, bench.host.seconds = True, 61
    bench.stop.set(Cancelled("ana"))
    assert (await bench.unknown()).why == (
        "step `cancel` failed on web1: at all (exit code 126); no room; at all, "
        "so it could not be stopped and may still run"
    )


async def test_a_wait_that_hangs_is_left_and_the_log_is_looked_at(bench: Bench) -> None:
    bench.wait(job_wait=0.01, job_grace=0.1)
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
        (StepState.UNKNOWN, "nobody knows", "the result of step `build` on web1 is unknown: nobody knows"),
        (StepState.FAILED, "", "step `build` failed on web1: two (exit code 3)"),
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
    await bench.bot.store.write(lambda tables: tables.deployments.progress(row.job, offset=9, size=9))
    ended = await bench.run()
    assert bench.journal.path(ended).read_bytes() == b"one\ntwo\n"
    assert (ended.offset, ended.size, len(bench.host.started)) == (8, 8, 1)


@pytest.mark.parametrize("call", ["start", "poll"])
async def test_what_does_not_answer_is_left_when_somebody_wishes_to_stop(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    begun, answer = asyncio.Event(), getattr(bench.host, call)

    async def hang(*given: object, **more: object) -> object:
        monkeypatch.setattr(bench.host, call, answer)
        begun.set()
        await asyncio.Event().wait()
        return given, more

    monkeypatch.setattr(bench.host, call, hang)
    running = asyncio.ensure_future(bench.run())
    async with asyncio.timeout(10):
        await begun.wait()
        bench.stop.set(Cancelled("ana"))
        with pytest.raises(Cancelled, match="cancelled by ana"):
            await running
    assert "cancel" in bench.host.calls


async def test_the_whole_log_of_a_stopped_job_is_fetched(bench: Bench) -> None:
    """An answer has forty bytes here."""
    log = b"".join(b"line %d\n" % number for number in range(30))
    row = await bench.keep(StepState.STARTED)
    bench.host.script("build", Outcome(hold=True, log=log))
    await bench.host.start(row.job, "build", {}, deadline=100)
    bench.host.seconds = 0.1
    bench.stop.set(Cancelled("ana"))
    with pytest.raises(Cancelled):
        await bench.run()
    assert bench.journal.path((await bench.rows())[0]).read_bytes() == log


@pytest.mark.timeout(30)
async def test_a_log_that_grows_as_fast_as_it_is_read_has_an_end(bench: Bench) -> None:
    row = await bench.keep(StepState.STARTED)
    bench.host.script("build", Outcome(hold=True, log=b"a line\n" * 20))
    await bench.host.start(row.job, "build", {}, deadline=100)
    bench.host.seconds, poll = 10.0, bench.host.poll

    async def growing(job: str, offset: int, **more: int) -> object:
        bench.host.write(job, b"a line\n" * 20)
        return await poll(job, offset, **more)

    bench.host.poll = growing  # type: ignore[method-assign,assignment]  # a server whose job never rests
    with pytest.raises(StepFailed) as caught:
        await bench.run()
    (ended,) = await bench.rows()
    assert (ended.state, ended.code, caught.value.code) == (StepState.FAILED, 124, 124)


async def test_a_job_that_outlives_its_time_is_stopped_and_its_last_words_are_kept(bench: Bench) -> None:
    bench.host.script("build", Outcome(hold=True, log=b"compiling\nstill compiling\n"))
    bench.host.seconds = 70.0
    with pytest.raises(StepFailed) as caught:
        await bench.run()
    assert (caught.value.server, caught.value.step) == ("web1", "build")
    assert (caught.value.code, caught.value.tail) == (124, ("compiling", "still compiling"))
    assert "cancel" in bench.host.calls


@pytest.mark.parametrize("seconds", [40.0, 65.0])
async def test_a_job_that_ends_soon_after_its_time_is_not_stopped(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, seconds: float
) -> None:
    """The server has half a minute to stop it: until 130 seconds after the start, the second wait's very end."""
    bench.host.script("build", Outcome(hold=True))
    bench.host.seconds, wait = seconds, bench.host.wait

    async def end(job: str, *, timeout: float) -> JobStatus:
        bench.host.finish(job)
        return await wait(job, timeout=timeout)

    monkeypatch.setattr(bench.host, "wait", end)
    assert (await bench.run()).state is StepState.DONE
    assert bench.host.calls == ["start", "poll", "wait", "poll"]


@pytest.mark.parametrize("code", [0, 3])
async def test_a_job_that_ends_while_it_is_stopped_for_its_time_has_its_own_end(bench: Bench, code: int) -> None:
    bench.host.script("build", Outcome(hold=True, log=b"compiled\n"))
    bench.host.seconds, cancel = 70.0, bench.host.cancel

    async def late(job: str, *, grace: float = 0.0) -> JobStatus:
        bench.host.finish(job, code=code)
        return await cancel(job, grace=grace)

    bench.host.cancel = late  # type: ignore[method-assign]  # a job that ends in this very moment
    if code:
        with pytest.raises(StepFailed) as caught:
            await bench.run()
        assert (caught.value.server, caught.value.step, caught.value.code) == ("web1", "build", code)
    else:
        await bench.run()
    (row,) = await bench.rows()
    assert (row.state, row.code) == (StepState.FAILED if code else StepState.DONE, code)
