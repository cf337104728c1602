"""Run one deployment from the state in the database to its end, and record that end truthfully.

The whole run is a function of the plan and the rows: a step that has ended is skipped, one that has begun is resumed.
So a restart after a crash calls the same function.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.card_publisher import CardPublisher
from deploybot.deployments.card_titles import what
from deploybot.deployments.down_servers import skipped_servers, skipped_words
from deploybot.deployments.kept_manifests import keep_manifest
from deploybot.deployments.release_cleaner import ReleaseCleaner
from deploybot.deployments.restore import Restored, Restorer, is_restorable
from deploybot.deployments.restore_turns import RestoreTurns
from deploybot.deployments.server_answers import any_answers
from deploybot.deployments.stage_runner import StageRunner
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.step_logs import Journal
from deploybot.deployments.switch_tasks import lasting_words
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.deployments.touched_servers import (
    broken_beside,
    first_ahead,
    first_felt,
    touched_servers,
    unknown_servers,
    untouched_words,
)
from deploybot.deployments.watch_card import unread_words, vetoed_words
from deploybot.deployments.what_runs_now import Present, all_well, runs_release, sentence_of
from deploybot.domain import (
    Deployment,
    Kind,
    Phase,
    Release,
    Running,
    ServerPlan,
    State,
    StepRow,
    StepState,
)
from deploybot.errors import (
    Cancelled,
    DeploybotError,
    StepFailed,
    StepUnknown,
    StoreError,
    Unhealthy,
    Unreachable,
    sentence,
)
from deploybot.ports import Clock, Servers, Site, Store, Tables

log = logging.getLogger(__name__)

TAIL_SHOWN = 20
_PartWork = Callable[[Deployment, ServerPlan, CancellationWatch], Awaitable[None]]


@dataclasses.dataclass(frozen=True, slots=True)
class _Ending:
    """How a deployment ends, before it is stored."""

    state: State
    outcome: str
    tail: tuple[str, ...] = ()
    released: tuple[Running, ...] = ()
    skipped: tuple[str, ...] = ()


class DeploymentRunner:
    """Runs deployments, one per call."""

    def __init__(
        self,
        *,
        store: Store,
        servers: Servers,
        executor: Executor,
        stages: StageRunner,
        restorer: Restorer,
        present: Present,
        journal: Journal,
        clock: Clock,
        queue_card: CardPublisher,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take the ports and the parts that do the single steps."""
        self._journal = journal
        self._store = store
        self._servers = servers
        self._executor = executor
        self._stages = stages
        self._turns = RestoreTurns(restorer, present, timeouts)
        self._cleaner = ReleaseCleaner(store, servers, executor)
        self._present = present
        self._clock = clock
        self._queue_card = queue_card

    async def run(self, deployment: Deployment, stop: CancellationWatch) -> Deployment:
        """Run a RUNNING or RESTORING deployment to its end, and return it as it ended."""
        lost = self._executor.missing(deployment, without=await self._skipped(deployment))
        end = await (self._lost(deployment, lost) if lost else self._to_its_end(deployment, stop))
        self._journal.whole(deployment.number)
        ended = await self._record(deployment, end)
        await self._cleaner.clean_up(ended, without=await self._skipped(ended))
        return ended

    async def _to_its_end(self, deployment: Deployment, stop: CancellationWatch) -> _Ending:
        if deployment.state is State.RESTORING:
            return await self._go_on_restoring(deployment)
        try:
            await self._side_by_side(self._prepare, deployment, deployment.plan.servers, stop)
            await self._side_by_side(self._look_before, deployment, deployment.plan.servers, stop)  # before tasks
            await self._side_by_side(self._run_ahead, deployment, deployment.plan.servers, stop)
            for batch in deployment.plan.batches:
                await self._side_by_side(self._switch, deployment, batch, stop)
            await self._side_by_side(self._run_last, deployment, deployment.plan.servers, stop)
            await self._side_by_side(self._compare, deployment, deployment.plan.servers, stop)
        except (StepFailed, StepUnknown, Unhealthy, Unreachable, Cancelled) as problem:
            return await self._bad_end(deployment, problem)
        return await self._good_end(deployment)

    async def _lost(self, deployment: Deployment, lost: str) -> _Ending:
        """End a deployment that a restarted bot cannot continue, because bot.toml lost its target or a server."""
        why = f"bot.toml no longer has {lost}, so this deployment could not be continued."
        now = self._clock.now()

        def end(tables: Tables) -> tuple[StepRow, ...]:
            rows = tables.deployments.steps(deployment.number)
            for row in rows:
                if row.state in {StepState.PENDING, StepState.STARTED}:
                    tables.deployments.end(row.job, StepState.UNKNOWN, code=-1, now=now, detail=why)
            return rows

        if not await self._store.write(end):
            return _Ending(State.FAILED, f"{why}\nNothing was done.")
        if lost == f"{deployment.plan.app}/{deployment.plan.environment}":
            return _Ending(State.UNKNOWN, f"{why}\nNothing was run again. What runs there is unknown.")
        return await self._left(deployment, State.UNKNOWN, (why, "Nothing was run again."), ())

    async def _go_on_restoring(self, deployment: Deployment) -> _Ending:
        """Resume a restore. Why the deployment failed was stored when it began; only the restore is left to do."""
        cancelled = deployment.outcome == sentence(Cancelled(deployment.cancel_by))
        rows = await self._steps_of(deployment)
        touched = touched_servers(deployment.plan, rows)
        if deployment.outcome in unknown_servers(deployment.plan, rows).values():
            touched = broken_beside(deployment.plan, rows)
        return await self._put_back(deployment, touched, deployment.outcome, deployment.tail, cancelled=cancelled)

    async def _steps_of(self, deployment: Deployment) -> tuple[StepRow, ...]:
        return await self._store.read(lambda tables: tables.deployments.steps(deployment.number))

    async def _side_by_side(
        self, work: _PartWork, deployment: Deployment, parts: Sequence[ServerPlan], stop: CancellationWatch
    ) -> None:
        """Do the work on several servers at once, but those that are skipped; the first failure stops the others."""
        skipped = await self._skipped(deployment)
        inner = CancellationWatch()
        if stop.why is not None:
            inner.set(stop.why)
        stopping = asyncio.ensure_future(stop.pass_on(inner))
        parts_of_work = [self._one(work, deployment, part, inner) for part in parts if part.server not in skipped]
        try:
            results = await asyncio.gather(*parts_of_work, return_exceptions=True)
        finally:
            stopping.cancel()
            await asyncio.gather(stopping, return_exceptions=True)
        for problem in _worst_first(results, inner.why):
            raise problem

    async def _skipped(self, deployment: Deployment) -> tuple[str, ...]:
        """Return the servers that went down and are left as they are."""
        if not any(part.optional for part in deployment.plan.servers):
            return ()
        return skipped_servers(deployment.plan, await self._steps_of(deployment))

    async def _go_on_without(self, deployment: Deployment, part: ServerPlan) -> bool:
        """Return whether a server is skipped. It is not if no other one answers: the bot may have lost its network."""
        skipped = await self._skipped(deployment)
        others = {one.server for one in deployment.plan.servers} - {*skipped, part.server}
        return part.server in skipped and await any_answers(self._servers, others)

    async def _one(self, work: _PartWork, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        try:
            await work(deployment, part, stop)
        except DeploybotError as problem:
            if part.optional and await self._go_on_without(deployment, part):
                log.warning("#%s goes on without %s: %s", deployment.number, part.server, problem)
                return
            # After a restart, a stage that was stopped because another one failed only raises Cancelled. A log or row
            # that cannot be stored is no failure: the queue tries again, and must find the others as they were.
            if not isinstance(problem, Cancelled | StoreError):
                stop.set(problem)
            raise

    async def _prepare(self, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        """Run the stages of a server that do not affect what serves."""
        await self._run(deployment, part, range(first_ahead(deployment.plan, part)), stop)

    async def _run_ahead(self, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        """Run the tasks of a server that come before any switch."""
        positions = range(first_ahead(deployment.plan, part), first_felt(deployment.plan, part))
        await self._run(deployment, part, positions, stop)

    async def _switch(self, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        """Run the stages of a server from the first switching one on, its checks included."""
        positions = range(first_felt(deployment.plan, part), part.first_last)
        await self._run(deployment, part, positions, stop)

    async def _run_last(self, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        """Run the tasks of a server that come when all servers are switched."""
        await self._run(deployment, part, range(part.first_last, part.first_last + len(part.last)), stop)

    async def _look_before(self, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        """Record what the old release does, if the new one is watched. That stage is the last one of the plan."""
        await self._run(deployment, part, range(len(part.stages) - bool(part.watch), len(part.stages)), stop)

    async def _compare(self, deployment: Deployment, part: ServerPlan, stop: CancellationWatch) -> None:
        """Watch the new release when all servers are switched."""
        end = len(part.stages) - bool(part.watch)
        await self._run(deployment, part, range(part.first_last + len(part.last), end), stop)

    async def _run(
        self, deployment: Deployment, part: ServerPlan, positions: Iterable[int], stop: CancellationWatch
    ) -> None:
        for position in positions:
            await self._stages.run(deployment, Phase.FORWARD, part, (position, part.stages[position]), stop)

    async def _good_end(self, deployment: Deployment) -> _Ending:
        plan = deployment.plan
        if plan.kind is Kind.TASK:
            *_, last = await self._steps_of(deployment)
            return _Ending(State.SUCCEEDED, f"{plan.task} succeeded.", self._journal.tail(last, TAIL_SHOWN))
        skipped = await self._skipped(deployment)
        parts = [part for part in plan.servers if part.server not in skipped]
        if not parts:
            return _Ending(State.FAILED, f"No server answered any more. {untouched_words(plan)}")
        checked = any(part.gate or part.verify for part in parts)
        words = "Everything is healthy." if checked else "All steps succeeded."
        rows = await self._steps_of(deployment)
        watches = await self._store.read(lambda tables: tables.watches.of(deployment.number))
        words = " ".join(filter(None, (vetoed_words(watches) or words, unread_words(rows, watches))))
        outcome = " ".join(
            (words, *skipped_words((*plan.down, *skipped)), *lasting_words(plan, rows, skipped) * bool(skipped))
        )
        runs = tuple(self._row(deployment, part.server, plan.release) for part in parts)
        return _Ending(State.SUCCEEDED, outcome, released=() if plan.kind is Kind.RESTART else runs, skipped=skipped)

    def _row(self, deployment: Deployment, server: str, release: Release, *, healthy: bool = True) -> Running:
        plan = deployment.plan
        now = self._clock.now()
        return Running(plan.app, plan.environment, server, release, deployment.number, now, healthy)

    async def _bad_end(self, deployment: Deployment, problem: DeploybotError) -> _Ending:
        """Report what went wrong, restore what was switched if that is certain to be right, and observe what runs."""
        tail = tuple(getattr(problem, "tail", ()))[-TAIL_SHOWN:]
        rows = await self._steps_of(deployment)
        touched = touched_servers(deployment.plan, rows)
        unknown = unknown_servers(deployment.plan, rows)
        why = sentence(problem)
        cancelled = isinstance(problem, Cancelled)
        state = State.UNKNOWN if unknown else State.CANCELLED if cancelled else State.FAILED
        advice = [problem.advice] if isinstance(problem, StepFailed) and problem.advice else []
        if not touched:
            seen = await self._present.look(deployment)
            lasting = lasting_words(deployment.plan, rows)
            now = [] if all_well(seen) and not lasting else [sentence_of(seen)]
            untouched = untouched_words(deployment.plan, tasks=bool(lasting))
            text = " ".join([untouched, *lasting, *advice, *now])
            return _Ending(state, f"{why}\n{text}", tail)
        if isinstance(problem, StepUnknown):
            touched = broken_beside(deployment.plan, rows)
        if unknown and not touched:
            return await self._left(deployment, state, (why, "Nothing was run again."), tail)
        if deployment.plan.kind in {Kind.TASK, Kind.RESTART}:
            return await self._left(deployment, state, (why,), tail)
        if self._executor.target(deployment)[1].on_failure == "leave" and not cancelled:
            return await self._left(deployment, state, (why, 'Left as it is (on_failure = "leave").', *advice), tail)
        if not any(part.replaces or part.before for part in touched if part.server not in unknown):
            words = "Nothing ran before, so there is nothing to restore."
            return await self._left(deployment, state, (why, words, *advice), tail)
        return await self._put_back(deployment, touched, why, tail, cancelled=cancelled)

    async def _left(self, deployment: Deployment, state: State, words: Sequence[str], tail: tuple[str, ...]) -> _Ending:
        """Leave everything as it is, and record what was seen to run: a failed release counts as what runs."""
        seen = await self._present.look(deployment)
        release = deployment.plan.release
        deploys = deployment.plan.kind in {Kind.DEPLOY, Kind.ROLLBACK}
        servers = runs_release(seen, release.id) if deploys else ()
        rows = tuple(self._row(deployment, server, release, healthy=False) for server in servers)
        lasting = lasting_words(deployment.plan, await self._steps_of(deployment))
        text = " ".join((*words[1:], *lasting, sentence_of(seen)))
        return _Ending(state, "\n".join((*words[:1], text)), tail, rows)

    async def _put_back(
        self,
        deployment: Deployment,
        touched: Sequence[ServerPlan],
        why: str,
        tail: tuple[str, ...],
        *,
        cancelled: bool,
    ) -> _Ending:
        """Restore every touched server, the last switched one first.

        Nothing is started where a job of the deployment may still run.
        """
        unknown = unknown_servers(deployment.plan, await self._steps_of(deployment))
        touched = [part for part in touched if part.server not in unknown]
        deployment = await self._begin_restore(deployment, why, tail)
        longest = self._executor.target(deployment)[0].restore_within
        restored, problems = await self._turns.restore(deployment, touched, longest=longest)
        for problem in _worst_first(problems, None):
            raise problem
        results, all_back = [one.words for one in restored.values()], all(one.good for one in restored.values())
        results += [f"{text} Nothing was run again there." for text in unknown.values() if text != why]
        seen = await self._present.look(deployment)
        stays = [server for server in runs_release(seen, deployment.plan.release.id) if server in unknown]
        left = (self._row(deployment, server, deployment.plan.release, healthy=False) for server in stays)
        released = (*self._after_restore(deployment, touched, restored, seen), *left)
        ended = State.UNKNOWN if unknown else State.CANCELLED if cancelled else State.RESTORED
        servers = [part.server for part in touched]
        first = () if all_back else (self._present.headline(deployment, seen, servers),)
        lasting = lasting_words(deployment.plan, await self._steps_of(deployment))
        outcome = "\n".join(line for line in (*first, why, *results, *lasting, sentence_of(seen)) if line)
        return _Ending(ended if all_back else State.FAILED, outcome, tail, released)

    def _after_restore(
        self,
        deployment: Deployment,
        touched: Sequence[ServerPlan],
        restored: Mapping[str, Restored],
        seen: Mapping[str, Site | str],
    ) -> tuple[Running, ...]:
        """Return what to record: what was restored, and the failed release where it still runs."""
        release = deployment.plan.release
        stays = runs_release(seen, release.id)
        rows = []
        for part in touched:
            good = restored[part.server].good
            if not good and part.server in stays:
                rows.append(self._row(deployment, part.server, release, healthy=False))
            elif part.replaces is not None and is_restorable(part):
                rows.append(self._row(deployment, part.server, part.replaces, healthy=good))
        return tuple(rows)

    async def _begin_restore(self, deployment: Deployment, why: str, tail: Sequence[str]) -> Deployment:
        """Store that what ran before is restored, and why; that changes nothing if it was stored before a crash."""
        begun = deployment.started

        def move(tables: Tables) -> Deployment:
            moved = tables.deployments.move(deployment.number, State.RESTORING, now=begun, outcome=why, tail=tail)
            self._queue_card(tables, deployment.number)
            return moved

        return await self._store.write(move)

    async def _record(self, deployment: Deployment, end: _Ending) -> Deployment:
        """Store the end, what runs where, the final card and the audit row, in one transaction."""
        now = self._clock.now()

        def record(tables: Tables) -> Deployment:
            ended = tables.deployments.move(deployment.number, end.state, now=now, outcome=end.outcome, tail=end.tail)
            if end.skipped:
                ended = tables.deployments.leave_out(deployment.number, end.skipped)
            for row in end.released:
                keep_manifest(tables, ended, row, now)
                tables.running.put(row)
            tables.audit.append(
                actor="deploybot",
                action=f"{ended.plan.kind.value} {end.state.value}",
                subject=f"#{ended.number} {ended.plan.app}/{ended.plan.environment}",
                detail=f"{what(ended.plan)}: {end.outcome}",
                now=now,
            )
            self._queue_card(tables, ended.number)
            return ended

        return await self._store.write(record)


def _worst_first(results: Sequence[object], why: Exception | None) -> list[BaseException]:
    """Return which failure to raise first: an unexpected one, a cancel without effect, then what stopped the others."""
    problems = [one for one in results if isinstance(one, BaseException)]
    strange = [one for one in problems if not isinstance(one, DeploybotError) or isinstance(one, StoreError)]
    ignored = [one for one in problems if isinstance(one, StepUnknown)] if isinstance(why, Cancelled) else []
    return [
        *strange,
        *ignored,
        *([why] if why and problems else []),
        *sorted(problems, key=lambda one: isinstance(one, Cancelled)),
    ]
