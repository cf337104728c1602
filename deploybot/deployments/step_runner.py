"""Run one step on a server exactly once and record how it ended; resume it after a crash."""

from __future__ import annotations

import asyncio
import dataclasses
import functools
import logging
from collections.abc import Awaitable, Callable, Mapping

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.file_uploads import send_uploads
from deploybot.deployments.server_answers import wait_for_answer
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_starts import job_id
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import NEVER_SENT, Deployment, JobState, JobStatus, Phase, Step, StepRow, StepState
from deploybot.errors import (
    NOT_REACHED,
    NOT_STARTED,
    Cancelled,
    EngineError,
    ServerDown,
    StepFailed,
    StepUnknown,
    Unreachable,
    UserError,
)
from deploybot.ports import Clock, Host, RefSource, Servers, Store, Tables
from deploybot.settings import App
from deploybot.untrusted_input import of_one

log = logging.getLogger(__name__)

TAIL = 15
OVERDUE = 30.0
"""Seconds after a step's timeout by which the server's watchdog must have ended it."""
LOG_WITHIN = 300.0
"""Seconds to fetch the rest of a log after the end."""
LOG_MOST = 134_217_728
"""The most bytes of one log to fetch: twice what the runner writes."""
UNREACHABLE_START = 60.0
LATE = 124
"""The exit code that the runner gives to a job that timed out, as timeout(1) does."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """A step with its deployment, phase, server and position.

    `values` returns the environment variables of its job, right before the job is started. A `careful` step is sent
    only to a server that has just answered, so that it is known whether a server that is down got it.
    """

    deployment: Deployment
    app: App
    phase: Phase
    server: str
    position: int
    step: Step
    values: Callable[[], Awaitable[Mapping[str, str]]]
    careful: bool = False

    def first_row(self, now: float) -> StepRow:
        """Return the row to store before anything happens."""
        return StepRow(
            deployment=self.deployment.number,
            phase=self.phase,
            server=self.server,
            position=self.position,
            name=self.step.name,
            job=job_id(self.deployment.number, self.phase, self.server, self.position),
            state=StepState.PENDING,
            started=now,
        )


@dataclasses.dataclass(slots=True)
class _Start:
    """Whether the start of a job was sent to its server: from then on it may run there."""

    sent: bool


class StepRunner:
    """Runs steps as detached jobs."""

    def __init__(
        self,
        *,
        store: Store,
        servers: Servers,
        refs: RefSource,
        journal: Journal,
        clock: Clock,
        queue_card: Callable[[Tables, int], None],
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take the ports; `queue_card(tables, number)` queues the deployment's card in the same transaction."""
        self._store = store
        self._servers = servers
        self._refs = refs
        self._journal = journal
        self._clock = clock
        self._queue_card = queue_card
        self._timeouts = timeouts

    async def run(self, work: Work, stop: CancellationWatch) -> StepRow:
        """Run a step to its end, whatever state it is in.

        Raises StepFailed, StepUnknown, or the reason in `stop` once the job was stopped for it.
        """
        if (stop.why is not None or work.careful) and not await self._is_begun(work):
            await self._insist_on_answer(work, stop)
        fresh = work.first_row(self._clock.now())
        number = work.deployment.number

        def begin(tables: Tables) -> StepRow:
            row = tables.deployments.begin(fresh)
            if row.job == fresh.job:
                self._queue_card(tables, number)
            return row

        row = await self._store.write(begin)
        if row.state not in {StepState.PENDING, StepState.STARTED}:
            return self._as_before(row, stop)
        row = await self._mended(row)
        host = self._servers.host(work.server)
        # A row that was there already may be of a bot that died right after it sent the start.
        start = _Start(sent=row.job != fresh.job)
        await self._insist(work, host, row, stop, start)
        return await self._follow(work, host, row, stop)

    async def _insist_on_answer(self, work: Work, stop: CancellationWatch) -> None:
        """Raise the reason in `stop`, or StepFailed if the server is down: then the step was certainly not started."""
        host = self._servers.host(work.server)
        problem = await wait_for_answer(
            host, stop, within=UNREACHABLE_START, clock=self._clock, timeouts=self._timeouts
        )
        if stop.why is not None:
            raise stop.why
        if problem is not None:
            fresh = work.first_row(self._clock.now())
            row = await self._store.write(lambda tables: tables.deployments.begin(fresh))
            raise await self._never_sent(row, problem) from problem

    async def _mended(self, row: StepRow) -> StepRow:
        """Return the row after its log file was cut back to the row's size, or both were reset to zero."""
        mended = self._journal.mend(row)
        if mended.offset < row.offset:
            await self._store.write(
                lambda tables: tables.deployments.progress(row.job, offset=0, size=0, from_start=True)
            )
        return mended

    async def _is_begun(self, work: Work) -> bool:
        """Return whether the step already has a row."""
        wanted = (work.phase, work.server, work.position)
        rows = await self._store.read(lambda tables: tables.deployments.steps(work.deployment.number))
        return any((row.phase, row.server, row.position) == wanted for row in rows)

    def _as_before(self, row: StepRow, stop: CancellationWatch) -> StepRow:
        """Return or raise again the result of a step that had ended before a restart."""
        if row.state is StepState.DONE:
            return row
        if row.state is StepState.UNKNOWN:
            raise StepUnknown(row.server, row.name, row.detail)
        if row.state is StepState.CANCELLED:
            raise stop.why or Cancelled(row.detail or "a person")
        raise StepFailed(row.server, row.name, row.code, self._journal.tail(row, TAIL))

    async def _insist(self, work: Work, host: Host, row: StepRow, stop: CancellationWatch, start: _Start) -> None:
        """Start the job, or find it as an earlier bot left it; retry while the server does not answer.

        A job whose start was never sent does not run for certain: it fails, or is cancelled, without a question.
        """
        last = self._clock.now() + UNREACHABLE_START
        pauses = iter(self._timeouts.job_retry)
        while True:
            if stop.why is not None and not start.sent:
                await self._end(row, StepState.CANCELLED, NEVER_SENT, str(stop.why))
                raise stop.why
            if stop.why is not None:
                raise await self._stopped(host, row, stop.why)
            begun = start.sent
            try:
                if await stop.before(self._start(work, host, row, start)) is not None:
                    return
                # It was cancelled: stopping the job shows whether it was started.
                continue
            except StepFailed as problem:
                raise await self._refused(row, problem, begun=begun) from problem
            except Unreachable as problem:
                is_over = self._clock.now() > last
                if is_over and not start.sent:
                    raise await self._never_sent(row, problem) from problem
                if is_over:
                    raise await self._unknown(row, f"{problem}; it may have started there") from problem
                log.info("step %s of #%s waits: %s", row.name, row.deployment, problem)
                if not row.detail:
                    row = await self._doubt(row, problem.why)
                await stop.pause(next(pauses))

    async def _refused(self, row: StepRow, problem: StepFailed, *, begun: bool) -> StepFailed:
        """Record that the server refused a step, with its answer as the log; return the error.

        Nothing was run then, unless an earlier start has `begun`, whose answer never came.
        """
        if not begun:
            problem = StepFailed(row.server, row.name, NOT_STARTED, problem.tail or (str(problem),))
        words = "\n".join((str(problem), *problem.tail)).encode()
        await self._end(self._journal.append(row, words, last=True), StepState.FAILED, problem.code)
        return problem

    async def _never_sent(self, row: StepRow, problem: Unreachable) -> StepFailed:
        """Record that a job was not started because its server, or what it needs, did not answer; return the error."""
        words = str(problem)
        code = NOT_REACHED if isinstance(problem, ServerDown) else NOT_STARTED
        await self._end(self._journal.append(row, words.encode(), last=True), StepState.FAILED, code)
        return StepFailed(row.server, row.name, code, (words,))

    async def _start(self, work: Work, host: Host, row: StepRow, start: _Start) -> JobStatus:
        if row.state is StepState.STARTED:
            return await self._state(host, row)
        try:
            env = await of_one(work.server, work.values)
        except EngineError as problem:
            raise Unreachable(work.server, str(problem)) from problem
        except UserError as problem:
            # An earlier bot may have had the values, sent the start, and died.
            if start.sent and (found := await self._state(host, row)).state is not JobState.NEVER:
                return found
            raise StepFailed(
                work.server, work.step.name, NOT_STARTED, tuple(problem.sentence.splitlines())
            ) from problem
        await send_uploads(self._refs, host, work.app, work.step.uploads)
        sent, start.sent = start.sent, True
        try:
            return await of_one(
                row.server, lambda: host.start(row.job, work.step.script, env, deadline=work.step.timeout)
            )
        except ServerDown as problem:
            start.sent = sent or problem.broke
            raise

    async def _state(self, host: Host, row: StepRow) -> JobStatus:
        """Return the state of a job without its log; NEVER if it was not started."""
        return (await of_one(row.server, lambda: host.poll(row.job, row.offset, limit=0))).status

    async def _follow(self, work: Work, host: Host, row: StepRow, stop: CancellationWatch) -> StepRow:
        """Fetch the log and wait for the end; if the server goes away in between, wait for it.

        This ends soon after the step's timeout or a cancellation, whatever the server answers.
        """
        over = self._clock.now() + work.step.timeout
        lost = 0.0
        pauses = iter(self._timeouts.job_retry)
        while stop.why is None:
            try:
                taken = await stop.before(self._take(host, row, over + OVERDUE))
                if taken is None:
                    break
                row, status = taken
                if status.state is not JobState.RUNNING:
                    return await self._ended(row, status)
                row, lost = await self._note(row), 0.0
                await self._wait(host, row, stop)
                pauses = iter(self._timeouts.job_retry)
                if self._clock.now() > over + OVERDUE:
                    return await self._overdue(host, row)
            except Unreachable as problem:
                lost = lost or self._clock.now()
                prepares = not (work.step.switches or work.step.task)
                end = lost if work.careful and prepares else over
                if self._clock.now() > end + UNREACHABLE_START:
                    raise await self._unknown(row, str(problem)) from problem
                log.info("lost contact with step %s of #%s: %s", row.name, row.deployment, problem)
                if not row.detail:
                    row = await self._note(row, problem.why)
                await stop.pause(next(pauses))
        assert stop.why is not None  # noqa: S101  the loop ends in no other way
        raise await self._stopped(host, row, stop.why)

    async def _take(self, host: Host, row: StepRow, end: float) -> tuple[StepRow, JobStatus]:
        """Fetch what was added to the log; all of it once the job has ended.

        For a log that grows as fast as it is read, fetching stops at `end` by the clock or at LOG_MOST.
        """
        end = min(end, self._clock.now() + LOG_WITHIN)
        while True:
            chunk = await of_one(row.server, functools.partial(host.poll, row.job, row.offset))
            size, running = chunk.status.size, chunk.status.state is JobState.RUNNING
            more = row.offset + len(chunk.data) < min(size, LOG_MOST) and self._clock.now() <= end
            kept = await self._journal.take(row, chunk.data, last=not running and not more)
            if not more or kept.offset == row.offset:
                return kept, chunk.status
            row = self._journal.skip(kept, size)

    async def _note(self, row: StepRow, lost: str = "") -> StepRow:
        """Store how far the log was read, that the job was seen to run, and why it cannot be seen now."""

        def note(tables: Tables) -> None:
            tables.deployments.progress(row.job, offset=row.offset, size=row.size, detail=lost)
            self._queue_card(tables, row.deployment)

        await self._store.write(note)
        return dataclasses.replace(row, state=StepState.STARTED, detail=lost)

    async def _doubt(self, row: StepRow, why: str) -> StepRow:
        """Store why it is unknown yet whether the job was started."""

        def note(tables: Tables) -> None:
            tables.deployments.note(row.job, why)
            self._queue_card(tables, row.deployment)

        await self._store.write(note)
        return dataclasses.replace(row, detail=why)

    async def _wait(self, host: Host, row: StepRow, stop: CancellationWatch) -> None:
        """Wait until the job ends, it is cancelled, or it is time to read the log again."""
        waiting = of_one(row.server, lambda: host.wait(row.job, timeout=self._timeouts.job_wait))
        await stop.outrun(waiting, within=self._timeouts.job_wait + self._timeouts.job_grace)

    async def _ended(self, row: StepRow, status: JobStatus) -> StepRow:
        """Record the end of a job; return the row or raise the matching error."""
        if status.state in {JobState.ORPHAN, JobState.LOST, JobState.NEVER}:
            raise await self._unknown(row, status.detail or _WHY[status.state])
        if status.state is JobState.CANCELLED:
            row = await self._end(row, StepState.CANCELLED, status.code)
            raise Cancelled("a person")
        good = status.code == 0
        row = await self._end(row, StepState.DONE if good else StepState.FAILED, status.code)
        if not good:
            raise StepFailed(row.server, row.name, status.code, self._journal.tail(row, TAIL))
        return row

    async def _overdue(self, host: Host, row: StepRow) -> StepRow:
        """Stop a job that runs after its timeout, which the server's watchdog should have done."""
        row, status = await self._stop(host, row)
        if status.state is not JobState.CANCELLED:
            return await self._ended(row, status)
        row = await self._end(row, StepState.FAILED, LATE)
        raise StepFailed(row.server, row.name, LATE, self._journal.tail(row, TAIL))

    async def _stopped(self, host: Host, row: StepRow, why: Exception) -> Exception:
        """Stop the job on the server, record it, and return why; if it ended first, that end counts and may raise."""
        row, status = await self._stop(host, row)
        if status.state is JobState.CANCELLED:
            await self._end(row, StepState.CANCELLED, status.code, str(why))
        else:
            await self._ended(row, status)
        return why

    async def _stop(self, host: Host, row: StepRow) -> tuple[StepRow, JobStatus]:
        """Stop the job and fetch the rest of its log. Raises StepUnknown if that does not end in time."""
        last: list[Exception] = []
        try:
            async with asyncio.timeout(self._timeouts.job_stop):
                row, status = await self._insist_on_stop(host, row, last)
        except TimeoutError as problem:
            answer = last[-1] if last else f"no answer within {self._timeouts.job_stop:.0f} s"
            words = "; ".join((str(answer), *getattr(answer, "tail", ())))
            raise await self._unknown(row, f"{words}, so it could not be stopped and may still run") from problem
        if status.state is JobState.RUNNING:
            raise await self._unknown(row, "it was asked to stop, but still runs on the server")
        return row, status

    async def _insist_on_stop(self, host: Host, row: StepRow, problems: list[Exception]) -> tuple[StepRow, JobStatus]:
        """Retry until the server answers; store in `problems` the last reason why it does not."""
        pauses = iter(self._timeouts.job_retry)
        while True:
            try:
                await of_one(row.server, lambda: host.cancel(row.job, grace=self._timeouts.job_grace))
                return await self._take(host, row, self._clock.now() + self._timeouts.job_stop)
            except (Unreachable, StepFailed) as problem:
                problems[:] = [problem]
                log.info("step %s of #%s could not be stopped yet: %s", row.name, row.deployment, problem)
            await asyncio.sleep(next(pauses))

    async def _unknown(self, row: StepRow, why: str) -> StepUnknown:
        await self._end(row, StepState.UNKNOWN, -1, why)
        return StepUnknown(row.server, row.name, why)

    async def _end(self, row: StepRow, state: StepState, code: int, detail: str = "") -> StepRow:
        now = self._clock.now()

        def end(tables: Tables) -> None:
            tables.deployments.progress(row.job, offset=row.offset, size=row.size)
            tables.deployments.end(row.job, state, code=code, now=now, detail=detail)
            self._queue_card(tables, row.deployment)

        await self._store.write(end)
        return dataclasses.replace(row, state=state, code=code, finished=now, detail=detail)


_WHY = {
    JobState.ORPHAN: "its runner on the server died and left processes behind",
    JobState.LOST: "the server was restarted, or the job's files are gone",
    JobState.NEVER: "the server has no trace of it",
}
