"""Watch a new release on a server, and compare it with the old one. If it does worse, count down to its rollback.

Everything that matters is in a row: what was seen, when the countdown ends, and a veto. So a bot that was killed
continues the same watch to the same end.
"""

from __future__ import annotations

import asyncio
import dataclasses
import logging
from collections.abc import Callable, Iterator, Sequence
from math import inf

from deploybot.deployments.cancellation import CancellationWatch
from deploybot.deployments.step_execution import Executor
from deploybot.deployments.timeouts import TIMEOUTS, Timeouts
from deploybot.deployments.vetoed_signals import afresh, is_unsettled, judge, merged_vetoes, seen_now
from deploybot.deployments.watch_looks import WatchedTarget, WatchLooks
from deploybot.deployments.watch_summary import summary_of
from deploybot.domain import (
    ContainersSeen,
    Deployment,
    Manifest,
    OldSeen,
    Plan,
    ServerPlan,
    ServerSeen,
    StageKind,
    StepRow,
    WatchBaseline,
    WatchEvidence,
    WatchRow,
    WatchState,
)
from deploybot.errors import Unhealthy
from deploybot.ports import Clock, Store, Tables
from deploybot.settings import Environment
from deploybot.untrusted_input import failure_of

log = logging.getLogger(__name__)

EVERY = 10.0
"""Seconds between two looks at a server."""
VETO = 20.0
"""Seconds for a veto, if bot.toml does not say."""
_OLDS = 4
"""The most servers with the old release that are looked at."""
_SERVERS_A_SECOND = 5.0
_NO_NETWORK = 10.0
"""How many times as long a server may be silent after the end of the watch if no other server answers."""
_LAST = 3
"""How many times as long a look takes after the end: a server that is slow then is not one that does not answer."""
_MISSED = 30.0
"""If a countdown ended so many seconds ago, the bot was not running, and a veto was impossible."""
_LONGEST_VETO = 600.0
"""The longest `veto` in bot.toml."""
_WATCHERS = 4
"""How many watches look at each server with the old release, if there are enough of these servers."""


class VetoSignals:
    """Wakes all watches that count down when a person has vetoed a rollback. Each reads its row again then."""

    def __init__(self) -> None:
        """Start without a veto."""
        self.next = asyncio.Event()
        """The event that the next veto sets."""

    def wake(self) -> None:
        """Wake the watches."""
        self.next.set()
        self.next = asyncio.Event()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Watching:
    """The watch of one server: its row, its end (Unix time), how many `seconds` it takes, and what must run there.

    `first` has the containers as they were when they became healthy; None if a task may have restarted them since.
    With `goes_on`, no task ran since the watch before it, so a restart between the two counts.
    """

    deployment: Deployment
    part: ServerPlan
    row: StepRow
    end: float
    manifest: Manifest
    seconds: float = inf
    first: WatchBaseline | None = None
    goes_on: bool = True


