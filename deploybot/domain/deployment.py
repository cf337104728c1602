"""What is being done, or was: deployments, their steps, and what runs since."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from deploybot.domain.approval_request import RequestVerdict
from deploybot.domain.person import Place
from deploybot.domain.plan import Kind, Plan
from deploybot.domain.release import Release


class State(enum.StrEnum):
    """Where a deployment is. The last five are ends; an end never changes."""

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
        """Whether nothing more will happen by itself."""
        return self not in {State.WAITING, State.RUNNING, State.RESTORING}


_WORDS = {State.RESTORING: "rolling back", State.UNKNOWN: "end unknown"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Deployment:
    """One run of a plan. `requester` is a person's id; times are 0.0 until they have come.

    `not_before` is when it may begin, where whoever asked named a time; else 0.0.
    `cancel_by` is the person who asked to cancel, or empty. `outcome` is the sentence that tells the end,
    `tail` the last masked lines of what failed. `approved` is since when it has the approvals that it needs.
    `verdict` is how a request for approvals ended that was never begun.
    `wish` is the number of the wish that it fulfils where nobody asked for it; `skipped` are those that it came in
    place of, `replaced_by` is the one that came in its place, or 0. `glass` names the rules that it passed by break
    glass, or `nothing` where none stood in the way; it is empty for all others.
    """

    number: int
    plan: Plan
    state: State
    requester: int
    requester_name: str
    reason: str = ""
    place: Place | None = None
    created: float = 0.0
    not_before: float = 0.0
    started: float = 0.0
    finished: float = 0.0
    cancel_by: str = ""
    outcome: str = ""
    tail: tuple[str, ...] = ()
    needs_approval: bool = False
    approved: float = 0.0
    verdict: RequestVerdict = RequestVerdict.NONE
    wish: int = 0
    skipped: tuple[int, ...] = ()
    replaced_by: int = 0
    glass: str = ""

    @property
    def awaits_approval(self) -> bool:
        """Whether it waits for approvals, and so is in nobody's way."""
        return self.state is State.WAITING and self.needs_approval and not self.approved

    @property
    def word(self) -> str:
        """The state in the words of cards, `history` and `status`, or why it never began.

        `succeeded`, `failed, rolled back to v1`, `end unknown`, `void`, `replaced by #43`.
        """
        replaced = f"replaced by #{self.replaced_by}" if self.replaced_by else ""
        if self.state is State.RESTORED:
            return f"failed, rolled back to {self.plan.replaced_name}"
        return replaced or self.verdict.value or _WORDS.get(self.state, self.state.value)

    @property
    def took(self) -> float | None:
        """The seconds that it took; None where it has not ended, or ended without having begun.

        What never began is kept as begun in the moment of its end.
        """
        return self.finished - self.started if self.started and self.finished > self.started else None


@dataclass(frozen=True, slots=True)
class Unfinished:
    """The numbers of what has not ended: `begun`, or next in turn; and `waiting` for approvals or a time."""

    begun: tuple[int, ...] = ()
    waiting: tuple[int, ...] = ()


class Phase(enum.StrEnum):
    """Which part of a deployment a step belongs to."""

    FORWARD = "forward"
    RESTORE = "restore"
    CLEANUP = "cleanup"


class StepState(enum.StrEnum):
    """What the database knows of a step. UNKNOWN covers orphan and lost jobs."""

    PENDING = "pending"
    STARTED = "started"
    DONE = "done"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNKNOWN = "unknown"


@dataclass(frozen=True, slots=True, kw_only=True)
class StepRow:
    """A step of a deployment as the database keeps it; written before its job is started.

    `code` is the exit code once done. `offset` counts the bytes of the remote log already kept,
    `size` the bytes of the local log file after them: both move in one transaction.
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


@dataclass(frozen=True, slots=True)
class Running:
    """The release the bot last put on a server of an environment, and whether it was seen healthy."""

    app: str
    environment: str
    server: str
    release: Release
    deployment: int
    since: float
    healthy: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Counted:
    """How many deployments of an app, environment and kind are in a state, and how many seconds those took in all.

    `within` counts those that took no longer than each of the bounds that were asked for. One that never began took
    no time and is in none of them; `timed` counts the others.
    """

    app: str
    environment: str
    kind: Kind
    state: State
    count: int
    timed: int
    seconds: float
    within: tuple[int, ...]
