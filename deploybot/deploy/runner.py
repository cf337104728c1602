"""Runs one deployment from wherever the database says it is, to a truthful end.

The whole run is a function of the plan and the rows: a step that has ended is passed over, one that
was begun is taken up again. So a restart after a crash calls the very same function.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Sequence

from deploybot.deploy.cards import what
from deploybot.deploy.gate import HealthGate
from deploybot.deploy.journal import Journal
from deploybot.deploy.plan import HEALTH_STEP
from deploybot.deploy.steps import StepRunner, Work
from deploybot.deploy.stop import Stop
from deploybot.deploy.teller import Teller
from deploybot.domain import (
    Deployment,
    Kind,
    Phase,
    Plan,
    Release,
    Running,
    ServerPlan,
    State,
    Step,
    StepRow,
    StepState,
    short_id,
)
from deploybot.errors import Cancelled, DeploybotError, StepFailed, StepUnknown, Unhealthy, Unreachable, sentence
from deploybot.ports import Clock, Servers, Store, Tables
from deploybot.settings import App, Environment, Settings
from deploybot.untrusted import of_one

log = logging.getLogger(__name__)

LOOK_WITHIN = 8.0
TAIL_SHOWN = 20
CLEANUP_WITHIN = 300.0
FORGET_BACK = 5


@dataclasses.dataclass(frozen=True, slots=True)
class _End:
    """How a deployment ends, before it is written."""

    state: State
    outcome: str
    tail: tuple[str, ...] = ()
    released: tuple[Running, ...] = ()


class Runner:
    """Runs deployments; one call a deployment."""

    def __init__(
        self,
        *,
        settings: Settings,
        store: Store,
        servers: Servers,
        steps: StepRunner,
        gate: HealthGate,
        journal: Journal,
        clock: Clock,
        tell: Teller,
    ) -> None:
        """Take the ports and the parts that do the single things."""
        self._journal = journal
        self._settings = settings
        self._store = store
        self._servers = servers
        self._steps = steps
        self._gate = gate
        self._clock = clock
        self._tell = tell

    async def run(self, deployment: Deployment, stop: Stop) -> Deployment:
        """Bring a RUNNING or RESTORING deployment to its end, and give it as it ended."""
        end = await self._to_its_end(deployment, stop)
        self._journal.whole(deployment.number)
        ended = await self._record(deployment, end)
        await self._clean_up(ended)
        return ended

    async def _to_its_end(self, deployment: Deployment, stop: Stop) -> _End:
        if deployment.state is State.RESTORING:
            return await self._go_on_restoring(deployment)
        try:
            await self._prepare(deployment, stop)
            for part in deployment.plan.servers:
                await self._switch(deployment, part, stop)
        except (StepFailed, StepUnknown, Unhealthy, Unreachable, Cancelled) as problem:
            return await self._bad_end(deployment, problem)
        return await self._good_end(deployment)

    async def _go_on_restoring(self, deployment: Deployment) -> _End:
        """What went wrong was written when the restoration began; only the restoration is left to do."""
        cancelled = deployment.outcome == sentence(Cancelled(deployment.cancel_by))
        rows = await self._steps_of(deployment)
        touched = _switched(deployment, rows)
        return await self._put_back(deployment, touched, deployment.outcome, deployment.tail, cancelled=cancelled)

    async def _steps_of(self, deployment: Deployment) -> tuple[StepRow, ...]:
        return await self._store.read(lambda tables: tables.deployments.steps(deployment.number))

    async def _prepare(self, deployment: Deployment, stop: Stop) -> None:
        """All that does not touch what serves, on all servers at once; the first failure stops the others."""
        inner = Stop()
        wish = asyncio.ensure_future(stop.pass_on(inner))
        parts = [self._prepare_one(deployment, part, inner) for part in deployment.plan.servers]
        try:
            results = await asyncio.gather(*parts, return_exceptions=True)
        finally:
            wish.cancel()
            await asyncio.gather(wish, return_exceptions=True)
        for problem in _worst_first(results, inner.why):
            raise problem

    async def _prepare_one(self, deployment: Deployment, part: ServerPlan, stop: Stop) -> None:
        for position, step in enumerate(part.steps):
            if _is_felt(deployment.plan, step):
                return
            try:
                await self._step(deployment, Phase.FORWARD, part.server, (position, step), stop)
            except DeploybotError as problem:
                # Of a step that was stopped because another failed, a restart knows no more than that.
                if not isinstance(problem, Cancelled):
                    stop.set(problem)
                raise

    async def _switch(self, deployment: Deployment, part: ServerPlan, stop: Stop) -> None:
        """From the first switching step on, then the health gate."""
        plan = deployment.plan
        first = next((at for at, step in enumerate(part.steps) if _is_felt(plan, step)), len(part.steps))
        for position in range(first, len(part.steps)):
            step = part.steps[position]
            try:
                await self._step(deployment, Phase.FORWARD, part.server, (position, step), stop)
            except StepFailed as problem:
                if step.name == HEALTH_STEP:
                    raise Unhealthy(part.server, "the health command does not succeed", problem.tail) from problem
                raise
        if part.gate is not None:
            await self._gate.pass_through(part.server, part.gate, stop)

    async def _step(
        self, deployment: Deployment, phase: Phase, server: str, numbered: tuple[int, Step], stop: Stop
    ) -> StepRow:
        position, step = numbered
        app, environment = self._where(deployment)
        known = {**app.secrets, **environment.secrets}
        values = {name: known[name].reveal() for name in step.secrets if name in known}
        work = Work(
            deployment=deployment,
            app=app,
            phase=phase,
            server=server,
            position=position,
            step=step,
            secrets=values,
        )
        return await self._steps.run(work, stop)

    def _where(self, deployment: Deployment) -> tuple[App, Environment]:
        app = self._settings.apps[deployment.plan.app]
        return app, app.environments[deployment.plan.environment]

    async def _good_end(self, deployment: Deployment) -> _End:
        plan = deployment.plan
        if plan.kind is Kind.TASK:
            said = [self._journal.tail(row, TAIL_SHOWN) for row in await self._steps_of(deployment)]
            return _End(State.SUCCEEDED, f"{plan.task} ended well.", said[-1] if said else ())
        outcome = "Everything is healthy." if any(part.gate for part in plan.servers) else "All steps ended well."
        rows = tuple(self._row(deployment, part.server, plan.release) for part in plan.servers)
        return _End(State.SUCCEEDED, outcome, released=() if plan.kind is Kind.RESTART else rows)

    def _row(self, deployment: Deployment, server: str, release: Release, *, healthy: bool = True) -> Running:
        plan = deployment.plan
        now = self._clock.now()
        return Running(plan.app, plan.environment, server, release, deployment.number, now, healthy)

    async def _bad_end(self, deployment: Deployment, problem: DeploybotError) -> _End:
        """Say what went wrong, put back what was switched where that is sure to be right, and look what runs."""
        tail = tuple(getattr(problem, "tail", ()))[-TAIL_SHOWN:]
        touched = _switched(deployment, await self._steps_of(deployment))
        why = sentence(problem)
        cancelled = isinstance(problem, Cancelled)
        if isinstance(problem, StepUnknown) and problem.server in {part.server for part in touched}:
            now = await self._what_runs(deployment)
            return _End(State.UNKNOWN, f"{why}\nNothing was run again by itself. {now}", tail)
        if not touched or deployment.plan.kind in {Kind.TASK, Kind.RESTART}:
            state = State.CANCELLED if cancelled else State.FAILED
            unchanged = "The release that runs was not touched." if not touched else await self._what_runs(deployment)
            return _End(state, f"{why}\n{unchanged}", tail)
        if self._where(deployment)[1].on_failure == "leave" and not cancelled:
            now = await self._what_runs(deployment)
            return _End(State.FAILED, f'{why}\nLeft as it is (on_failure = "leave"). {now}', tail)
        return await self._put_back(deployment, touched, why, tail, cancelled=cancelled)

    async def _put_back(
        self,
        deployment: Deployment,
        touched: Sequence[ServerPlan],
        why: str,
        tail: tuple[str, ...],
        *,
        cancelled: bool,
    ) -> _End:
        """Run the restore steps on every touched server, the last switched first."""
        if deployment.state is not State.RESTORING:
            deployment = await self._move(deployment, State.RESTORING, why, tail)
        told, released, all_back = [], [], True
        for part in reversed(touched):
            words, good = await self._put_back_one(deployment, part)
            told.append(words)
            all_back &= good
            if part.replaces is not None:
                released.append(self._row(deployment, part.server, part.replaces, healthy=good))
        now = await self._what_runs(deployment)
        ended = State.CANCELLED if cancelled else State.RESTORED
        return _End(ended if all_back else State.FAILED, "\n".join([why, *told, now]), tail, tuple(released))

    async def _put_back_one(self, deployment: Deployment, part: ServerPlan) -> tuple[str, bool]:
        if part.replaces is None:
            return f"{part.server}: there was no release before, so nothing could be put back.", False
        if not part.restore:
            return f"{part.server}: {part.replaces} is not on the server any more and could not be put back.", False
        never = Stop()
        try:
            for numbered in enumerate(part.restore):
                await self._step(deployment, Phase.RESTORE, part.server, numbered, never)
            if part.gate is not None:
                await self._gate.pass_through(part.server, part.gate, never)
        except (StepFailed, StepUnknown, Unreachable, Cancelled) as problem:
            return f"{part.server}: putting {part.replaces} back failed, too: {problem}.", False
        except Unhealthy as problem:
            return f"{part.server}: {part.replaces} was put back but is not healthy: {problem.why}.", False
        return f"{part.server}: {part.replaces} was put back and is well.", True

    async def _what_runs(self, deployment: Deployment) -> str:
        """What each server says that it has now; what it does not say is called unknown."""
        app, environment = self._where(deployment)
        names = [part.server for part in deployment.plan.servers]
        words = await asyncio.gather(
            *(self._what_runs_on(name, environment.directory or app.directory) for name in names)
        )
        return f"Now there: {'; '.join(words)}."

    async def _what_runs_on(self, name: str, directory: str) -> str:
        try:
            facts = await of_one(name, self._servers.host(name).facts(directory, timeout=LOOK_WITHIN))
        except Unreachable as problem:
            return f"{name} unknown ({problem.why})"
        if facts.switching:
            return f"{name} half-way between {short_id(facts.current) or 'nothing'} and {short_id(facts.switching)}"
        return f"{name} {short_id(facts.current) or 'nothing'}"

    async def _move(
        self, deployment: Deployment, state: State, outcome: str = "", tail: Sequence[str] = ()
    ) -> Deployment:
        now = self._clock.now()

        def move(tables: Tables) -> Deployment:
            moved = tables.deployments.move(deployment.number, state, now=now, outcome=outcome, tail=tail)
            self._tell(tables, deployment.number)
            return moved

        return await self._store.write(move)

    async def _record(self, deployment: Deployment, end: _End) -> Deployment:
        """The end, what runs where, the final card and the audit row, in one transaction."""
        now = self._clock.now()

        def record(tables: Tables) -> Deployment:
            ended = tables.deployments.move(deployment.number, end.state, now=now, outcome=end.outcome, tail=end.tail)
            for row in end.released:
                tables.running.put(row)
            tables.audit.append(
                actor="deploybot",
                action=f"{ended.plan.kind.value} {end.state.value}",
                subject=f"#{ended.number} {ended.plan.app}/{ended.plan.environment}",
                detail=f"{what(ended.plan)}: {end.outcome}",
                now=now,
            )
            self._tell(tables, ended.number)
            return ended

        return await self._store.write(record)

    async def _clean_up(self, deployment: Deployment) -> None:
        """Prune old releases after a success, and job files after any end; a failure here is logged, not told."""
        stop = Stop()
        for part in deployment.plan.servers if deployment.state is State.SUCCEEDED else ():
            try:
                async with asyncio.timeout(CLEANUP_WITHIN):
                    for numbered in enumerate(part.cleanup):
                        await self._step(deployment, Phase.CLEANUP, part.server, numbered, stop)
            except (DeploybotError, TimeoutError) as problem:
                log.warning("clean-up after #%s on %s: %s", deployment.number, part.server, problem)
        rows = await self._store.read(lambda tables: _left_behind(tables, deployment))
        for server in {row.server for row in rows}:
            jobs = [row.job for row in rows if row.server == server and row.state is not StepState.UNKNOWN]
            try:
                await self._servers.host(server).forget(jobs)
            except (DeploybotError, TimeoutError) as problem:
                log.info("job files of #%s stay on %s: %s", deployment.number, server, problem)


def _left_behind(tables: Tables, deployment: Deployment) -> tuple[StepRow, ...]:
    """The steps of a deployment, and of some before it: a bot that was killed left the files of their jobs."""
    plan = deployment.plan
    recent = tables.deployments.recent(plan.app, plan.environment, FORGET_BACK)
    return tuple(row for one in recent if one.state.ended for row in tables.deployments.steps(one.number))


def _worst_first(results: Sequence[object], why: Exception | None) -> list[BaseException]:
    """What to raise of several failures: an unforeseen one, a cancel without effect, then what stopped the others."""
    problems = [one for one in results if isinstance(one, BaseException)]
    strange = [one for one in problems if not isinstance(one, DeploybotError)]
    ignored = [one for one in problems if isinstance(one, StepUnknown)] if isinstance(why, Cancelled) else []
    return [
        *strange,
        *ignored,
        *([why] if why and problems else []),
        *sorted(problems, key=lambda one: isinstance(one, Cancelled)),
    ]


def _is_felt(plan: Plan, step: Step) -> bool:
    """Whether a step may change what serves: a restart and a task do so, though they switch to nothing."""
    return step.switches or plan.kind in {Kind.RESTART, Kind.TASK}


def _switched(deployment: Deployment, rows: Sequence[StepRow]) -> tuple[ServerPlan, ...]:
    """The servers on which something that is felt was begun: what serves there may have changed."""
    begun = {(row.server, row.position) for row in rows if row.phase is Phase.FORWARD}
    return tuple(
        part
        for part in deployment.plan.servers
        if any(_is_felt(deployment.plan, step) and (part.server, at) in begun for at, step in enumerate(part.steps))
    )