class ReleaseWatch:
    """Compares the new release with the old one for some time."""

    def __init__(
        self,
        *,
        store: Store,
        executor: Executor,
        looks: WatchLooks,
        clock: Clock,
        queue_card: Callable[[Tables, int], None],
        signals: VetoSignals,
        timeouts: Timeouts = TIMEOUTS,
    ) -> None:
        """Take the ports and parts; `queue_card(tables, number)` queues the card in the same transaction."""
        self._store = store
        self._executor = executor
        self._looks = looks
        self._clock = clock
        self._queue_card = queue_card
        self._signals = signals
        self._timeouts = timeouts

    async def record_baseline(self, watching: Watching, stop: CancellationWatch) -> None:
        """Record what the old release does on a server before it is switched. Raises the reason in `stop`."""
        part = watching.part
        if part.replaces is None and part.before is None:
            return
        target = self._target(watching, part.server, part.before or Manifest())
        seen = await stop.result_of(self._looks.before(target))
        row = self._fresh(watching, WatchEvidence(new=seen))

        def keep(tables: Tables) -> None:
            tables.watches.put(row)
            tables.watches.forget(self._clock.now())

        await self._store.write(keep)

    async def compare(self, watching: Watching, stop: CancellationWatch) -> tuple[str, ...]:
        """Return a summary in lines once the watch is over.

        Raises Unhealthy if the release does worse and no person vetoed its rollback, or the reason in `stop`.
        """
        row = await self._begun(watching)
        next_look, silent_since = 0.0, None
        now = asyncio.get_running_loop().time
        while True:
            if row.state is WatchState.REVERTING:
                raise Unhealthy(row.server, "; ".join(row.evidence.worse), summary_of(row))
            # If the clock is put back, the watch lasts no longer than a whole one from then.
            watching = dataclasses.replace(watching, end=min(watching.end, self._clock.now() + watching.seconds))
            if row.state is WatchState.WORSE:
                row = await self._count_down(row, stop)
                next_look = 0.0
                continue
            await self._until(watching, next_look, stop)
            began, asked = self._clock.now(), now()
            next_look = began + self._every(watching)
            row = await self._look(watching, row, stop)
            silent = row.evidence.new.silent
            silent_since = (asked if silent_since is None else silent_since) if silent else None
            if began < watching.end or row.state is not WatchState.LOOKING:
                silent_since = None
            elif silent_since is not None:
                await self._insist_on_answer(watching, row, now() - silent_since, stop)
            elif not is_unsettled(row.evidence):
                return summary_of(row)

    async def _until(self, watching: Watching, next_look: float, stop: CancellationWatch) -> None:
        """Wait for the next look, or for the end of the watch. Raises the reason in `stop`.

        If the clock is put back, the next look comes no later.
        """
        while stop.why is None:
            now = self._clock.now()
            next_look = min(next_look, now + self._every(watching))
            left = (min(next_look, watching.end) if now < watching.end else next_look) - now
            if left <= 0:
                return
            await stop.pause(min(left, self._timeouts.clock_check))
        raise stop.why

    async def _insist_on_answer(
        self, watching: Watching, row: WatchRow, silent: float, stop: CancellationWatch
    ) -> None:
        """Raise Unhealthy if a server has not answered for some time after the end of the watch.

        If no other server answers, the bot may have lost its own network: it waits longer.
        """
        if silent < self._timeouts.restore_silence:
            return
        if silent < self._timeouts.restore_silence * _NO_NETWORK:
            _app, environment = self._executor.target(watching.deployment)
            others = {*environment.servers} - {row.server}
            if not await stop.before(self._looks.any_answers(others)):
                return
        raise Unhealthy(row.server, row.evidence.new.trouble, summary_of(row))

    @staticmethod
    def _every(watching: Watching) -> float:
        """Return the time between two looks: longer if many servers are watched."""
        return max(EVERY, len(watching.deployment.plan.servers) / _SERVERS_A_SECOND)

    def _fresh(self, watching: Watching, evidence: WatchEvidence) -> WatchRow:
        row = watching.row
        return WatchRow(job=row.job, deployment=row.deployment, server=row.server, evidence=evidence)

    async def _begun(self, watching: Watching) -> WatchRow:
        """Return the stored watch, or a new one."""
        environment = self._executor.target(watching.deployment)[1]

        def read(tables: Tables) -> WatchRow:
            found = tables.watches.get(watching.row.job)
            return found or self._fresh(watching, _first_evidence(tables, watching, environment))

        return await self._store.read(read)

    def _target(self, watching: Watching, server: str, manifest: Manifest) -> WatchedTarget:
        app, environment = self._executor.target(watching.deployment)
        return WatchedTarget(
            app=app, environment=environment, server=server, gate=watching.part.gate, manifest=manifest
        )

    async def _look(self, watching: Watching, row: WatchRow, stop: CancellationWatch) -> WatchRow:
        """Look at all servers, judge what was seen, and store both. A cancellation ends the look.

        What this look could not see is no finding, even if it was bad when it was last seen.
        """
        evidence = await stop.result_of(self._seen(watching, row.evidence))
        begun = max(watching.row.started, evidence.new.counts_from)
        judged = judge(evidence, seconds=self._clock.now() - begun)
        judged = seen_now(judged, row.evidence.new)
        return await self._store.write(lambda tables: self._keep(tables, watching, row, judged))

    async def _seen(self, watching: Watching, evidence: WatchEvidence) -> WatchEvidence:
        """Look at the new release and at the old ones at the same time. Old ones that are late are left out.

        So are those that bot.toml no longer has.
        """
        plan, new = watching.deployment.plan, evidence.new
        there = self._executor.target(watching.deployment)[1].servers
        evidence = dataclasses.replace(evidence, olds=tuple(one for one in evidence.olds if one.now.server in there))
        watched = [(new, watching.manifest)]
        watched += [(one.now, _old_manifest(plan, one.now.server)) for one in evidence.olds]
        over = self._clock.now() >= watching.end
        within = self._timeouts.watch_look * (_LAST if over else 1)
        looks = [
            asyncio.ensure_future(self._looks.look(self._target(watching, seen.server, ran), seen, within=within))
            for seen, ran in watched
        ]
        try:
            await asyncio.wait(looks, timeout=within)
            failures = [_failure(one.server, look) for (one, _), look in zip(watched, looks, strict=True)]
            seen = [None if not look.done() or look.exception() else look.result() for look in looks]
        finally:
            for look in looks:
                look.cancel()
            await asyncio.gather(*looks, return_exceptions=True)
        trouble = failures[0] or f"{new.server} did not answer within {within:.0f} s"
        olds = (dataclasses.replace(one, now=now or one.now) for one, now in zip(evidence.olds, seen[1:], strict=True))
        mine = seen[0] or dataclasses.replace(new, looks=new.looks + 1, trouble=trouble, silent=True)
        return dataclasses.replace(evidence, new=mine, olds=tuple(olds))

    def _keep(self, tables: Tables, watching: Watching, row: WatchRow, evidence: WatchEvidence) -> WatchRow:
        """Store what was seen; begin the countdown if the release does worse."""
        kept = dataclasses.replace(row, evidence=evidence)
        worse = bool(evidence.worse)
        if worse:
            veto = self._executor.target(watching.deployment)[1].veto
            seconds = VETO if veto is None else veto
            kept = dataclasses.replace(
                kept,
                state=WatchState.WORSE if seconds else WatchState.REVERTING,
                revert_at=self._clock.now() + seconds,
                evidence=dataclasses.replace(
                    evidence, countdown=_countdown(tables.watches.of(row.deployment)), veto=seconds
                ),
            )
        tables.watches.put(kept)
        if worse or evidence.new.trouble != row.evidence.new.trouble:
            self._queue_card(tables, row.deployment)
        return kept

    async def _count_down(self, row: WatchRow, stop: CancellationWatch) -> WatchRow:
        """Return the watch once its countdown is over or vetoed; both are decided in one transaction."""
        while True:
            veto = self._signals.next
            found = await self._store.write(lambda tables: self._decided(tables, row))
            if found.state is not WatchState.WORSE:
                return found
            left = max(found.revert_at - self._clock.now(), 0.0)
            await stop.outrun(veto.wait(), within=min(left, self._timeouts.clock_check))
            if stop.why is not None:
                raise stop.why

    def _decided(self, tables: Tables, row: WatchRow) -> WatchRow:
        found = tables.watches.get(row.job) or row
        now = self._clock.now()
        longest = found.evidence.veto or _LONGEST_VETO
        if found.state is not WatchState.WORSE or 0 < found.revert_at - now <= longest:
            return found
        if found.revert_at > now:  # the clock was put back
            found = dataclasses.replace(found, revert_at=now + longest)
        elif now - found.revert_at > _MISSED:
            found = dataclasses.replace(
                found, state=WatchState.LOOKING, revert_at=0.0, evidence=afresh(found.evidence, now)
            )
        else:
            found = dataclasses.replace(found, state=WatchState.REVERTING)
        tables.watches.put(found)
        self._queue_card(tables, row.deployment)
        return found


