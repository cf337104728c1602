"""Store deployments and their steps.

A deployment's state only moves forward: waiting, running, restoring, an end. The queue of an environment is its waiting
deployments, in the order of their numbers.
"""

from __future__ import annotations

import functools
import sqlite3
from collections.abc import Collection, Sequence
from dataclasses import replace

from deploybot.domain import (
    Channel,
    Counted,
    Deployment,
    Kind,
    Person,
    Phase,
    Plan,
    RequestVerdict,
    StageKind,
    State,
    StepRow,
    StepState,
    WatchBaseline,
)
from deploybot.errors import StoreError
from deploybot.store.codec import decode, encode
from deploybot.store.stored_text import clean

_SELECT = """
    SELECT number, plan, state, requester, requester_name, reason, channel, created, not_before, frozen_until, started,
           finished, cancel_by, outcome, tail, needs_approval, approved, trigger_number, skipped, replaced_by, glass,
           coalesce((SELECT verdict FROM requests WHERE requests.deployment = number), '')
    FROM deployments
    """
_SELECT_STEP = """
    SELECT deployment, phase, server, position, name, job, state, code, offset, size, started, finished, detail,
           kind, baseline
    FROM steps
    """
_INSERT_STEP = """
    INSERT INTO steps (
        deployment, phase, server, position, name, job, state, code, offset, size, started, finished, detail, kind)
    VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
    ON CONFLICT (deployment, phase, server, position) DO NOTHING
    """
_RANK = {State.WAITING: 0, State.RUNNING: 1, State.RESTORING: 2}
_END = 3
_OPEN_STEP = {StepState.PENDING, StepState.STARTED}


@functools.lru_cache(maxsize=64)
def _plan(text: str) -> Plan:
    """Decode a plan. It is cached, because a plan never changes and is read at each state change."""
    return decode(Plan, text)


def _deployment(row: sqlite3.Row) -> Deployment:
    number, plan, state, requester, name, reason, channel, created, at, frozen_until, started, *rest = row
    finished, cancel_by, outcome, tail, needs_approval, approved, trigger, skipped, replaced_by, glass, verdict = rest
    return Deployment(
        number=number,
        plan=_plan(plan),
        state=State(state),
        requester=requester,
        requester_name=name,
        reason=reason,
        channel=decode(Channel, channel) if channel else None,
        created=created,
        not_before=at,
        frozen_until=frozen_until,
        started=started,
        finished=finished,
        cancel_by=cancel_by,
        outcome=outcome,
        tail=decode(tuple[str, ...], tail),
        needs_approval=bool(needs_approval),
        approved=approved,
        trigger=trigger,
        skipped=decode(tuple[int, ...], skipped),
        replaced_by=replaced_by,
        glass=glass,
        verdict=RequestVerdict(verdict),
    )


def _step(row: sqlite3.Row) -> StepRow:
    deployment, phase, server, position, name, job, state, code, offset, size, started, finished, *rest = row
    detail, kind, baseline = rest
    return StepRow(
        deployment=deployment,
        phase=Phase(phase),
        server=server,
        position=position,
        name=name,
        job=job,
        state=StepState(state),
        code=code,
        offset=offset,
        size=size,
        started=started,
        finished=finished,
        detail=detail,
        kind=StageKind(kind),
        baseline=decode(WatchBaseline, baseline) if baseline else None,
    )


def _where(row: StepRow) -> tuple[int, str, str, int]:
    return row.deployment, row.phase.value, row.server, row.position


