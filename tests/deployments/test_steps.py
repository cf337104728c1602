"""One step on one server: started once, followed to its end, and given up at its deadline."""

from __future__ import annotations

import asyncio
import re
from dataclasses import replace
from pathlib import Path

import pytest

from deploybot.domain import JobState, Phase, ServerUpload, StepRow, StepState, UploadKind
from deploybot.errors import NOT_REACHED, Cancelled, EngineError, StepFailed, UserError
from deploybot.testing import Outcome
from tests.deployments.bench import NO_ANSWER, STEP, Bench, Hasty, Slow, make_bench, while_down
from tests.kit.bot import SECRET, V1, V2, BotUnderTest


@pytest.fixture
async def bench(bot: BotUnderTest) -> Bench:
    return await make_bench(bot)


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


async def test_a_step_is_written_down_reported_started_with_its_values_and_ended(bench: Bench) -> None:
    uploads = (
        ServerUpload(kind=UploadKind.BUNDLE, commit=V2.id, target="/srv/shop/b", have=(V1.id,)),
        ServerUpload(kind=UploadKind.ARCHIVE, commit=V1.id, target="/srv/shop/a"),
    )
    bench.host.script("build", Outcome(log=b"one\ntwo\n"))
    row = await bench.run(replace(STEP, env=(("A", "1"), ("B", "2")), uploads=uploads), secrets={"B": "secret"})
    (started,) = bench.host.started
    assert (started.script, dict(started.env), started.deadline) == ("build", {"A": "1", "B": "secret"}, 100)
    assert bench.host.uploads == {
        "/srv/shop/b": f"bundle of {V2.id} without {V1.id}\n".encode(),
        "/srv/shop/a": f"archive of {V1.id}\n".encode(),
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


async def test_a_short_log_takes_one_answer(bench: Bench) -> None:
    bench.host.script("build", Outcome(log=b"one\ntwo\n"))
    await bench.run()
    assert bench.host.calls == ["start", "poll"]


async def test_a_slow_server_has_its_time_to_answer_with_the_whole_log(bench: Bench) -> None:
    """It takes six answers. The fifth comes 130 seconds after the start, at the very end of the time."""
    log = b"".join(b"line %d\n" % number for number in range(10, 40))
    bench.host.script("build", Outcome(log=log))
    bench.host.seconds = 26.0
    row = await bench.run()
    assert bench.journal.path(row).read_bytes() == log
    assert bench.host.calls == ["start", *["poll"] * 6]


async def test_of_a_log_over_the_limit_the_end_is_kept_and_all_is_passed_over(bot: BotUnderTest) -> None:
    bench = await make_bench(bot, limit=60)
    bench.host.script("build", Outcome(log=b"".join(b"line %d\n" % number for number in range(10, 50))))
    row = await bench.run()
    lines = bench.journal.path(row).read_text().splitlines()
    assert (lines[0], lines[-1], row.offset) == ("line 10", "line 49", 320)
    assert row.size == bench.journal.path(row).stat().st_size


async def test_no_line_is_kept_in_halves_while_a_job_runs(bench: Bench) -> None:
    bench.host.script("build", Outcome(hold=True, log=b"one\ntw"))
    running = asyncio.ensure_future(bench.run())
    async with asyncio.timeout(10):
        await bench.host.waited.wait()
    (row,) = await bench.rows()
    assert (bench.journal.path(row).read_bytes(), row.offset) == (b"one\n", 4)
    bench.host.write(row.job, b"o\n")
    bench.host.finish(row.job)
    assert bench.journal.path(await running).read_bytes() == b"one\ntwo\n"


async def test_a_secret_is_masked_wherever_one_answer_ends(bench: Bench) -> None:
    """An answer has forty bytes here, and the value begins before its end."""
    bench.host.script("build", Outcome(log=b"a line of some twenty\n" + f"key={SECRET}\nmore\n".encode()))
    row = await bench.run()
    assert bench.journal.path(row).read_text() == "a line of some twenty\nkey=•••\nmore\n"


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
        (JobState.NEVER, "", "the server has no trace of it"),
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
    assert (row.state, row.code) == (StepState.FAILED, -1)
    assert row.was_never_started
    assert bench.journal.tail(row, 5) == ("step `build` was not started on web1: no room", "no room")


async def test_a_start_that_is_refused_after_one_without_an_answer_may_have_run(bench: Bench) -> None:
    class Full(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            bench.host.down, bench.host.refuses = "", True

    bench.stop = Full()
    while_down(bench, 1)
    with pytest.raises(StepFailed, match=re.escape("step `build` failed on web1: no room (exit code 126)")):
        await bench.run()
    (row,) = await bench.rows()
    assert (row.state, row.code) == (StepState.FAILED, 126)
    assert not row.was_never_started


async def test_a_start_that_is_refused_to_a_later_bot_may_have_run(bench: Bench) -> None:
    await bench.bot.store.write(lambda tables: tables.deployments.begin(bench.work().first_row(0.0)))
    bench.host.refuses = True
    with pytest.raises(StepFailed):
        await bench.run()
    assert not (await bench.rows())[0].was_never_started


@pytest.mark.parametrize(
    ("tail", "cause"),
    [(("no room",), "no room"), ((), "step `upload of b` failed on web1 with exit code 73")],
)
async def test_a_step_whose_files_the_server_refuses_was_not_started(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, tail: tuple[str, ...], cause: str
) -> None:
    async def refuse(source: Path, target: str, *, timeout: float = 0.0) -> None:
        del source, timeout
        raise StepFailed("web1", f"upload of {target}", 73, tail)

    monkeypatch.setattr(bench.host, "upload", refuse)
    step = replace(STEP, uploads=(ServerUpload(kind=UploadKind.ARCHIVE, commit=V1.id, target="b"),))
    with pytest.raises(StepFailed, match=re.escape(f"step `build` was not started on web1: {cause}")):
        await bench.run(step)
    (row,) = await bench.rows()
    assert (row.was_never_started, bench.host.calls) == (True, [])


async def test_values_that_docker_does_not_report_yet_are_asked_for_again(bench: Bench) -> None:
    bench.problems = [EngineError("Docker restarts"), EngineError("Docker restarts")]
    row = await bench.run(replace(STEP, env=(("A", "1"),)))
    assert row.state is StepState.DONE
    assert bench.stop.pauses == [0.5, 1.0]
    assert [dict(one.env) for one in bench.host.started] == [{"A": "1"}]


@pytest.mark.parametrize(
    ("problem", "said"),
    [
        (EngineError("Docker restarts"), "web1 cannot be reached: Docker restarts"),
        (ZeroDivisionError("a slip of the pen"), "web1 gave no usable answer: it cannot be read (ZeroDivisionError)"),
    ],
)
async def test_a_job_whose_start_was_never_sent_was_not_started(bench: Bench, problem: Exception, said: str) -> None:
    bench.problems = [problem] * 9
    bench.stop = Slow(bench.clock)
    with pytest.raises(StepFailed, match=re.escape(f"step `build` was not started on web1: {said}")) as caught:
        await bench.run()
    (row,) = await bench.rows()
    assert (row.state, row.code, caught.value.code) == (StepState.FAILED, -1, -1)
    assert bench.journal.tail(row, 1)[0].startswith(said)
    assert bench.host.calls == []
    assert bench.stop.pauses == [0.5, 1.0, 2.0], "it is tried once more after a minute"


async def test_a_cancellation_before_the_start_was_sent_asks_no_server(bench: Bench) -> None:
    bench.problems = [EngineError("Docker restarts")] * 9

    class Impatient(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            self.set(Cancelled("ana"))

    bench.stop = Impatient()
    with pytest.raises(Cancelled):
        await bench.run()
    (row,) = await bench.rows()
    assert (row.state, row.detail, bench.host.calls) == (StepState.CANCELLED, "cancelled by ana", [])
    assert row.was_never_started


async def test_a_cancellation_while_values_are_looked_up_asks_no_server(bench: Bench) -> None:
    asked = asyncio.Event()

    async def hang() -> dict[str, str]:
        asked.set()
        await asyncio.Event().wait()
        return {}

    running = asyncio.ensure_future(bench.runner.run(replace(bench.work(), values=hang), bench.stop))
    async with asyncio.timeout(10):
        await asked.wait()
        bench.stop.set(Cancelled("ana"))
        with pytest.raises(Cancelled):
            await running
    (row,) = await bench.rows()
    assert (row.was_never_started, bench.host.calls) == (True, [])


@pytest.mark.parametrize(("state", "code"), [(StepState.CANCELLED, -1), (StepState.FAILED, 126), (StepState.DONE, 0)])
async def test_what_was_sent_may_have_run(bench: Bench, state: StepState, code: int) -> None:
    assert not replace(bench.work().first_row(0.0), state=state, code=code).was_never_started


async def test_a_row_of_an_earlier_bot_may_have_been_started(bench: Bench) -> None:
    await bench.bot.store.write(lambda tables: tables.deployments.begin(bench.work().first_row(0.0)))
    bench.problems = [EngineError("Docker restarts")] * 9
    bench.stop = Slow(bench.clock)
    assert (await bench.unknown()).why == "web1 cannot be reached: Docker restarts; it may have started there"


async def test_values_that_cannot_be_are_a_failed_step_and_its_log(bench: Bench) -> None:
    bench.problems = [UserError("The images of web are not recorded.\nDeploy it again.")]
    with pytest.raises(StepFailed) as caught:
        await bench.run()
    assert (caught.value.server, caught.value.step, caught.value.code) == ("web1", "build", -1)
    assert caught.value.tail == ("The images of web are not recorded.", "Deploy it again.")
    (row,) = await bench.rows()
    assert (row.state, row.code, bench.host.started) == (StepState.FAILED, -1, [])
    assert bench.journal.tail(row, 2) == caught.value.tail


async def test_values_that_cannot_be_are_a_failed_step_for_a_later_bot_too(bench: Bench) -> None:
    await bench.keep(StepState.PENDING)
    bench.problems = [UserError("The images of web are not recorded.")]
    with pytest.raises(StepFailed, match="The images of web are not recorded"):
        await bench.run()
    assert ((await bench.rows())[0].state, bench.host.started) == (StepState.FAILED, [])


async def test_a_step_that_runs_is_followed_where_a_later_bot_cannot_have_its_values(bench: Bench) -> None:
    row = await bench.keep(StepState.PENDING)
    await bench.host.start(row.job, "build", {}, deadline=60.0)
    bench.problems = [UserError("The images of web are not recorded.")]
    assert (await bench.run()).state is StepState.DONE
    assert bench.host.calls.count("start") == 1


async def test_a_start_without_an_answer_is_tried_for_a_minute(bench: Bench) -> None:
    while_down(bench, 30)
    said = await bench.unknown()
    assert bench.host.calls == ["start"] * 3
    assert bench.stop.pauses == [0.5, 1.0]
    assert said.why == f"{NO_ANSWER}; it may have started there"
    # The card says why it waits, once: when the row was made, when that is not known, when it is given up.
    assert bench.told == [StepState.PENDING, StepState.PENDING, StepState.UNKNOWN]


async def test_a_start_for_which_no_connection_could_be_made_was_never_sent(bench: Bench) -> None:
    while_down(bench, 30)
    bench.host.broke = False
    with pytest.raises(StepFailed, match="was not started on web1: web1 cannot be reached: the connection broke"):
        await bench.run()
    (row,) = await bench.rows()
    assert (row.state, row.code) == (StepState.FAILED, NOT_REACHED)
    assert row.was_never_started


async def test_a_start_that_was_sent_before_no_connection_could_be_made_may_have_run(bench: Bench) -> None:
    class Gone(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            bench.host.broke = False

    bench.stop = Gone()
    while_down(bench, 30)
    said = await bench.unknown()
    assert said.why == f"{NO_ANSWER}; it may have started there"


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


async def test_a_log_that_is_read_again_is_recorded_as_unread(bench: Bench) -> None:
    """The next bot reads it from its beginning, too, if this one dies before the server answers."""
    row = await bench.keep(StepState.STARTED)
    await bench.bot.store.write(lambda tables: tables.deployments.progress(row.job, offset=9, size=9))
    seen: list[StepRow] = []

    class Watching(Hasty):
        async def pause(self, seconds: float) -> None:
            await Hasty.pause(self, seconds)
            seen.extend(await bench.rows())
            bench.host.down = ""

    bench.stop = Watching()
    bench.host.script("build", Outcome())
    await bench.host.start(row.job, "build", {}, deadline=100)
    while_down(bench, 1)
    await bench.run()
    assert [(one.offset, one.size) for one in seen] == [(0, 0)]


@pytest.mark.parametrize(
    ("call", "state"),
    [
        ("start", StepState.PENDING),
        ("poll", StepState.PENDING),
        ("poll", StepState.STARTED),
        ("wait", StepState.PENDING),
        ("cancel", StepState.STARTED),
    ],
)
async def test_an_answer_that_cannot_be_read_names_its_server(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, call: str, state: StepState
) -> None:
    async def slip(*given: object, **more: object) -> object:
        raise ZeroDivisionError(given, more)

    monkeypatch.setattr(bench.host, call, slip)
    bench.wait(job_stop=0.01)
    bench.stop = Slow(bench.clock)
    bench.host.script("build", Outcome(hold=True))
    await bench.keep(state)
    if call == "cancel":
        bench.stop.set(Cancelled("ana"))
    said = (await bench.unknown()).why
    assert said.startswith("web1 gave no usable answer: it cannot be read (ZeroDivisionError)")


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
    assert await bench.rows() == (row,)
    assert lost == ["the connection broke"] * 2


async def test_each_time_out_of_sight_begins_with_a_short_pause(bench: Bench) -> None:
    bench.wait(job_wait=0.01)

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