def _failure(server: str, look: asyncio.Future[ServerSeen]) -> str:
    """Return why a look raised, which no look should; empty if it did not."""
    problem = look.exception() if look.done() else None
    if problem is None:
        return ""
    if not isinstance(problem, Exception):
        raise problem
    log.error("a look at %s failed because of a bug", server, exc_info=problem)
    return str(failure_of(server, problem))


def _countdown(rows: Sequence[WatchRow]) -> int:
    """Return the number of a countdown that begins: watches that count down at the same time share one."""
    going = [one.evidence.countdown for one in rows if one.state is not WatchState.LOOKING]
    return max(going) if going else 1 + max((one.evidence.countdown for one in rows), default=0)


def _first_evidence(tables: Tables, watching: Watching, environment: Environment) -> WatchEvidence:
    """Return the evidence when a watch begins: what the old release did, and where it still runs."""
    begun = watching.row.started
    number = watching.deployment.number
    steps = {row.job: row for row in tables.deployments.steps(number)}
    recorded = {job for job, row in steps.items() if row.kind is StageKind.BASELINE}
    rows = sorted(tables.watches.of(number), key=lambda one: steps[one.job].position)
    mine = [one for one in rows if one.server == watching.row.server and one.job not in recorded]
    marks = watching.first.containers if watching.first else ()
    if watching.goes_on:  # what an earlier watch of this server has counted does not count again
        marks = next((seen.marks for one in mine[::-1] if (seen := one.evidence.new.containers) and seen.marks), marks)
    new = ServerSeen(
        server=watching.row.server, log_from=begun, containers=ContainersSeen(marks=marks) if marks else None
    )
    before = {one.server: one.evidence.new for one in rows if one.job in recorded}
    together = _together(watching)
    old_servers = [*_old_servers(tables, watching, environment)]
    olds = shared(old_servers, together.index(watching.row.server), len(together))
    return WatchEvidence(
        new=new,
        before=before.get(watching.row.server),
        olds=tuple(OldSeen(now=ServerSeen(server=name, log_from=begun), before=before.get(name)) for name in olds),
        vetoes=merged_vetoes(veto for one in mine for veto in one.evidence.vetoes),
    )