class DeploymentRows:
    """Implement `ports.DeploymentTable` on a connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        """Use `connection` in the caller's transaction."""
        self._run = connection.execute

    def add(
        self,
        plan: Plan,
        *,
        requester: Person,
        reason: str,
        channel: Channel | None,
        now: float,
        not_before: float = 0.0,
        needs_approval: bool = False,
        trigger: int = 0,
        skipped: Sequence[int] = (),
        glass: str = "",
    ) -> Deployment:
        """Add a WAITING deployment with the next number."""
        made = Deployment(
            number=0,
            plan=plan,
            state=State.WAITING,
            requester=requester.id,
            requester_name=requester.name,
            reason=clean(reason),
            channel=channel,
            created=now,
            not_before=not_before,
            needs_approval=needs_approval,
            trigger=trigger,
            skipped=tuple(skipped),
            glass=glass,
        )
        sql = """
            INSERT INTO deployments (app, environment, kind, commit_id, state, plan, requester, requester_name,
                                     reason, channel, created, not_before, needs_approval, trigger_number, skipped,
                                     glass)
            VALUES (?, ?, ?, ?, 'waiting', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
        where = encode(channel) if channel else None
        whose = (made.requester, made.requester_name, made.reason, where, now, not_before, needs_approval)
        auto = (trigger, encode(made.skipped), glass)
        what = (plan.app, plan.environment, plan.kind.value, plan.release.id, encode(plan))
        return replace(made, number=self._run(sql, what + whose + auto).lastrowid or 0)

    def get(self, number: int) -> Deployment | None:
        """Return one deployment, or None."""
        row = self._run(_SELECT + "WHERE number = ?", (number,)).fetchone()
        return _deployment(row) if row else None

    def open(self) -> tuple[Deployment, ...]:
        """Return all deployments that have not ended, oldest first."""
        return self._all("WHERE state IN ('waiting', 'running', 'restoring') ORDER BY number")

    def recent(self, app: str, environment: str | None = None, limit: int = 20) -> tuple[Deployment, ...]:
        """Return the last deployments of an app, newest first."""
        if environment is None:
            return self._all("WHERE app = ? ORDER BY number DESC LIMIT ?", app, limit)
        return self._all("WHERE app = ? AND environment = ? ORDER BY number DESC LIMIT ?", app, environment, limit)

    def good(self, app: str, environment: str, limit: int) -> tuple[Deployment, ...]:
        """Return the last successful deploys and rollbacks with distinct releases, newest first."""
        where = """
            WHERE number IN (
                SELECT max(number) FROM deployments
                WHERE app = ? AND environment = ? AND state = 'succeeded' AND kind IN ('deploy', 'rollback')
                GROUP BY commit_id)
            ORDER BY number DESC LIMIT ?"""
        return self._all(where, app, environment, limit)

    def succeeded(self, app: str, environment: str, limit: int) -> tuple[Deployment, ...]:
        """Return the last successful deploys and rollbacks, newest first."""
        where = """
            WHERE app = ? AND environment = ? AND state = 'succeeded' AND kind IN ('deploy', 'rollback')
            ORDER BY number DESC LIMIT ?"""
        return self._all(where, app, environment, limit)

    def healthy(self, app: str, environment: str, server: str) -> frozenset[str]:
        """Return the ids of the releases that were deployed successfully to a server of an environment.

        A deployment may succeed without a server that went down: a step failed there, or its end is unknown.
        """
        step = "SELECT 1 FROM steps WHERE deployment = number AND phase = 'forward' AND server = ?"
        sql = f"""
            SELECT DISTINCT commit_id FROM deployments
            WHERE app = ? AND environment = ? AND state = 'succeeded' AND kind IN ('deploy', 'rollback')
            AND EXISTS ({step}) AND NOT EXISTS ({step} AND state IN ('failed', 'unknown'))"""  # noqa: S608  both parts are above
        return frozenset(commit for (commit,) in self._run(sql, (app, environment, server, server)))

    def past(self, app: str, environment: str, limit: int) -> tuple[tuple[Kind, str], ...]:
        """Return kind and release id of the last successful releases, oldest first, without their plans."""
        sql = """
            SELECT kind, commit_id FROM deployments
            WHERE app = ? AND environment = ? AND state = 'succeeded' AND kind IN ('deploy', 'rollback')
            ORDER BY number DESC LIMIT ?"""
        rows = self._run(sql, (app, environment, limit)).fetchall()
        return tuple((Kind(kind), release) for kind, release in reversed(rows))

    def healthy_pairs(self, app: str, environment: str, releases: Collection[str]) -> frozenset[tuple[str, str]]:
        """Return on which servers releases were deployed successfully, as pairs of a server and a release id."""
        sql = f"""
            SELECT server, commit_id FROM deployments JOIN steps ON deployment = number AND phase = 'forward'
            WHERE app = ? AND environment = ? AND commit_id IN ({", ".join("?" * len(releases))})
            AND deployments.state = 'succeeded' AND deployments.kind IN ('deploy', 'rollback')
            GROUP BY number, server HAVING NOT sum(steps.state IN ('failed', 'unknown'))"""  # noqa: S608  only marks
        return frozenset((server, release) for server, release in self._run(sql, (app, environment, *releases)))

    def move(self, number: int, state: State, *, now: float, outcome: str = "", tail: Sequence[str] = ()) -> Deployment:
        """Change the state, and set `started` and `finished` accordingly.

        An empty outcome or tail keeps the current one. Raises StoreError for a move backward or after the end.
        """
        kept = self.get(number)
        if kept is None:
            raise StoreError(f"there is no deployment #{number}")
        if kept.state.ended or _RANK.get(state, _END) < _RANK[kept.state]:
            raise StoreError(f"deployment #{number} is {kept.state} and cannot become {state}")
        moved = replace(
            kept,
            state=state,
            started=kept.started or (now if state is not State.WAITING else 0.0),
            finished=now if state.ended else 0.0,
            outcome=clean(outcome) or kept.outcome,
            tail=tuple(tail) or kept.tail,
        )
        sql = """
            UPDATE deployments SET state = ?, started = ?, finished = ?, outcome = ?, tail = ?
            WHERE number = ? AND state = ?"""
        values = (moved.state.value, moved.started, moved.finished, moved.outcome, encode(moved.tail))
        if self._run(sql, (*values, number, kept.state.value)).rowcount != 1:
            raise StoreError(f"deployment #{number} moved meanwhile")
        return moved

    def replan(self, number: int, plan: Plan, *, begun: bool = False) -> None:
        """Replace the plan of a WAITING deployment; if it may have `begun`, also of a RUNNING one without steps.

        Raises StoreError for any other.
        """
        sql = """
            UPDATE deployments SET app = ?, environment = ?, kind = ?, commit_id = ?, plan = ?
            WHERE number = ? AND (state = 'waiting' OR (
                ? AND state = 'running' AND NOT EXISTS (SELECT 1 FROM steps WHERE deployment = deployments.number)))"""
        what = (plan.app, plan.environment, plan.kind.value, plan.release.id, encode(plan))
        if self._run(sql, (*what, number, begun)).rowcount != 1:
            raise StoreError(f"deployment #{number} does not wait, so its plan stays")

    def leave_out(self, number: int, servers: Sequence[str]) -> Deployment:
        """Add to the plan of a deployment the servers that were down and left as they are; return the deployment."""
        kept = self.get(number)
        if kept is None:
            raise StoreError(f"there is no deployment #{number}")
        plan = replace(kept.plan, down=tuple(dict.fromkeys((*kept.plan.down, *servers))))
        self._run("UPDATE deployments SET plan = ? WHERE number = ?", (encode(plan), number))
        return replace(kept, plan=plan)

    def approve(self, number: int, since: float) -> bool:
        """Set when a WAITING deployment got its approvals, 0.0 if some are missing. Return False if nothing changed."""
        sql = """
            UPDATE deployments SET approved = ?1
            WHERE number = ?2 AND state = 'waiting' AND needs_approval AND (approved = 0) <> (?1 = 0)"""
        return self._run(sql, (since, number)).rowcount == 1

    def freeze(self, number: int, until: float) -> None:
        """Let a WAITING deployment, or a RUNNING one without steps, wait until a freeze ends."""
        sql = """
            UPDATE deployments SET frozen_until = ?, state = 'waiting', started = 0
            WHERE number = ? AND (state = 'waiting' OR (
                state = 'running' AND NOT EXISTS (SELECT 1 FROM steps WHERE steps.deployment = number)))"""
        self._run(sql, (until, number))

    def freeze_all(self, app: str, environment: str, until: float) -> tuple[int, ...]:
        """Let all WAITING deployments of a target that a freeze stops wait until it ends. Return their numbers."""
        sql = """
            UPDATE deployments SET frozen_until = ?
            WHERE app = ? AND environment = ? AND state = 'waiting' AND kind IN ('deploy', 'run') AND glass = ''
            RETURNING number"""
        return tuple(number for (number,) in self._run(sql, (until, app, environment)).fetchall())

    def thaw(self, now: float, app: str | None = None, environment: str | None = None) -> tuple[int, ...]:
        """Let no deployment of a target (None: of any) wait for a freeze after `now`. Return their numbers."""
        sql = """
            UPDATE deployments SET frozen_until = ?1
            WHERE state = 'waiting' AND frozen_until > ?1 AND (?2 IS NULL OR (app = ?2 AND environment = ?3))
            RETURNING number"""
        return tuple(number for (number,) in self._run(sql, (now, app, environment)).fetchall())

    def replaced(self, number: int, by: int) -> None:
        """Record which deployment replaced a WAITING one, also for its trigger. Raises StoreError for any other."""
        sql = "UPDATE deployments SET replaced_by = ? WHERE number = ? AND state = 'waiting' AND replaced_by = 0"
        if self._run(sql, (by, number)).rowcount != 1:
            raise StoreError(f"deployment #{number} does not wait, so #{by} does not come in its place")
        self._run("UPDATE triggers SET replaced = 1 WHERE deployment = ?", (number,))

    def ask_cancel(self, number: int, by: str) -> bool:
        """Record who asked to cancel it. Return False if it has ended or was already cancelled."""
        sql = """
            UPDATE deployments SET cancel_by = ?
            WHERE number = ? AND cancel_by = '' AND state IN ('waiting', 'running', 'restoring')"""
        return self._run(sql, (clean(by), number)).rowcount == 1

    def steps(self, number: int) -> tuple[StepRow, ...]:
        """Return the deployment's steps in the order they were created."""
        return tuple(map(_step, self._run(_SELECT_STEP + "WHERE deployment = ? ORDER BY id", (number,))))

    def begin(self, row: StepRow) -> StepRow:
        """Store a step before its job starts. If the step exists, return the stored one with its job."""
        what = (row.name, row.job, row.state.value, row.code, row.offset, row.size)
        end = (row.started, row.finished, clean(row.detail), row.kind.value)
        if self._run(_INSERT_STEP, (*_where(row), *what, *end)).rowcount == 1:
            return row
        return self.step(row) or row

    def step(self, row: StepRow) -> StepRow | None:
        """Return the stored step of the same deployment, phase, server and position; None if there is none yet."""
        same = "WHERE deployment = ? AND phase = ? AND server = ? AND position = ?"
        found = self._run(_SELECT_STEP + same, _where(row)).fetchone()
        return _step(found) if found else None

    def keep_baseline(self, job: str, baseline: WatchBaseline) -> None:
        """Store what a watch compares with."""
        self._run("UPDATE steps SET baseline = ? WHERE job = ?", (encode(baseline), job))

    def progress(self, job: str, *, offset: int, size: int, from_start: bool = False, detail: str = "") -> None:
        """Store how far a running step's log was saved. Raises StoreError if that moves back without `from_start`."""
        sql = """
            UPDATE steps SET offset = ?1, size = ?2, detail = ?5,
                state = CASE state WHEN 'pending' THEN 'started' ELSE state END
            WHERE job = ?3 AND (offset <= ?1 OR ?4)
        """
        if self._run(sql, (offset, size, job, from_start, clean(detail))).rowcount != 1:
            raise StoreError(f"the log of job {job} cannot be kept up to {offset}: it is unknown, or kept further")

    def note(self, job: str, detail: str) -> None:
        """Store why a step can't start for now. The next progress replaces it."""
        sql = "UPDATE steps SET detail = ? WHERE job = ? AND state IN ('pending', 'started')"
        self._run(sql, (clean(detail), job))

    def end(self, job: str, state: StepState, *, code: int, now: float, detail: str = "") -> None:
        """Record a step's end. Recording the same end again does nothing; a different one raises StoreError."""
        row = self._run(_SELECT_STEP + "WHERE job = ?", (job,)).fetchone()
        if row is None:
            raise StoreError(f"there is no job {job}")
        kept = _step(row)
        if kept.state in _OPEN_STEP:
            sql = "UPDATE steps SET state = ?, code = ?, finished = ?, detail = ? WHERE job = ?"
            self._run(sql, (state.value, code, now, clean(detail), job))
        elif (kept.state, kept.code) != (state, code):
            raise StoreError(f"job {job} ended as {kept.state} ({kept.code}) and cannot end as {state} ({code})")

    def counted(self, bounds: Sequence[float]) -> tuple[Counted, ...]:
        """Count deployments by app, environment, kind and state, with their durations.

        A deployment that has not ended or never started has no duration.
        """
        within = "".join(", total(taken <= ?)" for _ in bounds)
        sql = f"""
            SELECT app, environment, kind, state, count(*), count(taken), total(taken){within}
            FROM (SELECT app, environment, kind, state,
                         CASE WHEN started > 0 AND finished > started THEN finished - started END AS taken
                  FROM deployments)
            GROUP BY app, environment, kind, state"""  # noqa: S608  texts of this function alone
        return tuple(
            Counted(
                app=app,
                environment=environment,
                kind=Kind(kind),
                state=State(state),
                count=count,
                timed=timed,
                seconds=seconds,
                within=tuple(map(int, below)),
            )
            for app, environment, kind, state, count, timed, seconds, *below in self._run(sql, tuple(bounds))
        )

    def _all(self, where: str, *values: object) -> tuple[Deployment, ...]:
        return tuple(map(_deployment, self._run(_SELECT + where, values)))
