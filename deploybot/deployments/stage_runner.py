"""Run one stage of a server's plan exactly once and record how it ended; resume it after a crash.

A run stage is a detached job (`step_runner`). The others are checks by the bot. Their rows store when they began and
what they compare with, so a restart of the bot gives a release no more time, and no restart of a container is missed.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Collection
from dataclasses import dataclass

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.health_gate import HealthGate
from deploybot.deployments.planner import HEALTH_SCRIPT
from deploybot.deployments.release_verification import Verifier
from deploybot.deployments.release_watch import ReleaseWatch, Watching
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.step_starts import job_id
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.domain import (
    Deployment,
    Gate,
    Manifest,
    Observed,
    Phase,
    ServerPlan,
    Stage,
    StageKind,
    Step,
    StepRow,
    StepState,
    WatchBaseline,
    WatchSignal,
)
from deploybot.errors import Cancelled, DeploybotError, StepFailed, Unhealthy
from deploybot.ports import Clock, Store, Tables
from deploybot.units import show_clock

TAIL = 20
NO_CODE = -1
"""A check has no exit code."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _StageCheck:
    """A stage that the bot itself does, with its row, and what must run there."""

    deployment: Deployment
    part: ServerPlan
    stage: Stage
    row: StepRow
    manifest: Manifest


