"""Deployments, their steps, and the releases that run as a result."""

from __future__ import annotations

import enum
from dataclasses import dataclass, replace

from deploybot.domain.approval_request import RequestVerdict
from deploybot.domain.observed_target import WatchBaseline
from deploybot.domain.person import Channel
from deploybot.domain.plan import Kind, Plan, StageKind
from deploybot.domain.release import Release
from deploybot.errors import NOT_REACHED, NOT_STARTED

NEVER_SENT = -2
"""The code of a step that was cancelled before its start was sent. One that was stopped has -1."""


class State(enum.StrEnum):
    """The state of a deployment. The last five are final and never change."""

    WAITING = "waiting"
    RUNNING = "running"
    RESTORING = "restoring"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    RESTORED = "restored"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"

    @property
    def ended(self) -> bool:
        """True if the state is final."""
        return self not in {State.WAITING, State.RUNNING, State.RESTORING}


_DOWN_SHOWN = 3
_WORDS = {State.RESTORING: "rolling back", State.UNKNOWN: "end unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One run of a plan. `requester` is a person's id. Times are 0.0 until they are known.

    `not_before` is the scheduled start, 0.0 if none was given. `frozen_until` is the end of the freeze that stopped it
    when its turn came. `cancel_by` is the person who asked to cancel, or empty.
    `outcome` is a sentence about the end, `tail` the last masked lines of the failed output. `approved` is the time at
    which it had all approvals that it needs. `verdict` is how its request ended if it was never started. `trigger` is
    the number of its trigger if no person asked for it. `skipped` are the numbers of the deployments that it replaced,
    `replaced_by` is the number of the one that replaced it, or 0. `glass` names the rules that break glass bypassed, or
    is `nothing` if none was in the way. It is empty for all other deployments.
    """

    number: int
    plan: Plan
    state: State
    requester: int
    requester_name: str
    reason: str = ""
    channel: Channel | None = None
    created: float = 0.0
    not_before: float = 0.0
    frozen_until: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    cancel_by: str = ""
    outcome: str = ""
    tail: tuple[str, ...] = ()
    needs_approval: bool = False
    approved: float = 0.0
    verdict: RequestVerdict = RequestVerdict.NONE
    trigger: int = 0
    skipped: tuple[int, ...] = ()
    replaced_by: int = 0
    glass: str = ""

    @property
    def awaits_approval(self) -> bool:
        """True if it waits for approvals and therefore blocks no other deployment."""
        return self.state is State.WAITING and self.needs_approval and not self.approved

    @property
    def named(self) -> Release:
        """What its number means in a rollback: its release, and the settings of then if servers have the files."""
        return replace(self.plan.release, typed=f"#{self.number}") if self.plan.configurations else self.plan.release

    @property
    def word(self) -> str:
        """The state as cards, `history` and `status` show it, or why it never started.

        `succeeded`, `succeeded, but not on web4`, `failed, rolled back to v1`, `end unknown`, `void`,
        `replaced by #43`.
        """
        if self.state is State.SUCCEEDED and self.plan.down:
            more = len(self.plan.down) - _DOWN_SHOWN
            names = ", ".join(self.plan.down[:_DOWN_SHOWN])
            return f"succeeded, but not on {names}{f' and {more} more' if more > 0 else ''}"
        replaced = f"replaced by #{self.replaced_by}" if self.replaced_by else ""
        if self.state is State.RESTORED:
            return f"failed, rolled back to {self.plan.replaced_name}"
        return replaced or self.verdict.value or _WORDS.get(self.state, self.state.value)

    @property
    def took(self) -> float | None:
        """The duration in seconds; None if it has not ended, or ended without having started.

        A deployment that never started has the same `started` and `finished`.
        """
        return self.finished - self.started if self.started and self.finished > self.started else None

    @property
    def never_began(self) -> bool:
        """True if it ended before it began: rejected, expired, void, replaced, cancelled or refused at its start."""
        return self.state in {State.CANCELLED, State.FAILED} and self.took is None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """Numbers of unfinished deployments: `begun` (or next in the queue), and `waiting` for approvals or a time."""

    begun: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


class Phase(enum.StrEnum):
    """The part of a deployment that a step belongs to."""

    FORWARD = "forward"
    RESTORE = "restore"
    CLEANUP = "cleanup"


class StepState(enum.StrEnum):
    """The state of a step in the database. UNKNOWN covers orphan and lost jobs."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A stage of a deployment as stored in the database. It is written before the stage begins.

    `job` is its unique id; for a RUN stage also that of its job on the server. `code` is the exit code of a job once
    done. `baseline` is what a WATCH stage compares with. `offset` counts the bytes of the remote log that are stored,
    `size` is the size of the local log file in bytes. Both change in one transaction.
    """

    deployment: int
    phase: Phase
    server: str
    position: int
    name: str
    job: str
    state: StepState
    code: int = -1
    offset: int = 0
    size: int = 0
    started: float = 0.0
    finished: float = 0.0
    detail: str = ""
    kind: StageKind = StageKind.RUN
    baseline: WatchBaseline | None = None

    @property
    def was_never_started(self) -> bool:
        """True if its job certainly never ran: its start was not sent to the server, or refused there."""
        return (self.state, self.code) in {
            (StepState.FAILED, NOT_STARTED),
            (StepState.FAILED, NOT_REACHED),
            (StepState.CANCELLED, NEVER_SENT),
        }


@dataclass(frozen=True, slots=True)
class Running:
    """The release that the bot last put on a server of an environment, and whether it was healthy."""

    app: str
    environment: str
    server: str
    release: Release
    deployment: int
    since: float
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """The number of deployments of an app, environment and kind in one state, and their total duration in seconds.

    `within` counts, for each of the given bounds, those that took no longer. `timed` counts all that have a duration;
    those that never started have none and are not in `within`.
    """

    app: str
    environment: str
    kind: Kind
    state: State
    count: int
    timed: int
    seconds: float
    within: tuple[int, ...]