def _together(watching: Watching) -> list[str]:
    """Return the servers that are watched at the same time."""
    plan, server = watching.deployment.plan, watching.part.server
    batches = plan.batches if watching.row.position < watching.part.first_last else [plan.servers]
    return next(names for batch in batches if server in (names := [one.server for one in batch]))


def shared(olds: Sequence[str], at: int, of: int) -> list[str]:
    """Return which servers with the old release the watch number `at`, from 0, of some looks at: all share evenly."""
    count = min(max(min(_OLDS, _WATCHERS * len(olds) // of), 1), len(olds))
    return [olds[(at * count + more) % len(olds)] for more in range(count)]


def _old_servers(tables: Tables, watching: Watching, environment: Environment) -> Iterator[str]:
    """Yield the servers that still run the release that is replaced."""
    plan, old = watching.deployment.plan, watching.part.replaces
    if old is None:
        return
    batches = plan.batches
    mine = next(at for at, batch in enumerate(batches) if watching.part.server in {one.server for one in batch})
    if watching.row.position < watching.part.first_last:
        yield from (
            one.server
            for batch in batches[mine + 1 :]
            for one in batch
            if one.replaces is not None and one.replaces.id == old.id
        )
    elsewhere = {*environment.servers} - {one.server for one in plan.servers} - {*plan.down}
    rows = tables.running.get(plan.app, plan.environment)
    yield from sorted(
        row.server for row in rows if row.server in elsewhere and row.healthy and row.release.id == old.id
    )


def _old_manifest(plan: Plan, server: str) -> Manifest:
    """Return what the old release must run on a server; without services if that is not in the plan."""
    part = next((one for one in plan.servers if one.server == server), None)
    return part.before or Manifest() if part else Manifest()