class StageRunner:
    """Runs stages, each to its end."""

    def __init__(
        self,
        *,
        store: Store,
        executor: Executor,
        gate: HealthGate,
        verifier: Verifier,
        watch: ReleaseWatch,
        journal: Journal,
        clock: Clock,
        queue_card: Callable[[Tables, int], None],
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take the ports and parts; `queue_card(tables, number)` queues the card in the same transaction."""
        self._store = store
        self._executor = executor
        self._gate = gate
        self._verifier = verifier
        self._watch = watch
        self._journal = journal
        self._clock = clock
        self._queue_card = queue_card
        self._timeouts = timeouts

    async def run(
        self,
        deployment: Deployment,
        phase: Phase,
        part: ServerPlan,
        numbered: tuple[int, Stage],
        stop: CancellationWatch,
    ) -> None:
        """Run a stage to its end, whatever state it is in.

        Raises Unhealthy for a failed check, otherwise what `StepRunner.run` raises.
        """
        position, stage = numbered
        follows = phase is Phase.FORWARD and _follows_pause(part, position)
        if follows and stage.gate and _asks_again(stage.gate, await self._vetoed(deployment, part)):
            return  # its pause went on with the watch, which does not count again what a person vetoed
        if stage.step is not None:
            await self._job(deployment, phase, part, (position, dataclasses.replace(stage.step, name=stage.name)), stop)
            return
        manifest = await self._manifest(deployment, phase, part)
        if stage.kind is StageKind.WATCH and not self._verifier.watches(self._executor.target(deployment)[0], manifest):
            return
        row = await self._begin(deployment, phase, part, numbered, stop)
        if row.state is StepState.STARTED:
            check = _StageCheck(deployment=deployment, part=part, stage=stage, row=row, manifest=manifest)
            await self._to_its_end(check, stop)
        elif row.state is StepState.CANCELLED:
            raise stop.why or Cancelled(row.detail)
        elif row.state is StepState.FAILED:
            raise Unhealthy(row.server, row.detail, self._journal.tail(row, TAIL))

    async def _job(
        self,
        deployment: Deployment,
        phase: Phase,
        part: ServerPlan,
        numbered: tuple[int, Step],
        stop: CancellationWatch,
    ) -> None:
        """Run a step. A health command that fails is a release that is not healthy."""
        try:
            await self._executor.run(deployment, phase, part, numbered, stop)
        except StepFailed as problem:
            if numbered[1].script == HEALTH_SCRIPT:
                raise Unhealthy(part.server, "the health command failed", problem.tail) from problem
            raise

    async def _manifest(self, deployment: Deployment, phase: Phase, part: ServerPlan) -> Manifest:
        """Return what must run on a server: the new release, or what ran before it."""
        if phase is Phase.RESTORE:
            return part.before or Manifest()
        return await self._executor.manifest(deployment, part)

    async def _begin(
        self,
        deployment: Deployment,
        phase: Phase,
        part: ServerPlan,
        numbered: tuple[int, Stage],
        stop: CancellationWatch,
    ) -> StepRow:
        """Store the row of a check, or return the stored one. Raises the reason in `stop` instead of beginning."""
        position, stage = numbered
        fresh = StepRow(
            deployment=deployment.number,
            phase=phase,
            server=part.server,
            position=position,
            name=stage.name,
            job=job_id(deployment.number, phase, part.server, position),
            state=StepState.STARTED,
            started=self._clock.now(),
            detail=f"watching until {show_clock(self._clock.now() + stage.seconds)}"
            * (stage.kind is StageKind.COMPARE),
            kind=stage.kind,
        )

        def begin(tables: Tables) -> StepRow | None:
            found = tables.deployments.step(fresh)
            if found is not None or stop.why is not None:
                return found
            row = tables.deployments.begin(fresh)
            self._queue_card(tables, deployment.number)
            return row

        row = await self._store.write(begin)
        if row is None:
            assert stop.why is not None  # noqa: S101  nothing else keeps it from beginning
            raise stop.why
        return row

    async def _to_its_end(self, check: _StageCheck, stop: CancellationWatch) -> None:
        """Make a check that has begun, and record its end."""
        row = self._journal.mend(check.row)
        seen = None
        try:
            watched = row.kind is StageKind.PAUSE and bool(await self._vetoed(check.deployment, check.part))
            if watched or row.kind in {StageKind.COMPARE, StageKind.BASELINE}:
                row = await self._compare(dataclasses.replace(check, row=row), stop)
                if watched:
                    await self._are_the_same(check, stop)
            else:
                seen = await self._check(check, stop)
        except DeploybotError as problem:
            await self._note_failure(row, problem, stop)
            raise
        if seen is not None:
            await self._executor.note_verified(check.deployment, row.phase, check.part, seen)
        await self._end(row, StepState.DONE)

    async def _note_failure(self, row: StepRow, problem: DeploybotError, stop: CancellationWatch) -> None:
        """Record why a check ended; after a StoreError it has not ended, and is made again."""
        if problem is stop.why:
            # This may be an Unhealthy, but of another server.
            await self._end(row, StepState.CANCELLED, str(problem))
        elif isinstance(problem, Unhealthy):
            row = self._journal.append(row, "\n".join(problem.tail).encode(), last=True)
            await self._end(row, StepState.FAILED, problem.why)

    async def _check(self, check: _StageCheck, stop: CancellationWatch) -> Observed | None:
        """Return what runs once it is as it should be; None if a gate let it pass without looking at that."""
        app, environment = self._executor.target(check.deployment)
        row = check.row
        if row.kind is StageKind.PAUSE:
            await self._pause(check, stop)
            return None
        if check.stage.gate is not None:
            await self._pass(check, check.stage.gate, stop, since=row.started)
            return None
        if row.kind is StageKind.VERIFY:
            return await self._verifier.settle(app, environment, row.server, check.manifest, stop, since=row.started)
        first = await self._first(check, stop)
        return await self._stay(check, stop, first, first.at + app.stable)

    async def _compare(self, check: _StageCheck, stop: CancellationWatch) -> StepRow:
        """Compare the new release with the old one, or record how the old one does. Return the row with its log."""
        watching = Watching(
            deployment=check.deployment,
            part=check.part,
            row=check.row,
            end=check.row.started + check.stage.seconds,
            seconds=check.stage.seconds,
            manifest=check.manifest,
            first=None if ran_task(check.part, check.row.position) else await self._watched(check),
            goes_on=not ran_task(check.part, check.row.position, since=StageKind.COMPARE),
        )
        if check.row.kind is StageKind.BASELINE:
            await self._watch.record_baseline(watching, stop)
            return check.row
        summary = await self._watch.compare(watching, stop)
        return self._journal.append(check.row, "".join(f"{line}\n" for line in summary).encode(), last=True)

    async def _pass(self, check: _StageCheck, gate: Gate, stop: CancellationWatch, *, since: float) -> None:
        services = {one.service for one in check.manifest.services}
        await self._gate.pass_through(check.row.server, gate, stop, since=since, services=services)

    async def _first(self, check: _StageCheck, stop: CancellationWatch) -> WatchBaseline:
        """Return what a watch compares with: what its row has, or else what runs now."""
        app, environment = self._executor.target(check.deployment)
        row, first = check.row, check.row.baseline
        if first is None:
            first = await self._verifier.baseline(app, environment, row.server, stop)
            await self._keep(row, first)
        return first

    async def _stay(self, check: _StageCheck, stop: CancellationWatch, first: WatchBaseline, end: float) -> Observed:
        """Return what runs if it stays up until `end`, compared with `first`."""
        app, environment = self._executor.target(check.deployment)
        return await self._verifier.stay(app, environment, check.row.server, check.manifest, stop, first=first, end=end)

    async def _pause(self, check: _StageCheck, stop: CancellationWatch) -> None:
        """Let the time before the next batch pass. What was switched must stay up meanwhile."""
        end = check.row.started + check.stage.seconds
        if check.part.verify and check.manifest.services:
            first = await self._watched(check) or await self._first(check, stop)
            await self._stay(check, stop, first, end)
        while (left := end - self._clock.now()) > 0 and stop.why is None:
            await stop.pause(min(left, self._timeouts.clock_check))
        if stop.why is not None:
            raise stop.why

    async def _watched(self, check: _StageCheck) -> WatchBaseline | None:
        """Return what the watch before a pause compared with: a restart between the two counts, too."""
        rows = await self._store.read(lambda tables: tables.deployments.steps(check.deployment.number))
        mine = (row for row in rows if row.server == check.row.server and row.phase is check.row.phase)
        return next((row.baseline for row in mine if row.kind is StageKind.WATCH), None)

    async def _are_the_same(self, check: _StageCheck, stop: CancellationWatch) -> None:
        """Insist at the end of a watched pause that the containers are those of the release: a watch does not look."""
        if check.part.verify and check.manifest.services:
            app, environment = self._executor.target(check.deployment)
            first = None if ran_task(check.part, check.row.position) else await self._watched(check)
            await self._verifier.same(app, environment, check.row.server, check.manifest, stop, first=first)

    async def _vetoed(self, deployment: Deployment, part: ServerPlan) -> set[WatchSignal]:
        """Return for what people vetoed that a server goes back."""
        rows = await self._store.read(lambda tables: tables.watches.of(deployment.number))
        return {one.signal for row in rows if row.server == part.server for one in row.evidence.vetoes}

    async def _keep(self, row: StepRow, first: WatchBaseline) -> None:
        await self._store.write(lambda tables: tables.deployments.keep_baseline(row.job, first))

    async def _end(self, row: StepRow, state: StepState, detail: str = "") -> None:
        now = self._clock.now()

        def end(tables: Tables) -> None:
            tables.deployments.progress(row.job, offset=row.offset, size=row.size)
            tables.deployments.end(row.job, state, code=NO_CODE, now=now, detail=detail)
            self._queue_card(tables, row.deployment)

        await self._store.write(end)


def _follows_pause(part: ServerPlan, position: int) -> bool:
    """Return whether a stage is a check at the end of the pause before the next batch."""
    before = part.stages[:position]
    return position < part.first_last and any(stage.kind is StageKind.PAUSE for stage in before)


def _asks_again(gate: Gate, vetoed: Collection[WatchSignal]) -> bool:
    """Return whether a gate asks for what a person vetoed. A watch never asks a port or a command."""
    asked = {WatchSignal.ANSWERS, WatchSignal.CONTAINERS}
    if gate.kind == "docker":
        asked.add(WatchSignal.RESTARTS)
    return gate.kind in {"http", "docker"} and bool(asked & {*vetoed})


def ran_task(part: ServerPlan, position: int, *, since: StageKind = StageKind.WATCH) -> bool:
    """Return whether a task ran between the last stage of a kind and a later stage: it may restart the release.

    By default, that is the check that the release stays up.
    """
    before = part.stages[:position]
    begin = max((at for at, stage in enumerate(before) if stage.kind is since), default=0)
    return any(stage.step is not None and stage.step.task for stage in before[begin:])
